"""Puts the cluster back: restored beside it first, then every member of every set re-made.

From the moment at which the servers are stopped until the end, a file says so: `provision` refuses
meanwhile, for it would start members without data and make new sets of them. The same command run
again does it all again; what members had is kept until all of them serve.
"""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.backup.contracts import Say
from cluster.context import Context
from cluster.errors import OpsError, RefusedError
from cluster.files import write_atomic
from cluster.inventory import Kind, Node
from cluster.plan import Outcome as StepOutcome
from cluster.plan import Step, execute
from cluster.server import Server
from mongo import leaving, members, nodes, steps
from mongo.backup import manifest, packing, restoring, settings
from mongo.backup.archiver.config import STATE
from mongo.backup.manifest import Branch, History
from mongo.backup.planning import Plan
from mongo.backup.restoring import Beside
from mongo.client import ask_all
from mongo.servers import archiver, servers

JOURNAL = "mongo-restore.json"
STAGING = "restoring"
BEFORE = "data.before-restore"
COPIES = 2  # at once


class UnderWay(BaseModel):
    """A restore in place that has stopped the servers. `parent` is the history that it ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instant: datetime
    parent: int


def journal(context: Context) -> Path:
    """Where it is written down."""
    return context.layout.root / JOURNAL


def under_way(context: Context) -> UnderWay | None:
    """A restore that was cut off after the servers were stopped; None where there is none."""
    try:
        return UnderWay.model_validate_json(journal(context).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RefusedError(f"{journal(context)} cannot be read", "restore again") from error


def refuse_half_restored(context: Context) -> None:
    """Raises RefusedError where a restore has to be finished first."""
    found = under_way(context)
    if found:
        when = f"{found.instant:%Y-%m-%dT%H:%M:%SZ}"
        raise RefusedError(
            f"a restore of MongoDB to {when} was cut off: some members may have no data",
            f"finish it: `skillswap-ops restore mongo --to {when} --in-place`",
        )


def restore(context: Context, plan: Plan, say: Say) -> Beside:
    """Bring the cluster to the plan's instant. Raises OpsError."""
    folder = context.layout.root / STAGING
    clear(folder)
    beside = restoring.restore(context, plan, folder, say, _terms(context))
    every = servers(context)
    parent = manifest_parent(context)
    write_atomic(
        journal(context),
        UnderWay(instant=plan.instant, parent=parent).model_dump_json() + "\n",
        mode=0o600,
    )
    say("stopping the routers, the archiver, and every member")
    _stop(context, every)
    _replace(context, beside, say)
    branch(context, plan, beside, parent)
    say("starting every member on the restored data")
    _start(context, every)
    journal(context).unlink()
    for replica_set in nodes.replica_sets(context):
        for node in replica_set.data_bearing:
            clear(context.layout.node(node) / BEFORE)
    clear(folder)
    return beside


def manifest_parent(context: Context) -> int:
    """The history that a restore ends: of one that was cut off, the one that it ended."""
    found = under_way(context)
    if found:
        return found.parent
    return manifest.current(manifest.histories(settings.place(context).storage()))


def branch(context: Context, plan: Plan, beside: Beside, ended: int) -> None:
    """Begin a new history, that goes on from the one which was written at the instant.

    One that a restore began which was cut off is nobody's.
    """
    storage = settings.place(context).storage()
    known = manifest.histories(storage)
    storage.delete(manifest.history_key(number) for number in known if number > ended)
    made = History(
        number=ended + 1,
        parent=plan.history,
        cut=plan.cut,
        made=datetime.now(UTC),
        sets={
            name: Branch(last=outcome.last, hash=outcome.hash)
            for name, outcome in beside.outcomes.items()
        },
    )
    manifest.store(storage, manifest.history_key(made.number), made)


def _terms(context: Context) -> dict[str, int]:
    """The terms that the sets have come to; 0 where nobody answers."""
    sets = nodes.replica_sets(context)
    said = ask_all(sets, lambda one: members.observe(context, one))
    return {
        one.name: max((answer.term for answer in answers), default=0)
        for one, answers in zip(sets, said, strict=True)
    }


def _stop(context: Context, every: Sequence[Server]) -> None:
    """First what writes, then what archives that, then the members."""
    order = (Kind.ROUTER, Kind.ARCHIVER)
    for kind in order:
        ask_all([server for server in every if server.node.kind is kind], context.target.stop)
    leaving.stop_members(context, [one for one in every if one.node.kind not in order])
    for node in nodes.archivers(context):  # what it said is of another history
        (context.layout.data(node) / STATE).unlink(missing_ok=True)


def _replace(context: Context, beside: Beside, say: Say) -> None:
    """Every member's data by its set's copy; what it had stays beside."""
    own = restoring.owner(context)
    work: list[tuple[Node, Path]] = []
    for replica_set in nodes.replica_sets(context):
        source = beside.folder / replica_set.name / "data"
        work += [(node, source) for node in replica_set.data_bearing]

    def put(one: tuple[Node, Path]) -> None:
        node, source = one
        data, before = context.layout.data(node), context.layout.node(node) / BEFORE
        if data.exists() and not before.exists():
            data.rename(before)
        clear(data)
        data.mkdir(mode=0o700)
        packing.copy(source, data)
        for path in (data, *data.rglob("*")):
            own.give(path)
        say(f"{node.name}: has its data")

    with ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(put, work))


def _start(context: Context, every: Sequence[Server]) -> None:
    """The members, the routers, then all that provisioning sees to, then the archiver."""
    last = {Kind.ARCHIVER}
    first = [server for server in every if server.node.kind not in {Kind.ROUTER, *last}]
    ask_all(first, context.target.start)
    config = nodes.config_servers(context).step
    known = {step.name: step for step in steps.steps(context)}
    _run(context, [replace(known[config], needs=())])
    ask_all([server for server in every if server.node.kind is Kind.ROUTER], context.target.start)
    _run(
        context,
        [
            replace(step, needs=tuple(need for need in step.needs if need in known))
            for step in known.values()
        ],
    )
    for node in nodes.archivers(context):
        context.target.start(archiver(context, node))


def _run(context: Context, wanted: Sequence[Step]) -> None:
    ends = execute(wanted, lambda _: None, clock=context.clock)
    for end in ends:
        if end.outcome is StepOutcome.FAILED:
            raise OpsError(f"after the restore: {end.step.what}: {end.why}", "run it again")


def clear(folder: Path) -> None:
    """Remove a folder, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
