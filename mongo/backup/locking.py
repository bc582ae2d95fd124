"""Locks a member for a copy, and holds the balancer; both are undone, by whoever comes next.

What is to be undone is on disk before it is done: a backup that was killed leaves a member that
takes no writes, which looks healthy until an election needs it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from pymongo.errors import OperationFailure

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.files import write_atomic
from cluster.inventory import Node
from mongo import nodes
from mongo.client import Client, node_client, router_client
from mongo.credentials import ADMIN, internal, login
from mongo.servers import RouterKind, router_kind, servers

JOURNAL = "mongo-backup.json"
LOCK_SECONDS = 600  # a locked member copies nothing: its set has one member less meanwhile
UNLOCK_SECONDS = 20.0
BALANCER_SECONDS = 60.0


class Held(BaseModel):
    """What a backup has to undo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    locked: tuple[str, ...] = ()  # nodes
    balancer: bool = False  # whether it ran, and has been stopped


def journal(context: Context) -> Path:
    """Where it is written down."""
    return context.layout.root / JOURNAL


def held(context: Context) -> Held | None:
    """What a backup that did not end has to undo; None for nothing."""
    try:
        return Held.model_validate_json(journal(context).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RefusedError(
            f"{journal(context)} cannot be read",
            "unlock the members by hand (db.fsyncUnlock()), then remove the file",
        ) from error


def release(context: Context) -> tuple[str, ...]:
    """Undo what a backup that was killed has left; what was done. Idempotent.

    Raises OpsError where a member that should be unlocked does not answer.
    """
    found = held(context)
    if found is None:
        return ()
    done = [f"unlocked {name}" for name in found.locked if _unlock(context, name)]
    if found.balancer:
        _balance(context, on=True)
        done.append("started the balancer")
    journal(context).unlink(missing_ok=True)
    return tuple(done)


@contextmanager
def balancer_held(context: Context) -> Iterator[None]:
    """No chunk moves while the block runs."""
    stopped = router_kind(context) is RouterKind.MONGOS and _balances(context)
    if stopped:
        _write(context, Held(balancer=True))
        _balance(context, on=False)
    try:
        yield
    finally:
        release(context)


@contextmanager
def locked(context: Context, node: Node) -> Iterator[Client]:
    """The member is flushed and takes no writes while the block runs."""
    before = held(context) or Held()
    with node_client(node, login(context, ADMIN), seconds=LOCK_SECONDS) as client:
        _write(context, before.model_copy(update={"locked": (node.name,)}))
        try:
            client.admin.command("fsync", lock=True)
            yield client
        finally:
            _unlock(context, node.name)
            _write(context, before)


def _write(context: Context, found: Held) -> None:
    if found == Held():
        journal(context).unlink(missing_ok=True)
    else:
        write_atomic(journal(context), found.model_dump_json() + "\n", mode=0o600)


def _unlock(context: Context, name: str) -> bool:
    """Unlock as often as it was locked; whether it was. A member that is down is not locked."""
    node = context.inventory.named(name)
    if not _runs(context, node):
        return False
    was = False

    def free() -> bool:
        nonlocal was
        with node_client(node, internal(context)) as client:
            with suppress(OperationFailure):
                was = client.admin.command("fsyncUnlock")["lockCount"] >= 0
            return not is_locked(client)

    wait_for(f"{name}, to be unlocked", free, seconds=UNLOCK_SECONDS, clock=context.clock)
    return was


def _runs(context: Context, node: Node) -> bool:
    try:
        own = [server for server in servers(context) if server.node == node]
        return any(context.target.state(server).running for server in own)
    except UnreachableError:
        return False


def is_locked(client: Client) -> bool:
    """Whether a member takes no writes."""
    answer = client.admin.command("currentOp", 1)
    return bool(answer.get("fsyncLock", False))


def _balances(context: Context) -> bool:
    with _router(context) as client:
        return str(client.admin.command("balancerStatus")["mode"]) != "off"


def _balance(context: Context, *, on: bool) -> None:
    with _router(context) as client:
        client.admin.command(
            "balancerStart" if on else "balancerStop", maxTimeMS=int(BALANCER_SECONDS * 1000)
        )


@contextmanager
def _router(context: Context) -> Iterator[Client]:
    with router_client(
        nodes.routers(context), login(context, ADMIN), seconds=BALANCER_SECONDS
    ) as client:
        yield client


def locked_members(context: Context, among: Sequence[Node]) -> tuple[str, ...]:
    """Those of the members that are locked now; a silent one is passed over."""
    found = []
    for node in among:
        with suppress(OpsError), node_client(node, internal(context)) as client:
            if is_locked(client):
                found.append(node.name)
    return tuple(found)
