"""The promise of a payment, seen from an application's session: who confirms it, who reports."""

from collections.abc import Callable, Iterable, Iterator

import psycopg

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Kind
from cluster.schema.findings import Outcome, Proof
from cluster.schema.guarantees import PAYMENT
from cluster.schema.types import Store
from postgres import guarantees, names, patroni
from postgres.client import Connection, session, superuser, value
from postgres.guarantees import Way
from postgres.schema.drift import Difference
from postgres.schema.snapshot import PartKind
from postgres.scopes import primary_scope

STANDBYS = """
SELECT application_name, flush_lsn >= %s::pg_lsn FROM pg_stat_replication
WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"""


def prove(context: Context, found: Iterable[Difference]) -> Iterator[Proof]:
    """The lines that are the whole database's."""
    setting = next((each.part.name for each in found if each.part.kind is PartKind.SETTING), None)
    wanted = guarantees.synchronous_commit(PAYMENT)
    yield _line(
        f"a session of the application commits with synchronous_commit {wanted} (pooled, direct)",
        lambda: _commits(context, wanted) or (f"there is a {setting}" if setting else None),
    )
    yield _confirmed(context)
    yield _reports(context)


def _commits(context: Context, wanted: str) -> str | None:
    """Every proxy is asked: a session that was open before a change still has the old value."""
    for way in (Way.POOLED, Way.DIRECT):
        for proxy, connection in _sessions(context, way):
            found = value(connection, "SHOW synchronous_commit")
            if found != wanted:
                return f"{proxy} {way.value}: it is {found}"
    return None


def _confirmed(context: Context) -> Proof:
    text = "an acknowledged commit is on the named standby's disk"
    if not context.topology.postgres.synchronous_mode:
        return _skipped(text, "the topology says synchronous_mode: false")
    return _line(text, lambda: _unconfirmed(context))


def _unconfirmed(context: Context) -> str | None:
    """Commit a WAL record that belongs to no table, and ask the primary who has it on disk."""
    scope = primary_scope(context)
    leader = patroni.leader_of(scope)
    others = {node.name for node in scope.members} - {leader.name}
    with superuser(context, leader) as observer:
        named = value(observer, "SHOW synchronous_standby_names")
        # Asked first: without a standby a commit might wait for ever.
        if not others & _flushed(observer, "0/0").keys():
            return f"no standby of {scope.name} confirms it (named: {named or 'none'})"
        with guarantees.session(context) as connection:
            place = value(
                connection, "SELECT pg_logical_emit_message(true, 'skillswap-ops', 'verify')"
            )
        flushed = _flushed(observer, str(place))
    if any(flushed.get(name) for name in others):
        return None
    return "no synchronous standby had it when it was acknowledged"


def _flushed(observer: Connection, place: str) -> dict[str, bool]:
    """The synchronous standbys, and whether each has the WAL up to a place on its disk."""
    return dict(observer.execute(STANDBYS, [place]).fetchall())


def _reports(context: Context) -> Proof:
    way = guarantees.reporting_way(PAYMENT)
    text = f"reports (port {guarantees.PORTS[way]}) are answered by a standby"
    if len(primary_scope(context).members) < 2:
        return _skipped(text, "the topology has no standby beside the primary")

    def wrong() -> str | None:
        for proxy, connection in _sessions(context, way):
            if not value(connection, "SELECT pg_is_in_recovery()"):
                return f"{proxy} leads to the primary"
        return None

    return _line(text, wrong)


def _sessions(context: Context, way: Way) -> Iterator[tuple[str, Connection]]:
    """The application's session through each proxy by itself."""
    user = names.application(context.topology)
    for proxy in context.inventory.of(Kind.HAPROXY):
        with session(
            host=proxy.address,
            port=guarantees.PORTS[way],
            user=user,
            password=names.password(context, user),
            database=context.topology.postgres.database,
            trust=context.trust,
            statement_seconds=None,
        ) as connection:
            yield proxy.name, connection


def _line(text: str, wrong: Callable[[], str | None]) -> Proof:
    try:
        reason = wrong()
    except OpsError as error:
        reason = error.message
    except psycopg.Error as error:
        reason = str(error)
    outcome = Outcome.FAILED if reason else Outcome.PASSED
    return Proof(Store.POSTGRES, "", text, outcome, reason or "")


def _skipped(text: str, reason: str) -> Proof:
    return Proof(Store.POSTGRES, "", text, Outcome.SKIPPED, reason)
