"""A segment on several shards: the topology's part, and the plan that spreads it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import MaxKey, MinKey

from cluster.errors import InvalidInputError, RefusedError
from cluster.plan import Finding, done, todo
from cluster.schema import catalogue
from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity, ShardKey
from cluster.topology_rules import lint_topology
from mongo.endpoints import endpoints
from mongo.schema import spread_steps
from mongo.schema.spread import plan, plans
from mongo.schema.spread_keys import checked_key, key_index
from mongo.sharding import Place, steps
from mongo.users import SEGMENT_USER, cluster_roles
from tests.unit.mongo_samples import context
from tests.unit.topology_samples import topology

THIRD: dict[str, object] = {
    "mongo.shards[2]": {"name": "shard-c", "segment": "sessions_messages"},
}


def test_shards_may_share_a_segment() -> None:
    found = topology(THIRD).mongo.segments
    assert {name: [shard.name for shard in shards] for name, shards in found.items()} == {
        "users_skills": ["shard-a"],
        "sessions_messages": ["shard-b", "shard-c"],
    }


def test_a_shared_segment_is_warned_of() -> None:
    """A slip of the pen names a segment twice just as well."""
    assert [str(problem) for problem in lint_topology(topology(THIRD))] == [
        "mongo.shards[2].segment: is whole on shard-b until `schema spread`, which needs mongos "
        '(got "sessions_messages")'
    ]


def test_a_shared_segment_is_pinned_once_and_says_what_is_to_come(tmp_path: Path) -> None:
    pins = {step.name: step.what for step in steps(context(tmp_path, THIRD)) if "pin" in step.name}
    assert pins == {
        "pin users_skills": "pin segment users_skills to shard-a",
        "pin sessions_messages": "pin segment sessions_messages to shard-b; "
        "shard-c takes a part once it is spread",
    }
    place = Place("sessions_messages", "shard-b", "shard-b", ("shard-c",))
    assert place.finding.why == "lives on shard-b; shard-c takes a part once it is spread"


def test_a_shared_segment_has_one_way_in(tmp_path: Path) -> None:
    made = context(tmp_path, THIRD)
    ways = [row.name for row in endpoints(made, reveal=False)]
    assert len(ways) == len(set(ways))
    assert ways[:2] == ["mongo-users_skills", "mongo-sessions_messages"]
    segments = {segment for segment, _, _ in cluster_roles(made)[SEGMENT_USER]}
    assert segments == {"users_skills", "sessions_messages"}


# The plan


def test_a_third_shards_plan_is_exact() -> None:
    (made,) = plans(topology(THIRD))
    assert made.shell == tuple(Path(__file__).with_name("spread_plan.js").read_text().splitlines())


def test_the_driver_takes_the_same_plan() -> None:
    made = plan("sessions_messages", ["shard-b", "shard-c"], [BY_NAME["MESSAGE"], BY_NAME["AVIS"]])
    assert [(each.database, each.document) for each in made.commands] == [
        ("admin", {"addShardToZone": "shard-b", "zone": "sessions_messages"}),
        ("admin", {"addShardToZone": "shard-c", "zone": "sessions_messages"}),
        (
            "sessions_messages",
            {
                "createIndexes": "MESSAGE",
                "indexes": [{"name": "id_session_hashed", "key": {"id_session": "hashed"}}],
            },
        ),
        (
            "admin",
            {
                "updateZoneKeyRange": "sessions_messages.MESSAGE",
                "min": {"id_session": MinKey()},
                "max": {"id_session": MaxKey()},
                "zone": "sessions_messages",
            },
        ),
        (
            "admin",
            {
                "shardCollection": "sessions_messages.MESSAGE",
                "key": {"id_session": "hashed"},
                "unique": False,
            },
        ),
        (
            "admin",
            {
                "updateZoneKeyRange": "sessions_messages.AVIS",
                "min": {"id_session": MinKey(), "id_emetteur": MinKey()},
                "max": {"id_session": MaxKey(), "id_emetteur": MaxKey()},
                "zone": "sessions_messages",
            },
        ),
        (
            "admin",
            {
                "shardCollection": "sessions_messages.AVIS",
                "key": {"id_session": 1, "id_emetteur": 1},
                "unique": True,
            },
        ),
    ]


def test_tp3_itself_needs_no_plan() -> None:
    assert plans(topology()) == ()


@pytest.mark.parametrize("entity", catalogue.collections(), ids=lambda entity: entity.name)
def test_every_collection_can_be_sharded_as_declared(entity: Entity) -> None:
    assert checked_key(entity) == entity.shard_key


REFUSED = [
    ("UTILISATEUR", None, "UTILISATEUR declares no shard key"),
    (
        "AVIS",
        ShardKey(("id_avis",), hashed=False, why=""),
        "AVIS cannot be sharded by {id_avis: 1}: "
        "it is no prefix of the unique (id_session, id_emetteur)",
    ),
    (
        "AVIS",
        ShardKey(("id_emetteur", "id_session"), hashed=False, why=""),
        "AVIS cannot be sharded by {id_emetteur: 1, id_session: 1}: "
        "it is no prefix of the unique (id_session, id_emetteur)",
    ),
    (
        "AVIS",
        ShardKey(("id_session",), hashed=True, why=""),
        'AVIS cannot be sharded by {id_session: "hashed"}: '
        "a hashed key cannot keep (id_session, id_emetteur) unique",
    ),
    (
        "MESSAGE",
        ShardKey(("id_session", "id_message"), hashed=True, why=""),
        'MESSAGE cannot be sharded by {id_session: "hashed", id_message: "hashed"}: '
        "only one field can be hashed",
    ),
    (
        "MESSAGE",
        ShardKey(("pieces_jointes", "salon"), hashed=False, why=""),
        "MESSAGE cannot be sharded by {pieces_jointes: 1, salon: 1}: there is no field salon; "
        "pieces_jointes holds no single value; pieces_jointes may be missing",
    ),
    ("MESSAGE", ShardKey((), hashed=False, why=""), "MESSAGE cannot be sharded by {}: "),
]


@pytest.mark.parametrize(("name", "key", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_key_that_the_server_would_refuse_is_refused(
    name: str, key: ShardKey | None, said: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan("s", ["a", "b"], [replace(BY_NAME[name], shard_key=key)])
    assert caught.value.message.startswith(said)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "key", "name_of_index"),
    [
        ("SESSION", ShardKey(("id_session",), hashed=True, why=""), "id_session_hashed"),
        ("SESSION", ShardKey(("id_session",), hashed=False, why=""), None),
        ("SESSION", ShardKey(("debut",), hashed=False, why=""), "debut_1"),
        ("GROUPE", ShardKey(("cree_le",), hashed=False, why=""), "cree_le_1"),  # declared: -1
        ("AVIS", ShardKey(("id_session",), hashed=False, why=""), None),
    ],
)
def test_an_index_is_made_where_none_carries_the_key(
    name: str, key: ShardKey, name_of_index: str | None
) -> None:
    found = key_index(replace(BY_NAME[name], shard_key=key))
    assert (found.name if found else None) == name_of_index


def test_unique_is_asked_for_where_the_key_is_the_unique_one() -> None:
    def unique(name: str, key: ShardKey | None) -> bool:
        entity = replace(BY_NAME[name], shard_key=key)
        return plan("s", ["a", "b"], [entity]).collections[0].sharded.unique

    assert unique("AVIS", BY_NAME["AVIS"].shard_key)
    assert not unique("AVIS", ShardKey(("id_session",), hashed=False, why=""))
    assert not unique("MESSAGE", BY_NAME["MESSAGE"].shard_key)


# Its execution


def test_without_mongos_the_segment_stays_whole_and_says_why(tmp_path: Path) -> None:
    (step,) = spread_steps.steps(context(tmp_path, THIRD), ["collection MESSAGE"])
    assert (step.name, step.needs) == ("spread sessions_messages", ("collection MESSAGE",))
    with pytest.raises(RefusedError) as caught:
        step.check()
    assert caught.value.message == (
        "segment sessions_messages stays on shard-b: a segment router runs here, which keeps every "
        "collection whole: spreading needs mongos"
    )
    assert "router_binary" in caught.value.hint


def test_with_mongos_every_collection_has_its_step(tmp_path: Path) -> None:
    made = context(tmp_path, THIRD, mongos="/usr/bin/mongos")
    names = [step.name for step in spread_steps.steps(made, ["x"])]
    assert names[:3] == ["zone sessions_messages", "spread SESSION", "spread MESSAGE"]
    assert len(names) == 1 + len(catalogue.collections("sessions_messages"))


def test_without_a_shared_segment_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert spread_steps.steps(context(tmp_path)) == ()


MESSAGE_PLAN = plan("sessions_messages", ["b", "c"], [BY_NAME["MESSAGE"]]).collections[0]
ROW = {"_id": "sessions_messages.MESSAGE", "key": {"id_session": "hashed"}, "unique": False}
RANGE = {
    "ns": "sessions_messages.MESSAGE",
    "min": {"id_session": MinKey()},
    "max": {"id_session": MaxKey()},
    "tag": "sessions_messages",
}


@pytest.mark.parametrize(
    ("row", "ranges", "found"),
    [
        (None, [], todo("not sharded")),
        ({**ROW, "unsplittable": True}, [], todo("not sharded")),  # tracked since MongoDB 8.0
        (ROW, [], todo("not bound to zone sessions_messages")),
        (ROW, [{**RANGE, "tag": "elsewhere"}], todo("not bound to zone sessions_messages")),
        (ROW, [{**RANGE, "max": {"id_session": 0}}], todo("not bound to zone sessions_messages")),
        (ROW, [RANGE], done('by {id_session: "hashed"}')),
    ],
)
def test_what_is_spread_already_is_known(
    row: dict[str, Any] | None, ranges: list[dict[str, Any]], found: Finding
) -> None:
    assert spread_steps.finding(MESSAGE_PLAN.sharded, MESSAGE_PLAN.bound, row, ranges) == found


@pytest.mark.parametrize("other", [{"key": {"id_session": 1}}, {"unique": True}])
def test_another_shard_key_is_never_overridden(other: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="is sharded by"):
        spread_steps.finding(MESSAGE_PLAN.sharded, MESSAGE_PLAN.bound, {**ROW, **other}, [RANGE])
