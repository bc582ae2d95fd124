"""Applies the schema of some collections, and dies by SIGKILL at a named moment; run by tests.

`python -m tests.integration.mongo_schema_run HOME TOPOLOGY COLLECTION,… [COMMAND:MOMENT…]`, with
the moments of `mongo_provision`.
"""

import sys
from collections.abc import Collection
from pathlib import Path

from pymongo import monitoring

from cluster.plan import Finished, Outcome, Step, execute
from mongo.schema import apply
from skillswap_ops.options import Selection
from skillswap_ops.wiring import LocalContext, local_context
from tests.integration.mongo_provision import Killer


def steps(context: LocalContext, names: Collection[str], *, prune: bool = False) -> list[Step]:
    """The steps of these collections, and those that they need; all for no names."""
    found = apply.steps(context, prune=prune)
    wanted = {step.name for step in found if not names or step.name.split()[-1] in names}
    wanted |= {need for step in found if step.name in wanted for need in step.needs}
    return [step for step in found if step.name in wanted]


def applied(context: LocalContext, *names: str, prune: bool = False) -> dict[str, Finished]:
    """Apply; what became of each step, by its name's last word: the collection."""
    ends = execute(steps(context, names, prune=prune), lambda _: None)
    return {end.step.name.split()[-1]: end for end in ends}


def main(home: str, topology: str, names: str, *moments: str) -> int:
    """Apply; 1 where a step failed."""
    monitoring.register(Killer(moments))
    context = local_context(Selection(Path(topology), Path(home), None, "local", "table"))
    failed = [
        end for end in applied(context, *names.split(",")).values() if end.outcome is Outcome.FAILED
    ]
    for end in failed:
        sys.stderr.write(f"{end.step.name}: {end.why}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
