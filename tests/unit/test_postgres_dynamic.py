"""Patroni's dynamic configuration: what is wanted, and the patch that heals a drift."""

from pathlib import Path

import pytest

from cluster.errors import RefusedError
from postgres.dynamic import JsonObject, describe, difference, parse, refuse_exchanged_parts
from postgres.scopes import dr_scope, primary_scope
from postgres.servers import dynamic_configuration
from tests.unit.postgres_samples import context

LIVE: JsonObject = {
    "ttl": 20,
    "postgresql": {"parameters": {"a": 1, "b": 2}},
    "slots": {"x": {"type": "p"}},
}


def test_equal_needs_no_difference() -> None:
    assert difference(LIVE, LIVE) == {}


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ({**LIVE, "ttl": 30}, {"ttl": 20}),
        ({**LIVE, "pause": True}, {"pause": None}),
        ({"ttl": 20}, {"postgresql": LIVE["postgresql"], "slots": LIVE["slots"]}),
        (
            {**LIVE, "postgresql": {"parameters": {"a": 1, "b": 3, "c": 4}}},
            {"postgresql": {"parameters": {"c": None, "b": 2}}},
        ),
        ({**LIVE, "slots": None}, {"slots": LIVE["slots"]}),
        ({**LIVE, "ttl": "20"}, {"ttl": 20}),
    ],
)
def test_drift_is_put_back(live: JsonObject, expected: JsonObject) -> None:
    assert difference(live, LIVE) == expected


def test_a_change_of_part_is_refused(tmp_path: Path) -> None:
    of = context(tmp_path)
    primary, dr = primary_scope(of), dr_scope(of)
    assert dr is not None
    standby: JsonObject = {**LIVE, "standby_cluster": {"host": "h"}}
    with pytest.raises(RefusedError, match="payments-dr is promoted"):
        refuse_exchanged_parts(dr, LIVE, writable=True)
    with pytest.raises(RefusedError, match="payments is a standby cluster"):
        refuse_exchanged_parts(primary, standby, writable=False)
    refuse_exchanged_parts(primary, LIVE, writable=True)
    refuse_exchanged_parts(dr, standby, writable=False)
    # Somebody took the word out of its configuration, and it was not promoted: put it back.
    refuse_exchanged_parts(dr, LIVE, writable=False)


def test_what_etcd_holds_may_be_anything() -> None:
    assert parse('{"ttl": 20}') == {"ttl": 20}
    assert parse("") == parse("[]") == parse("{") == {}


def test_changes_are_named() -> None:
    changes: JsonObject = {"ttl": 20, "postgresql": {"parameters": {"b": None}}}
    assert describe(changes) == "postgresql.parameters.b, ttl"


def test_primary_scope(tmp_path: Path) -> None:
    of = context(tmp_path)
    config = dynamic_configuration(of, primary_scope(of))
    assert config["synchronous_mode"] is True
    assert config["synchronous_mode_strict"] is False
    assert config["failsafe_mode"] is True
    assert config["slots"] == {"payments_dr": {"type": "physical"}}
    assert "standby_cluster" not in config


def test_dr_scope_follows_through_both_proxies(tmp_path: Path) -> None:
    of = context(tmp_path)
    dr = dr_scope(of)
    assert dr is not None
    config = dynamic_configuration(of, dr)
    assert config["synchronous_mode"] is False
    assert config["standby_cluster"] == {
        "host": "127.77.62.1,127.77.62.2",
        "port": 5001,
        "primary_slot_name": "payments_dr",
        "create_replica_methods": ["basebackup"],
    }


def test_topology_parameters_win(tmp_path: Path) -> None:
    of = context(tmp_path, {"postgres.parameters": {"max_connections": 300, "work_mem": "8MB"}})
    config = dynamic_configuration(of, primary_scope(of))
    parameters = config["postgresql"]["parameters"]  # type: ignore[index,call-overload]
    assert parameters["max_connections"] == 300  # type: ignore[index,call-overload]
    assert parameters["work_mem"] == "8MB"  # type: ignore[index,call-overload]


def test_nothing_gives_durability_away(tmp_path: Path) -> None:
    of = context(tmp_path)
    parameters = dynamic_configuration(of, primary_scope(of))["postgresql"]["parameters"]  # type: ignore[index,call-overload]
    assert not {"fsync", "full_page_writes"} & parameters.keys()  # type: ignore[union-attr]
    assert parameters["synchronous_commit"] == "on"  # type: ignore[index,call-overload]


def test_without_dr_there_is_no_slot(tmp_path: Path) -> None:
    of = context(tmp_path, {"postgres.dr": None})
    assert dr_scope(of) is None
    assert "slots" not in dynamic_configuration(of, primary_scope(of))
