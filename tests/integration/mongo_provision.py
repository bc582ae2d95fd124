"""Provisions MongoDB alone, and dies by SIGKILL at a named moment; run as a program by tests.

`python -m tests.integration.mongo_provision HOME TOPOLOGY [COMMAND:MOMENT…]`: the process kills
itself at the first of these that it comes to: COMMAND is about to be sent (`started`), or has been
answered (`answered`).
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pymongo import monitoring

import mongo.servers
import mongo.steps
from cluster.local.steps import start_steps, supervisor_step
from cluster.plan import Finished, Outcome, Step, execute
from skillswap_ops.options import Selection
from skillswap_ops.provisioning import make_home
from skillswap_ops.wiring import LocalContext, local_context


def mongo_steps(context: LocalContext) -> tuple[Step, ...]:
    """MongoDB's part of what `provision` does."""
    return (
        supervisor_step(context.target, context.clock),
        *start_steps(context.target, mongo.servers.servers(context)),
        *mongo.steps.steps(context),
    )


def provision(context: LocalContext) -> dict[str, Finished]:
    """Make MongoDB what it should be; what became of each step, by name."""
    make_home(context)
    ends = execute(mongo_steps(context), lambda _: None)
    return {end.step.name: end for end in ends}


class Killer(monitoring.CommandListener):
    """Kills this very process at the first of its moments."""

    def __init__(self, moments: Sequence[str]) -> None:
        self._moments = moments

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self._come_to(event.command_name, "started")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._come_to(event.command_name, "answered")

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._come_to(event.command_name, "answered")

    def _come_to(self, command: str, moment: str) -> None:
        if f"{command}:{moment}" in self._moments:
            os.kill(os.getpid(), signal.SIGKILL)


def main(home: str, topology: str, *moments: str) -> int:
    """Provision; 1 where a step failed."""
    monitoring.register(Killer(moments))
    selection = Selection(Path(topology), Path(home), None, "local", "table")
    ends = provision(local_context(selection)).values()
    failed = [end for end in ends if end.outcome is Outcome.FAILED]
    for end in failed:
        sys.stderr.write(f"{end.step.name}: {end.why}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
