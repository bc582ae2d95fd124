"""Reports from the replicas, each with who answered and how old the answer is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from cluster.context import Context
from cluster.freshness import Answered, as_of, staleness
from cluster.schema import sessions_messages, users_skills
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import APPLICATION, login
from mongo.references import assert_applied
from mongo.reports import MongoReports, SessionCount, Teacher
from mongo.staleness import choose
from postgres import reports
from postgres.reports import Revenue, SubscriptionCount
from postgres.staleness import reading

SECONDS = 600  # for one report
Row = TypeVar("Row")


@dataclass(frozen=True)
class Report(Generic[Row]):
    """The rows, and who answered."""

    rows: tuple[Row, ...]
    sources: tuple[Answered, ...]

    @property
    def as_of(self) -> datetime | None:
        """Until when it holds every write."""
        return as_of(self.sources)

    @property
    def staleness_seconds(self) -> float | None:
        """How old it can be at most, by the primaries' clocks; None where they do not answer."""
        return staleness(self.sources)


def first_of_month(now: datetime, months: int) -> datetime:
    """The beginning, in UTC, of the first of the `months` that end with the current one."""
    number = now.year * 12 + now.month - 1 - (months - 1)
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def reputation(context: Context, *, top: int, least: int, primary: bool) -> Report[Teacher]:
    """The best teachers, of those with at least `least` reviews."""
    segments = (sessions_messages.SEGMENT, users_skills.SEGMENT)
    with _mongo(context, segments, primary=primary) as (mongo, sources):
        return Report(mongo.reputation(top, least), sources)


def sessions(context: Context, *, since: datetime, primary: bool) -> Report[SessionCount]:
    """Sessions by month and status."""
    with _mongo(context, (sessions_messages.SEGMENT,), primary=primary) as (mongo, sources):
        return Report(mongo.sessions(since), sources)


def revenue(context: Context, *, since: datetime, primary: bool) -> Report[Revenue]:
    """Revenue by month and currency."""
    with reading(context, primary=primary) as read:
        schema = context.topology.postgres.database
        return Report(reports.revenue(read.connection, schema, since), (read.answered,))


def subscriptions(context: Context, *, primary: bool) -> Report[SubscriptionCount]:
    """Subscriptions by offer and status."""
    with reading(context, primary=primary) as read:
        schema = context.topology.postgres.database
        return Report(reports.subscriptions(read.connection, schema), (read.answered,))


@contextmanager
def _mongo(
    context: Context, segments: tuple[str, ...], *, primary: bool
) -> Iterator[tuple[MongoReports, tuple[Answered, ...]]]:
    choices = {segment: choose(context, segment, primary=primary) for segment in segments}
    account = login(context, APPLICATION)
    with router_client(nodes.routers(context), account, seconds=SECONDS) as client:
        assert_applied(client, segments)
        sources = tuple(choice.answered for choice in choices.values())
        yield MongoReports(client, choices), sources
