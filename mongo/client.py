"""Connections with short deadlines, and the driver's errors as the operator's.

Inside a `with` block pymongo's own exceptions are seen, so that codes can be told apart; what
leaves it is an OpsError.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.plan import Finding, todo
from mongo.credentials import Login
from mongo.nodes import SetNodes, host, port

Document = dict[str, Any]
Client = MongoClient[Document]
T = TypeVar("T")
R = TypeVar("R")

QUICK_SECONDS = 1.5  # a live server on the same network answers in milliseconds
SET_SECONDS = 15  # as long as an election may take (TP3 §5)
# A change to a set that was just made, on a machine that starts all the others meanwhile.
CHANGE_SECONDS = 60
MECHANISM = "SCRAM-SHA-256"

UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
NOT_YET_INITIALIZED = 94

SILENT_HINT = "look at `skillswap-ops logs NODE`; `provision` starts what is down"


@contextmanager
def node_client(
    node: Node, login: Login | None, *, seconds: float = QUICK_SECONDS
) -> Iterator[Client]:
    """A connection to this one server, whatever its state; anonymous without a login.

    No answer takes longer than `seconds`, and a closed port is known at once (the driver would
    try it again until then). Raises UnreachableError, RefusedError or OpsError that name the node.
    """
    knock(node, seconds)
    with _client(
        [host(node)], login, seconds, node.name, node.trust, directConnection=True
    ) as client:
        yield client


def knock(node: Node, seconds: float) -> None:
    """Raises UnreachableError at once where nothing listens, after `seconds` where none accepts."""
    try:
        knock_at(node.address, port(node), seconds)
    except UnreachableError as error:
        raise UnreachableError(
            f"{node.name} does not answer on {host(node)}: {error.message}", SILENT_HINT
        ) from error


def knock_at(address: str, number: int, seconds: float) -> None:
    """The same, of an address and a port."""
    try:
        socket.create_connection((address, number), seconds).close()
    except OSError as error:
        raise UnreachableError(error.strerror or str(error)) from error


@contextmanager
def set_client(
    replica_set: SetNodes, login: Login, *, seconds: float = SET_SECONDS
) -> Iterator[Client]:
    """A connection to a set's primary, found by the driver within `seconds`."""
    seeds = [host(node) for node in replica_set.nodes]
    name, trust = replica_set.name, replica_set.nodes[0].trust
    with _client(seeds, login, seconds, name, trust, replicaSet=name) as client:
        yield client


@contextmanager
def router_client(
    routers: Sequence[Node], login: Login, *, seconds: float = SET_SECONDS
) -> Iterator[Client]:
    """A connection through any one of these routers."""
    name = " or ".join(router.name for router in routers)
    hosts = [host(node) for node in routers]
    with _client(hosts, login, seconds, name, routers[0].trust) as client:
        yield client


def open_client(
    hosts: Sequence[str], login: Login | None, seconds: float, trust: str, **options: Any
) -> Client:
    """A client that the caller closes; pymongo's own errors. No operation outlives `seconds`.

    `trust` is the file by which it verifies the servers; empty: they speak in the clear.
    """
    milliseconds = int(seconds * 1000)
    credentials = _credentials(login) if login else {}
    return MongoClient(
        list(hosts),
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        timeoutMS=milliseconds,
        appname="skillswap-ops",
        **credentials,
        **secured(trust),
        **options,
    )


def secured(trust: str) -> dict[str, Any]:
    """The driver's options for servers that are verified by the file `trust`; none without one."""
    return {"tls": True, "tlsCAFile": trust} if trust else {}


@contextmanager
def _client(
    hosts: Sequence[str],
    login: Login | None,
    seconds: float,
    name: str,
    trust: str,
    **options: Any,
) -> Iterator[Client]:
    client = open_client(hosts, login, seconds, trust, **options)
    try:
        yield client
    except PyMongoError as error:
        raise as_ops_error(name, error) from error
    finally:
        client.close()


def _credentials(login: Login) -> dict[str, Any]:
    return {
        "username": login.user,
        "password": login.password.get_secret_value(),
        "authSource": login.database,
        "authMechanism": MECHANISM,
    }


def as_ops_error(name: str, error: PyMongoError) -> OpsError:
    """What the operator should make of the driver's error at the server or set `name`."""
    if isinstance(error, OperationFailure) and not error.timeout:
        if error.code in {UNAUTHORIZED, AUTHENTICATION_FAILED}:
            return RefusedError(
                f"{name} refused us: {error_text(error)}",
                "run `provision`, which sets users and passwords right",
            )
        return OpsError(f"{name}: {error_text(error)}")
    if isinstance(error, AutoReconnect) or error.timeout:
        return UnreachableError(
            f"{name} does not answer: {error_text(error)}",
            SILENT_HINT,
        )
    return OpsError(f"{name}: {error_text(error)}")


def error_text(error: PyMongoError) -> str:
    """One line of a driver's error, without the documents that it appends."""
    if isinstance(error, OperationFailure) and error.details:
        details = error.details
        return f"{details.get('errmsg', error)} ({details.get('codeName', error.code)})"
    return str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]


def ask_all(things: Sequence[T], ask: Callable[[T], R]) -> list[R]:
    """`ask` each of `things` at once; answers in their order."""
    with ThreadPoolExecutor(max(1, len(things)), thread_name_prefix="ask") as pool:
        return list(pool.map(ask, things))


def unless_silent(check: Callable[[], Finding]) -> Callable[[], Finding]:
    """The check, with a server that does not answer read as work to be done (or waited for)."""

    def patient() -> Finding:
        try:
            return check()
        except UnreachableError as error:
            return todo(error.message)

    return patient
