"""`secrets rotate` on the local target: which secrets there are, their order, and who is told."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import manifests.rotation
import mongo.rotation
import postgres.rotation
from cluster.context import Context
from cluster.errors import InvalidInputError, RefusedError
from cluster.files import write_private
from cluster.layout import Layout
from cluster.restarting import finish, restart_server
from cluster.rotation import Rotatable, Rotated, Say, rotate
from cluster.secrets import SecretStore
from manifests import redis
from manifests.monitoring import local as monitoring
from manifests.services import releases
from mongo.credentials import APPLICATION, MONITOR, secret
from postgres import names
from skillswap_ops.engines import all_servers, data_servers, instance_servers
from skillswap_ops.upkeep import at_work
from skillswap_ops.wiring import LocalContext

LEFT = "rotating"  # in the cluster's folder: what a run that was cut off has left to do
DAY = 86_400.0
# In the services' code since instances take a secret that is changed under them.
TAKES = "skillswap_ops/services/base/current.py"
ENCRYPTS = "data is encrypted with it and read with no other: begin a new repository"
THE_STORES = "the object store's own: change it there, replace the file, and `provision`"
KEPT: tuple[tuple[str, str], ...] = (
    (r"mongo-backup-key", ENCRYPTS),
    (r"archive-repo\d+-cipher", ENCRYPTS),
    (r"(archive-repo\d+|mongo-backup-s3|services-s3|objects)-key(-secret)?", THE_STORES),
)


@dataclass(frozen=True)
class Listed:
    """A secret. `how` it is rotated, or why not; `days` since it is in force, None: not made."""

    name: str
    opens: str
    how: str
    rotatable: bool
    days: float | None
    half: bool = False


def rotatables(context: LocalContext, say: Say) -> tuple[Rotatable, ...]:
    """All that can be rotated, in that order: what takes the longest last."""
    target = context.target
    found = (
        *mongo.rotation.rotatables(context, target),
        *manifests.rotation.rotatables(context, target),
        *postgres.rotation.rotatables(context, target),
        mongo.rotation.key_file(context, target, say),
    )
    return tuple(_with_clients(context, one) for one in found)


def of_clients(context: LocalContext) -> frozenset[str]:
    """The secrets that the services' instances log in or sign with."""
    application = names.application(context.topology)
    return frozenset(
        {
            secret(APPLICATION),
            names.secret(application),
            redis.APPLICATION_SECRET,
            manifests.rotation.JWT,
        }
    )


def of_exporter() -> frozenset[str]:
    """Those that the exporter logs in with."""
    return frozenset(
        {
            secret(MONITOR),
            names.secret(names.MONITOR),
            names.secret(names.STATS_USER),
            redis.APPLICATION_SECRET,
        }
    )


def why_kept(name: str) -> str:
    """Why a secret is not rotated; "" for one that is no such."""
    return next((why for form, why in KEPT if re.fullmatch(form, name)), "")


def due(
    order: Sequence[str], asked: Sequence[str], half: Iterable[str], left: Sequence[str]
) -> tuple[str, ...]:
    """What this run does, in order: what was begun, then what is asked for.

    Without a name that is what a run that was cut off has left, else everything. Pure.
    """
    begun = [name for name in order if name in {*half}]
    wanted = {*asked} or {*left} or {*order}
    return (*begun, *(name for name in order if name in wanted and name not in begun))


def listed(context: LocalContext) -> list[Listed]:
    """Every secret of the cluster."""
    store, now = context.secrets, time.time()
    known = {one.name: one for one in rotatables(context, lambda _: None)}
    half = _half(known.values(), store)
    rows = [
        Listed(
            name, one.opens, one.how, rotatable=True, days=_days(store, one, now), half=name in half
        )
        for name, one in known.items()
    ]
    files = {one.kept_as for one in known.values()} | {one.after for one in known.values()}
    for name in store.kept():
        if name not in files:
            why = why_kept(name) or "nothing uses it now"
            rows.append(Listed(name, "", why, rotatable=False, days=_age(store, name, now)))
    return rows


def check(context: LocalContext, asked: Sequence[str]) -> tuple[str, ...]:
    """What a run would do. Raises InvalidInputError for an unknown name, RefusedError for one that
    is never rotated.
    """
    table = rotatables(context, lambda _: None)
    order = [one.name for one in table]
    for name in asked:
        if why := why_kept(name):
            raise RefusedError(f"{name} is not rotated", why)
    if unknown := sorted({*asked} - {*order}):
        raise InvalidInputError(
            f"no secret to rotate: {', '.join(unknown)}", f"there are: {', '.join(order)}"
        )
    return due(order, asked, _half(table, context.secrets), _left(context.layout))


