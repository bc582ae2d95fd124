"""MongoDB's users: their rights, and what of them has drifted."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from cluster.errors import RefusedError
from mongo.credentials import Login
from mongo.sharding import Place
from mongo.users import (
    Role,
    User,
    cluster_roles,
    cluster_users,
    matches,
    shard_roles,
    shard_users,
    shortcomings,
    wrong_roles,
)
from tests.unit.mongo_samples import answer, context

STORED = {user["user"]: user for user in answer("users")["users"]}


def user(password: str = "made-up-password", *roles: Role) -> User:  # noqa: S107
    return User(
        Login("made-up", SecretStr(password)), frozenset(roles or {Role("readWrite", "one")})
    )


def test_the_application_may_write_its_segments_and_nothing_else(tmp_path: Path) -> None:
    by_name = {one.login.user: one for one in cluster_users(context(tmp_path))}
    assert by_name["app"].roles == {Role("segmentUser", "admin")}
    may = cluster_roles(context(tmp_path))["segmentUser"]
    assert {database for database, _, _ in may} == {"users_skills", "sessions_messages"}
    for database in ("users_skills", "sessions_messages"):
        actions = {action for place, _, action in may if place == database}
        assert actions >= {"find", "insert", "update", "remove"}
        assert not actions & {
            "dropCollection",
            "dropIndex",
            "dropDatabase",
            "renameCollectionSameDB",
        }
    assert "segmentUser" not in shard_roles(context(tmp_path))
    assert by_name["monitor"].roles == {Role("clusterMonitor", "admin"), Role("read", "local")}
    assert by_name["admin"].roles == {Role("root", "admin")}


def test_the_application_cannot_log_in_at_a_shard(tmp_path: Path) -> None:
    users = {one.login.user for one in shard_users(context(tmp_path))}
    assert users == {"admin", "monitor", "archiver"}
    without = context(tmp_path, {"mongo.backup.enabled": False})
    assert {one.login.user for one in shard_users(without)} == {"admin", "monitor"}


def test_a_role_of_our_own_may_do_that_and_no_more() -> None:
    may = frozenset({("local", "oplog.rs", "find")})
    more = may | {("", "", "find")}
    assert wrong_roles({"reader": may}, {"reader": may, "other": more}) == {}
    assert wrong_roles({"reader": may}, {}) == {"reader": "no role reader"}
    found = wrong_roles({"reader": may}, {"reader": more})
    assert found == {"reader": "role reader may do something else"}


def test_a_captured_credential_is_its_passwords() -> None:
    credential = STORED["made-up"]["credentials"]["SCRAM-SHA-256"]
    assert matches("made-up-password", credential)
    assert not matches("made-up-passwore", credential)


@pytest.mark.parametrize(
    ("wanted", "stored", "said"),
    [
        (user(), STORED, {}),
        (user(), {}, {"made-up": "no user made-up"}),
        (user("other"), STORED, {"made-up": "made-up has another password"}),
        (
            user("made-up-password", Role("read", "one")),
            STORED,
            {"made-up": "made-up has other roles"},
        ),
        (
            user(),
            {"made-up": {**STORED["made-up"], "credentials": {"SCRAM-SHA-1": {}}}},
            {"made-up": "made-up does not log in by SCRAM-SHA-256 alone"},
        ),
    ],
)
def test_what_has_drifted_is_named(
    wanted: User, stored: dict[str, dict[str, object]], said: dict[str, str]
) -> None:
    assert shortcomings([wanted], stored) == said


def test_a_segment_that_lives_elsewhere_is_refused() -> None:
    assert not Place("users_skills", None, "shard-a").finding.done
    assert Place("users_skills", "shard-a", "shard-a").finding.done
    with pytest.raises(RefusedError, match="lives on shard-b, not on shard-a"):
        Place("users_skills", "shard-b", "shard-a").finding  # noqa: B018 - it raises
