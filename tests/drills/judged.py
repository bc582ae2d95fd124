"""Drills run until they can be judged: a stalled or overloaded machine decides nothing."""

import warnings
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


def must_pass(run: Run) -> None:
    """The drill passed; or the machine kept it from a verdict `TRIES` times, which is a warning.

    Whatever else a test asserts of the run (losses, findings) holds on a slow machine too.
    """
    if undecided(run):
        why = "; ".join(run["reasons"])
        warnings.warn(f"no verdict in {TRIES} runs, for the machine: {why}", stacklevel=2)
    else:
        assert run["conclusion"] == "pass", run["reasons"]


def undecided(run: Run) -> bool:
    """Whether it was the machine that kept the run from a verdict.

    Slow for one measure, it is slow for the others too: one reason that names it is enough, as
    long as no run failed.
    """
    runs = run.get("runs", [run])
    unsure = [one for one in runs if one["conclusion"] == "inconclusive"]
    return (
        bool(unsure)
        and all(one["conclusion"] != "fail" for one in runs)
        and all(
            any(text in reason for reason in one["reasons"] for text in MACHINE) for one in unsure
        )
    )
