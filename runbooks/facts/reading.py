"""Reads all facts at once, each reader within a deadline: what does not answer is itself a fact."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from cluster.context import Context
from cluster.errors import OpsError
from runbooks.facts import around, mongo, postgres
from runbooks.facts.records import (
    Backups,
    Certificate,
    ClockOffset,
    EtcdFact,
    Facts,
    HalfRestored,
    MongoMember,
    MongoSet,
    OpenFault,
    PgArchive,
    PgMember,
    PgScope,
    PgSlot,
    Pooler,
    Proof,
    Proxy,
    RegionFact,
    Rollout,
    Server,
    ServiceFact,
    Unread,
    Volume,
    joined,
)

# Each reader bounds what it asks (4 s a server, or twice one second); pgBackRest takes
# a second or two. Whoever is later is not waited for.
SECONDS = 15.0


@dataclass(frozen=True)
class Reader:
    """Something that reads facts of these kinds."""

    what: str
    read: Callable[[Context], Facts]
    kinds: frozenset[str]


READERS = tuple(
    Reader(what, read, frozenset(one.kind for one in kinds))
    for what, read, kinds in (
        ("MongoDB's replica sets", mongo.read, (MongoSet, MongoMember, ClockOffset)),
        (
            "PostgreSQL's scopes",
            postgres.read,
            (PgScope, EtcdFact, PgMember, PgSlot, PgArchive, Pooler, Proxy, ClockOffset),
        ),
        ("MongoDB's nodes", around.mongo_servers, (Server,)),
        ("PostgreSQL's nodes", around.postgres_servers, (Server,)),
        ("Redis and objects", around.other_servers, (Server,)),
        ("the services", around.deployed, (Server, ServiceFact, Rollout)),
        ("volumes", around.volumes, (Volume,)),
        ("certificates", around.certificates, (Certificate,)),
        ("MongoDB's backups", around.mongo_backups, (Backups,)),
        ("PostgreSQL's backups", around.postgres_backups, (Backups,)),
        ("the proof of restores", around.proof, (Proof,)),
        ("what is half done", around.half_done, (OpenFault, RegionFact, HalfRestored)),
    )
)


def look(
    context: Context,
    kinds: Collection[str] | None = None,
    *,
    seconds: float = SECONDS,
    readers: Sequence[Reader] = READERS,
) -> Facts:
    """What can be seen within `seconds`, of these kinds or of all.

    Raises nothing: what cannot be read is said to be so.
    """
    asked = [one for one in readers if kinds is None or one.kinds & set(kinds)]
    pool = ThreadPoolExecutor(max(1, len(asked)), thread_name_prefix="facts")
    try:
        answers = [pool.submit(one.read, context) for one in asked]
        wait(answers, seconds)
        return joined(
            _facts(one.what, answer, seconds) for one, answer in zip(asked, answers, strict=True)
        )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _facts(name: str, answer: "Future[Facts]", seconds: float) -> Facts:
    if not answer.done():
        return Facts((), (Unread(name, f"no answer within {seconds:g} s"),))
    error = answer.exception()
    if error is None:
        return answer.result()
    why = error.message if isinstance(error, OpsError) else f"{type(error).__name__}: {error}"
    return Facts((), (Unread(name, why),))
