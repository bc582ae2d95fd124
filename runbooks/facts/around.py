"""Facts of what is around the stores: volumes, certificates, backups, services, half-done work."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mongo.status
import postgres.status
from cluster import audit
from cluster.backup.contracts import Backup, BackupEngine
from cluster.certificates import in_use, validity
from cluster.context import Context
from cluster.drill.evidence import VERDICT, runs
from cluster.drill.journal import Journal
from cluster.drill.verdict import Conclusion
from cluster.inventory import Kind, Node
from cluster.status import Health, NodeStatus
from manifests import objects, redis
from manifests.services import status as services
from mongo.backup.engine import MongoBackups
from mongo.nodes import is_mongo
from postgres import regions, restore_state
from postgres.backup_engine import PostgresBackups
from postgres.scopes import fenced_scope
from runbooks.facts.records import (
    Backups,
    Certificate,
    Fact,
    Facts,
    HalfRestored,
    OpenFault,
    Proof,
    RegionFact,
    Rollout,
    Server,
    ServiceFact,
    Volume,
)

GIGABYTE = 1024**3
PATIENT_SECONDS = 6.0  # to each node, asked a second time
PROOF_DRILL = "backup-proof"
NEVER = "never"
BACKUPS = "backups"
SERVICES = "services"


def mongo_servers(context: Context) -> Facts:
    """Every node of MongoDB."""
    seen = confirmed(
        lambda: mongo.status.status(context), lambda: mongo.status.status(context, PATIENT_SECONDS)
    )
    return Facts(_servers("mongo", seen))


def postgres_servers(context: Context) -> Facts:
    """Every node of PostgreSQL, but for the etcd of a region that is fenced on purpose."""
    fenced = fenced_scope(context)
    away = set(fenced.etcd) if fenced else set()
    every = confirmed(lambda: postgres.status.status(context))
    seen = [one for one in every if one.node not in away]
    return Facts(_servers("postgres", seen))


def other_servers(context: Context) -> Facts:
    """Redis and the object store."""
    seen = confirmed(lambda: (*redis.status(context), *objects.status(context)))
    return Facts(_servers("other", seen))


Ask = Callable[[], Sequence[NodeStatus]]


def confirmed(ask: Ask, patiently: Ask | None = None) -> tuple[NodeStatus, ...]:
    """What was seen, and who did not seem well asked once more: the better of both counts.

    `status` gives each a second, which a healthy server on an overloaded machine may not keep.
    """
    first = ask()
    if all(one.health is Health.OK for one in first):
        return tuple(first)
    again = {one.node: one for one in (patiently or ask)()}
    return tuple(_better(one, again.get(one.node, one)) for one in first)


def _better(first: NodeStatus, second: NodeStatus) -> NodeStatus:
    order = (Health.OK, Health.DEGRADED, Health.DOWN)
    return min(second, first, key=lambda one: order.index(one.health))


def deployed(context: Context) -> Facts:
    """The services, their instances and proxies, and a change of them that was begun."""
    seen = services.overview(context, {})
    facts: list[Fact] = [
        Server(
            proxy.node.name,
            SERVICES,
            SERVICES,
            proxy.node.kind,
            "ok" if proxy.answers else "down",
            "proxy",
            proxy.why,
        )
        for proxy in seen.proxies
    ]
    for service in seen.services:
        facts.append(
            ServiceFact(
                service.name,
                SERVICES,
                service.ready,
                service.wanted,
                service.coming or 0,
                service.last,
            )
        )
        facts += [
            Server(
                one.node.name,
                SERVICES,
                SERVICES,
                one.node.kind,
                _instance_health(one),
                "instance",
                one.why,
            )
            for one in service.instances
        ]
    if seen.change:
        facts.append(Rollout(seen.change, SERVICES, busy(context)))
    return Facts(tuple(facts))


def volumes(context: Context) -> Facts:
    """Each file system that holds data, once, by the first node that it holds."""
    found: dict[int, Volume] = {}
    for node in context.inventory.nodes:
        for holds, folder in _folders(context, node):
            with suppress(OSError):
                device = folder.stat().st_dev
                found.setdefault(device, volume(node.name, holds, folder))
    return Facts(tuple(found.values()))


def volume(node: str, holds: str, folder: Path) -> Volume:
    """The file system below a folder, as an unprivileged server may fill it."""
    usage = shutil.disk_usage(folder)
    usable = usage.used + usage.free
    used = 100 * usage.used / usable if usable else 100.0
    return Volume(node, node, holds, used, usage.free / GIGABYTE)


def certificates(context: Context) -> Facts:
    """Of every server, and of the authority."""
    now, facts = datetime.now(UTC), []
    for name, path in in_use(context.layout).items():
        with suppress(OSError, ValueError):
            facts.append(Certificate(name, "certificates", validity(path.read_bytes()).days(now)))
    return Facts(tuple(facts))


def mongo_backups(context: Context) -> Facts:
    """MongoDB's snapshots."""
    if not context.topology.mongo.backup.enabled:
        return Facts(())
    return Facts((_of_engine(context, MongoBackups()),))


