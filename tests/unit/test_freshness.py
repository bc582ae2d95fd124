"""How old a replica's answer is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cluster.freshness import Answered, Asked, Reached, answered, as_of, staleness

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR_AGO = NOON - timedelta(hours=1)


def of(asked: Asked | None, reached: Reached) -> Answered:
    return answered("MongoDB", "a-2", "secondary", asked, reached)


def test_a_replica_with_all_writes_is_not_behind_however_old_the_last_one() -> None:
    found = of(Asked(7, NOON), Reached(7, HOUR_AGO))
    assert (found.as_of, found.staleness_seconds) == (NOON, 0.0)
    assert found.text == "MongoDB: a-2 (secondary), not behind the primary"


def test_a_replica_that_went_on_since_the_primary_was_asked_is_not_behind() -> None:
    assert of(Asked(7, NOON), Reached(9, NOON)).staleness_seconds == 0.0


def test_a_replica_that_lacks_a_write_is_as_old_as_its_newest() -> None:
    found = of(Asked(8, NOON), Reached(7, NOON - timedelta(seconds=2.5)))
    assert (found.as_of, found.staleness_seconds) == (NOON - timedelta(seconds=2.5), 2.5)
    assert found.text == "MongoDB: a-2 (secondary), at most 2.5 s behind the primary"


def test_without_a_primary_nobody_knows_how_far_behind_it_is() -> None:
    found = of(None, Reached(7, HOUR_AGO))
    assert (found.as_of, found.staleness_seconds) == (HOUR_AGO, None)
    assert "the primary does not answer" in found.text


def test_a_standby_that_never_replayed_a_commit_lacks_something() -> None:
    assert of(Asked(8, NOON), Reached(7, None)).staleness_seconds is None


def test_bytes_are_told_where_they_are_counted() -> None:
    found = replace(of(Asked(8, NOON), Reached(7, HOUR_AGO)), staleness_bytes=12345)
    assert found.text.endswith("at most 3600.0 s and 12,345 bytes behind the primary")


def test_an_answer_of_several_is_as_old_as_the_oldest_part() -> None:
    fresh = of(Asked(7, NOON), Reached(7, NOON))
    old = of(Asked(7, NOON), Reached(6, HOUR_AGO))
    assert (staleness([fresh, old]), as_of([fresh, old])) == (3600.0, HOUR_AGO)


def test_one_part_of_unknown_age_makes_the_whole_unknown() -> None:
    fresh = of(Asked(7, NOON), Reached(7, NOON))
    unknown = of(None, Reached(7, HOUR_AGO))
    assert staleness([fresh, unknown]) is None
    assert as_of([fresh, unknown]) == HOUR_AGO
