"""The steps of the DR scope: what it streams from, and that it does."""

from cluster.context import Context
from cluster.plan import Finding, Step, done, todo
from postgres import edge, names, patroni
from postgres.client import superuser, value
from postgres.scopes import Scope, slot_name
from postgres.servers import source_step
from postgres.steps.common import (
    leader_step,
    or_todo,
    proxy_starts,
    seen,
    until,
)

SOURCE_SECONDS = 30
STREAM_SECONDS = 120


def steps(context: Context, primary: Scope, dr: Scope) -> tuple[Step, ...]:
    """The steps of a scope that follows another."""
    return (_source(context, primary, dr), _stream(context, primary, dr))


def _source(context: Context, primary: Scope, dr: Scope) -> Step:
    slot = slot_name(dr)

    def check() -> Finding:
        with superuser(context, patroni.leader_of(primary)) as connection:
            kind = value(
                connection, "SELECT slot_type FROM pg_replication_slots WHERE slot_name = %s", slot
            )
        if kind is None:
            return todo(f"there is no slot {slot}")
        edge.reach_primary(context, names.DIRECT_PORT, names.SUPERUSER, "postgres")
        return done(f"slot {slot} keeps WAL")

    def act() -> None:
        patroni.wake(patroni.leader_of(primary), names.password(context, names.REST_USER))
        until(context, f"slot {slot}", lambda: check().done, SOURCE_SECONDS)

    return Step(
        source_step(dr),
        dr.component,
        f"keep WAL for {dr.name} in a slot, within reach through the proxies",
        or_todo(check),
        act,
        (leader_step(primary), *proxy_starts(context)),
    )


def _stream(context: Context, primary: Scope, dr: Scope) -> Step:
    def streaming() -> str | None:
        source, follower = patroni.leader_of(primary), patroni.leader_of(dr)
        row = patroni.state(source).standby(follower.name)
        if row is None or row.state != "streaming":
            return None
        return f"{follower.name} streams from {source.name}"

    return Step(
        f"stream to {dr.name}",
        dr.component,
        f"wait until {dr.name} streams from {primary.name}",
        seen(streaming, "nobody streams"),
        lambda: until(context, f"stream to {dr.name}", streaming, STREAM_SECONDS),
        (leader_step(dr), leader_step(primary)),
    )
