"""Drills run until they can be judged: a stalled or overloaded machine decides nothing."""

from typing import Any, cast

from tests.conftest import Lab

Run = dict[str, Any]
TRIES = 3
# What the verdict says where the machine, and not the cluster, was late (cluster.drill.measures).
MACHINE = ("stood still for", "but the harness stalled", "but this machine was overloaded")


def drilled(lab: Lab, name: str, *options: str) -> Run:
    """The first run of a drill that is a verdict on the cluster; else the last of `TRIES`.

    A run that is inconclusive for any other reason is no reason to try again.
    """
    for _ in range(TRIES):
        ended = lab.json("drill", "run", name, *options, "--yes", code=None)
        [run] = cast("list[Run]", ended)
        if not undecided(run):
            break
    return run


def undecided(run: Run) -> bool:
    """Whether nothing but the machine kept the run from a verdict."""
    runs = run.get("runs", [run])
    unsure = [one for one in runs if one["conclusion"] == "inconclusive"]
    return bool(unsure) and all(
        any(text in reason for text in MACHINE) for one in unsure for reason in one["reasons"]
    )