def postgres_backups(context: Context) -> Facts:
    """PostgreSQL's backups."""
    return Facts((_of_engine(context, PostgresBackups()),))


def backups_fact(engine: str, found: Iterable[Backup], now: datetime, made: datetime) -> Backups:
    """An engine's good backups; `made` is when the cluster was."""
    good = [one for one in found if one.good]
    newest = max((one.stopped for one in good), default=None)
    age = None if newest is None else (now - newest) / timedelta(hours=1)
    return Backups(engine, BACKUPS, len(good), age, (now - made) / timedelta(hours=1))


def proof(context: Context) -> Facts:
    """The newest proof that showed something."""
    allowed = context.topology.sla.restore_proof
    for folder in reversed(runs(context.layout.drills)):
        if PROOF_DRILL not in folder.name:
            continue
        found = _verdict(folder)
        if found in {Conclusion.PASS, Conclusion.FAIL}:
            age = _age_days(folder / VERDICT)
            return Facts((Proof(PROOF_DRILL, BACKUPS, found, age, allowed, age > allowed),))
    never_for = made_at(context)
    late = (datetime.now(UTC) - never_for) / timedelta(days=1) > allowed
    return Facts((Proof(PROOF_DRILL, BACKUPS, NEVER, None, allowed, late),))


def half_done(context: Context) -> Facts:
    """Faults of drills, changes of region and restores that were begun and not ended."""
    at_work = busy(context)
    facts: list[Fact] = [
        OpenFault(entry.fault, entry.id, at_work)
        for entry in Journal(context.layout.drills).open_entries()
    ]
    found = regions.load(context.layout)
    scope = context.topology.postgres.scope
    change = found.stage.command.removeprefix("dr ")
    facts.append(RegionFact(scope, scope, found.stage, found.stage.resting, at_work, change))
    restoring = restore_state.load(context.layout)
    if restoring is not None and restoring.phase.touched:
        facts.append(HalfRestored(scope, scope, at_work, restoring.to))
    return Facts(tuple(facts))


def busy(context: Context) -> bool:
    """Whether a command that changes the cluster is at work: its lock is held.

    The kernel's table is read: to try the lock could turn a command away that wants it just then.
    """
    try:
        inode = str(context.layout.lock.stat().st_ino)
        held = Path("/proc/locks").read_text("ascii")
    except OSError:
        return False
    return holds_lock(held, inode)


def holds_lock(table: str, inode: str) -> bool:
    """Whether a line of /proc/locks is a flock of that inode: proc(5)."""
    lines = (line.split() for line in table.splitlines() if " -> " not in line)
    return any(
        len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode
        for words in lines
    )


def made_at(context: Context) -> datetime:
    """When the cluster was: its book's first line, else its oldest secret, tells."""
    if entry := audit.first(context.layout.audit):
        return entry.at
    oldest = min(
        (path.stat().st_mtime for path in context.layout.secrets.glob("*") if path.is_file()),
        default=datetime.now(UTC).timestamp(),
    )
    return datetime.fromtimestamp(oldest, UTC)


def _servers(engine: str, seen: Sequence[NodeStatus]) -> tuple[Server, ...]:
    alive = {one.node.group for one in seen if one.health is not Health.DOWN}
    return tuple(_server(engine, one, last=one.node.group not in alive) for one in seen)


def _server(engine: str, status: NodeStatus, *, last: bool) -> Server:
    return Server(
        status.node.name,
        status.node.group,
        engine,
        status.node.kind,
        status.health,
        status.role,
        status.detail,
        last,
    )


def _instance_health(one: services.InstanceStatus) -> str:
    return "ok" if one.ready else "degraded" if one.running else "down"


def _folders(context: Context, node: Node) -> list[tuple[str, Path]]:
    layout = context.layout
    if is_mongo(node) and node.kind is not Kind.ROUTER:
        return [("mongo", layout.data(node))]
    if node.kind is Kind.POSTGRES:
        wal = [("wal", layout.wal(node))] if context.topology.postgres.wal_volume else []
        return [("postgres", layout.data(node)), *wal]
    return []


def _of_engine(context: Context, engine: BackupEngine) -> Backups:
    found = engine.list(context)
    return backups_fact(engine.name, found, datetime.now(UTC), made_at(context))


def _verdict(folder: Path) -> str:
    try:
        said = json.loads((folder / VERDICT).read_bytes())
    except (OSError, ValueError):
        return ""
    return str(said.get("conclusion", "")) if isinstance(said, dict) else ""


def _age_days(path: Path) -> float:
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return (datetime.now(UTC) - written) / timedelta(days=1)
