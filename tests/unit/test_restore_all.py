"""Both stores to one instant: nobody writes while only one of them is there."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

import postgres.restore_in_place
from cluster.backup.contracts import Target
from cluster.errors import InvalidInputError
from mongo import leaving
from skillswap_ops import one_instant
from tests.unit.postgres_samples import context

AT = Target(time=datetime(2026, 11, 26, tzinfo=UTC))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in order."""
    done: list[str] = []

    def note(what: str) -> object:
        return lambda *_: done.append(what)

    def in_place(*_: object, before: object) -> None:
        done.append("postgres prepared")
        before()  # type: ignore[operator]
        done.append("postgres restored")

    engine = SimpleNamespace(
        assert_reachable=note("mongo can"), restore_in_place=note("mongo restored")
    )
    monkeypatch.setattr(one_instant, "MONGO", engine)
    monkeypatch.setattr(leaving, "stop_routers", note("routers stopped"))
    monkeypatch.setattr(postgres.restore_in_place, "in_place", in_place)
    return done


def test_nobody_writes_from_before_postgres_is_stopped_until_mongo_is_back(
    tmp_path: Path, calls: list[str]
) -> None:
    one_instant.put_back(context(tmp_path), AT, lambda _: None)
    assert calls == [
        "mongo can",
        "postgres prepared",
        "routers stopped",
        "postgres restored",
        "mongo restored",
    ]


def test_what_postgres_cannot_reach_stops_nobody(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise InvalidInputError("past the last commit")

    monkeypatch.setattr(postgres.restore_in_place, "in_place", refused)
    with pytest.raises(InvalidInputError):
        one_instant.put_back(context(tmp_path), AT, lambda _: None)
    assert calls == ["mongo can"]
