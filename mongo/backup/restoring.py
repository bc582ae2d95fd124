"""Restores beside the cluster: every set's copy, recovered to one instant, into a folder."""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from cluster import tls
from cluster.backup.contracts import Say
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.files import write_atomic
from cluster.inventory import Node, address
from cluster.target import ToolResult
from mongo import nodes
from mongo.backup import settings
from mongo.backup.planning import Plan, SetPlan
from mongo.backup.recover import transactions
from mongo.backup.recover.model import KEYFILE_TEXT, PLACE, Job, Outcome, PieceModel
from mongo.credentials import KEYFILE, keyfile
from mongo.nodes import CONFIG_PORT, SHARD_PORT, SetNodes

BLOCK = 190  # third octet of the addresses where restored copies may listen
JOB = "recover.json"
CONF = "mongod.conf"
SECONDS = 24 * 3600.0
WORKERS = 2  # servers of a restore at once: the cluster beside it lives too


@dataclass(frozen=True)
class Beside:
    """Every set's copy; `seconds` is the time that it took."""

    folder: Path
    outcomes: Mapping[str, Outcome]
    seconds: float

    @property
    def bytes(self) -> int:
        """Of the data and of the oplog that was replayed."""
        return sum(outcome.bytes for outcome in self.outcomes.values())


def restore(
    context: Context,
    plan: Plan,
    folder: Path,
    say: Say,
    terms: Mapping[str, int] = MappingProxyType({}),
) -> Beside:
    """Restore all sets into a folder, which is empty. Raises OpsError.

    `terms` are those that sets which go on from there have come to.
    """
    began = time.monotonic()
    sets = {one.name: one for one in nodes.replica_sets(context)}
    check_sets(plan, sets)
    refuse_full(folder)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    say(f"from the snapshot {plan.manifest.label} to {plan.instant:%Y-%m-%d %H:%M:%S} UTC")
    jobs = {p.replica_set: _job(context, plan, p, folder) for p in plan.sets}
    jobs = {name: job.model_copy(update={"term": terms.get(name, 0)}) for name, job in jobs.items()}
    outcomes = _each(context, jobs)
    decided = transactions.decide(outcomes)
    for name, doubt in decided.items():
        committed = sum(one.commit is not None for one in doubt)
        say(f"{name}: of {len(doubt)} prepared transactions {committed} are committed")
    again = {
        name: jobs[name].model_copy(update={"decided": doubt}) for name, doubt in decided.items()
    }
    for name, settled in _each(context, again).items():
        if settled.doubt:
            raise OpsError(f"{name}: {len(settled.doubt)} prepared transactions are still open")
        more = {"last": settled.last, "hash": settled.hash, "doubt": ()}
        outcomes[name] = outcomes[name].model_copy(update=more)
    for name, outcome in outcomes.items():
        say(f"{name}: {outcome.replayed:,} entries replayed, up to {outcome.last.instant:%H:%M:%S}")
    for replica_set in sets.values():
        _write_conf(context, replica_set, folder / replica_set.name)
    return Beside(folder, outcomes, time.monotonic() - began)


def check_sets(plan: Plan, sets: Mapping[str, SetNodes]) -> None:
    """Raises RefusedError where the snapshot is of other shards than there are now."""
    saved, now = set(plan.manifest.sets), set(sets)
    if saved != now:
        raise RefusedError(
            f"the snapshot {plan.manifest.label} holds {', '.join(sorted(saved))}; "
            f"the cluster has {', '.join(sorted(now))}",
            "restore with the topology file that the cluster had then",
        )


def refuse_full(folder: Path) -> None:
    """Raises InvalidInputError where there is something in the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"{folder} is not empty", "name a folder that is, or none yet")


def place_of(context: Context, replica_set: str) -> tuple[str, int]:
    """Where a set's copy listens: an address of its own, the port that it has in the cluster."""
    names = [one.name for one in nodes.replica_sets(context)]
    index = names.index(replica_set) + 1
    port = CONFIG_PORT if index == 1 else SHARD_PORT
    return address(context.topology, BLOCK, index), port


def _job(context: Context, plan: Plan, of: SetPlan, folder: Path) -> Job:
    listens, port = place_of(context, of.replica_set)
    return Job(
        replica_set=of.replica_set,
        folder=str(folder / of.replica_set),
        mongod=context.programs.mongod(),
        keyfile=str(folder / of.replica_set / KEYFILE),
        address=listens,
        port=port,
        tls=str(folder / of.replica_set / tls.PEM) if tls.issued_here(context) else "",
        trust=context.trust if tls.issued_here(context) else "",
        snapshot=plan.manifest.sets[of.replica_set].key,
        pieces=tuple(
            PieceModel(
                history=one.slice.history,
                prev=one.slice.prev,
                last=one.slice.last,
                after=one.after,
                upto=one.upto,
            )
            for one in of.pieces
        ),
        cut=plan.cut,
    )


