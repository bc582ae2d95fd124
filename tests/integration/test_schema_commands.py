"""`schema …` as a person runs it, on the whole topology."""

from collections.abc import Iterator
from typing import cast

import pytest
import yaml

from mongo.schema.live import admin
from tests.conftest import Lab, make_lab, remove_lab

pytestmark = pytest.mark.servers

Row = dict[str, str]


@pytest.fixture(scope="module")
def lab(shared_lab: Lab) -> Lab:
    """With the schema as it should be."""
    shared_lab.run("schema", "apply")
    return shared_lab


def rows(lab: Lab, *words: str, code: int) -> list[Row]:
    return cast("list[Row]", lab.json(*words, code=code))


def test_applied_there_is_no_difference(lab: Lab) -> None:
    assert rows(lab, "schema", "diff", code=0) == []
    assert {row["outcome"] for row in rows(lab, "schema", "apply", code=0)} == {"unchanged"}
    assert "0 steps would change" in lab.run("schema", "apply", "--dry-run").stderr


def test_one_broken_thing_is_one_red_line(lab: Lab) -> None:
    everything = ("AVIS", "ABONNEMENT")
    assert {row["outcome"] for row in rows(lab, "schema", "verify", *everything, code=0)} == {
        "passed"
    }
    with admin(lab.context) as client:
        client["sessions_messages"]["AVIS"].drop_index("id_cible_1_cree_le_-1")
    try:
        (difference,) = rows(lab, "schema", "diff", code=1)
        assert (difference["entity"], difference["found"]) == ("AVIS", None)
        proofs = rows(lab, "schema", "verify", *everything, code=1)
        (red,) = [row for row in proofs if row["outcome"] != "passed"]
        assert red["entity"] == "AVIS"
        assert "id_cible" in red["requirement"]
    finally:
        changed = [
            row for row in rows(lab, "schema", "apply", code=0) if row["outcome"] == "changed"
        ]
    assert len(changed) == 1
    assert rows(lab, "schema", "diff", code=0) == []


def test_an_unknown_entity_is_named(lab: Lab) -> None:
    ended = lab.run("schema", "verify", "SESION", code=2)
    assert "SESION" in ended.stderr
    assert "SESSION" in ended.stderr


def test_nothing_to_spread(lab: Lab) -> None:
    assert "nothing to spread" in lab.run("schema", "spread").stderr


@pytest.fixture
def spreading() -> Iterator[Lab]:
    """A topology whose third shard names the second one's segment; nothing runs."""
    lab = make_lab("127.94.0.0/16", "spreading")
    topology = yaml.safe_load(lab.topology.read_text("utf-8"))
    segment = topology["mongo"]["shards"][1]["segment"]
    topology["mongo"]["shards"].append({"name": "shard-c", "segment": segment})
    lab.topology.write_text(yaml.safe_dump(topology), "utf-8")
    yield lab
    remove_lab(lab)


def test_a_third_shard_prints_the_exact_plan(spreading: Lab) -> None:
    printed = spreading.run("schema", "spread", "--dry-run").stdout.splitlines()
    assert 'sh.addShardToZone("shard-b", "sessions_messages")' in printed
    assert 'sh.addShardToZone("shard-c", "sessions_messages")' in printed
    sharded = [line for line in printed if line.startswith("sh.shardCollection(")]
    assert len(sharded) == 10  # every collection of the segment
    assert 'sh.shardCollection("sessions_messages.MESSAGE", {id_session: "hashed"})' in sharded