def rotate_all(context: LocalContext, asked: Sequence[str], say: Say) -> list[Rotated]:
    """Rotate these, all without any, one after the other.

    Raises RefusedError before anything is touched where a server is not as it should be; any error
    of one secret ends the run, and the next goes on with it.
    """
    with at_work(context, "secrets rotate"):
        if resumed := finish(context, data_servers(context)):
            say(f"{resumed} was stopped by a restart that was killed: it is started")
        names = check(context, asked)
        _refuse(context)
        if not _half(rotatables(context, say), context.secrets):
            _refuse_unprovisioned(context)
        done = []
        for place, name in enumerate(names, 1):
            _note(context.layout, names[place - 1 :])
            # Looked up again: what was rotated before is in what its functions know.
            one = next(each for each in rotatables(context, say) if each.name == name)
            done.append(rotate(context, one))
            say(f"{place}/{len(names)} {_said(done[-1])}")
        (context.layout.root / LEFT).unlink(missing_ok=True)
        return done


def refuse_half_rotated(context: LocalContext) -> None:
    """Raises RefusedError where a secret is between two: what is about to be written would undo it.

    A server that takes the new one already would refuse whoever sets it right. Where none runs,
    they are started with what is in force: nothing could go on with the rest before that.
    """
    half = context.secrets.half_rotated()
    if half and context.target.supervisor.alive():
        raise RefusedError(
            f"`secrets rotate` was cut off: {', '.join(half)}",
            "run `skillswap-ops secrets rotate` again: it goes on",
        )


def _with_clients(context: LocalContext, one: Rotatable) -> Rotatable:
    """The same, with those told who use the secret and are no server of its engine."""
    first: list[Callable[[], None]] = []
    last: list[Callable[[], None]] = []
    if one.name in of_clients(context):
        first.append(partial(_tell_instances, context))
    if one.name in of_exporter() and monitoring.is_up(context):
        last.append(partial(_restart_exporter, context))

    def switch(ahead: Context) -> None:
        for tell in first:
            tell()
        one.switch(ahead)

    def settle() -> None:
        for tell in first:
            tell()
        one.settle()
        for tell in last:
            tell()

    return replace(one, switch=switch, settle=settle)


def _tell_instances(context: LocalContext) -> None:
    """Their settings files name what is in force, and what may be so already."""
    for server in instance_servers(context):
        context.target.write(server)


def _restart_exporter(context: LocalContext) -> None:
    """It reads passwords once, and misses a scrape."""
    restart_server(context, monitoring.exporter(context))


def _refuse(context: LocalContext) -> None:
    found = releases.load(context.layout.releases)
    if found.change is not None:
        raise RefusedError(
            f"a change of the services is half done: {found.change.what}",
            "run `skillswap-ops provision`, which ends it",
        )
    old = sorted(
        name
        for name in found.services
        if (revision := found.wanted(name)) is not None
        and not (context.layout.images / revision.version / TAKES).exists()
    )
    if old:
        raise RefusedError(
            f"code that does not take a changed password runs as {', '.join(old)}",
            "run `skillswap-ops services rollout` with this version first",
        )


def _refuse_unprovisioned(context: LocalContext) -> None:
    target = context.target
    changed = [
        server.name
        for server in all_servers(context)
        if target.state(server).running and not target.runs_as_written(server)
    ]
    if changed:
        raise RefusedError(
            f"not as the topology says: {', '.join(changed)}",
            "run `skillswap-ops provision` first",
        )


def _half(table: Iterable[Rotatable], store: SecretStore) -> frozenset[str]:
    begun = {*store.half_rotated()}
    return frozenset(one.name for one in table if one.kept_as in begun)


def _left(layout: Layout) -> tuple[str, ...]:
    try:
        return tuple((layout.root / LEFT).read_text("utf-8").split())
    except FileNotFoundError:
        return ()


def _note(layout: Layout, left: Sequence[str]) -> None:
    write_private(layout.root / LEFT, "\n".join(left) + "\n")


def _days(store: SecretStore, one: Rotatable, now: float) -> float | None:
    return _age(store, one.after or one.kept_as, now)


def _age(store: SecretStore, name: str, now: float) -> float | None:
    return (now - store.made_at(name)) / DAY if store.find(name) else None


def _said(done: Rotated) -> str:
    refused = f"the former one is refused at {len(done.doors)} doors" if done.doors else "in force"
    unasked = f"; not asked, no answer: {', '.join(done.unasked)}" if done.unasked else ""
    note = f"; {done.note}" if done.note else ""
    return f"{done.name}: {refused}{unasked}{note}, {done.seconds:.1f} s"