def _each(context: Context, jobs: Mapping[str, Job]) -> dict[str, Outcome]:
    """Recover the sets, some at once."""
    with ThreadPoolExecutor(WORKERS) as pool:
        running = {name: pool.submit(_recover, context, job) for name, job in jobs.items()}
        return {name: future.result() for name, future in running.items()}


def _recover(context: Context, job: Job) -> Outcome:
    """One set, in a process of the servers' user, which dies with this one."""
    own = owner(context)
    folder = Path(job.folder)
    if not folder.exists():
        folder.mkdir(mode=0o700)
        own.give(folder)
    text = keyfile(context).get_secret_value()
    files = {KEYFILE: text, JOB: job.model_dump_json()}
    if job.tls:
        files[tls.PEM] = _certificate(context, job)
    for name, content in files.items():
        write_atomic(folder / name, content, mode=0o600, owner=own.uid)
    place = settings.place(context)
    ended = run(
        context,
        job.replica_set,
        ("mongo.backup.recover", str(folder / JOB)),
        {PLACE: place.model_dump_json(), KEYFILE_TEXT: text},
        SECONDS,
    )
    if ended.code:
        said = ended.stderr.strip().splitlines() or [f"it ended with code {ended.code}"]
        raise OpsError(f"{job.replica_set} was not restored: {said[-1]}", "`backup verify`")
    try:
        return Outcome.model_validate_json(ended.stdout)
    except ValidationError as error:
        raise OpsError(f"{job.replica_set} was not restored: {ended.stdout[:200]}") from error


def _certificate(context: Context, job: Job) -> str:
    """The copy's own, in its folder alone: nobody renews it."""
    name, authority = f"restored-{job.replica_set}", tls.authority(context)
    made = authority.pem(name, (job.address,))
    authority.forget(name)
    return made


def run(
    context: Context,
    replica_set: str,
    module: Sequence[str],
    env: Mapping[str, str],
    seconds: float,
) -> ToolResult:
    """Run a module of ours as the servers' user; its secrets are in its environment."""
    return context.target.run_tool(
        _first(context, replica_set),
        (sys.executable, "-m", *module),
        env={**env, "PYTHONPATH": ":".join(path for path in sys.path if path)},
        seconds=seconds,
    )


def _first(context: Context, replica_set: str) -> Node:
    return context.inventory.of(*nodes.PORTS, group=replica_set)[0]


@dataclass(frozen=True)
class Owner:
    """Whom the servers' folders belong to; None where that is whoever calls."""

    uid: int | None
    gid: int | None

    def give(self, path: Path) -> None:
        """Give them something."""
        if self.uid is not None and self.gid is not None:
            shutil.chown(path, self.uid, self.gid)


def owner(context: Context) -> Owner:
    """As the cluster's own data folders are owned. Raises RefusedError where there are none."""

    node = nodes.config_servers(context).nodes[0]
    try:
        found = context.layout.node(node).stat()
    except FileNotFoundError as error:
        raise RefusedError(
            f"{node.name} has no folder yet", "run `provision`, then restore into it"
        ) from error
    if os.geteuid() != 0:
        return Owner(None, None)
    return Owner(found.st_uid, found.st_gid)


def _write_conf(context: Context, replica_set: SetNodes, folder: Path) -> None:
    """What opens the copy for a look: alone, with its users, and nothing that changes it."""
    listens, port = place_of(context, replica_set.name)
    ours = (
        f", tls: {{mode: requireTLS, certificateKeyFile: {folder}/{tls.PEM}, "
        f"CAFile: {context.trust}, allowConnectionsWithoutCertificates: true}}"
    )
    secured = ours if tls.issued_here(context) else ""
    text = f"""# {replica_set.name} as it was, for a look: no member of any set.
net: {{bindIp: {listens}, port: {port}, unixDomainSocket: {{enabled: false}}{secured}}}
storage: {{dbPath: {folder}/data, wiredTiger: {{engineConfig: {{cacheSizeGB: 0.25}}}}}}
security: {{authorization: enabled, keyFile: {folder}/{KEYFILE}}}
setParameter:
  ttlMonitorEnabled: false
  disableLogicalSessionCacheRefresh: true
  diagnosticDataCollectionEnabled: false
"""
    write_atomic(folder / CONF, text, owner=owner(context).uid)


def how(context: Context, folder: Path) -> str:
    """How to look at what was restored, in a line."""
    mongod = context.programs.mongod()
    sets = ", ".join(one.name for one in nodes.replica_sets(context))
    return (
        f"as the servers' user: {mongod} --config {folder}/SET/{CONF} (SET: {sets}); "
        f"its users are the cluster's"
    )
