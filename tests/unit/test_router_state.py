"""What a router keeps: cluster time, transactions, cursors, users, metadata."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Int64, Timestamp

from cluster.errors import InvalidInputError
from mongo.router.across import merge_databases
from mongo.router.clustertime import ClusterTime
from mongo.router.command import UserName
from mongo.router.concerns import Defaults
from mongo.router.config import keys, load
from mongo.router.cursors import IDLE_SECONDS, Cursors
from mongo.router.document import Document, encode
from mongo.router.errors import TRANSIENT_TRANSACTION, Code, CommandError
from mongo.router.metadata import Metadata
from mongo.router.scram import Conversation, Login, internal_credentials, user_of
from mongo.router.transactions import Transactions
from mongo.router.users import INTERNAL, Unavailable, Users
from tests.unit.router_samples import A, B, catalog, command, first_statement, in_transaction

ALICE, BOB = UserName("alice", "admin"), UserName("bob", "admin")


# Cluster time


def _answer(seconds: int) -> Document:
    time = {"clusterTime": Timestamp(seconds, 1), "signature": {"hash": b"\0" * 20, "keyId": 0}}
    return Document(bson.encode({"ok": 1.0, "$clusterTime": time}))


def _element(raw: bytes) -> dict[str, Any]:
    return Document(Document(encode({})).edited((), raw)).decoded()


def _time(raw: bytes) -> Timestamp:
    return _element(raw)["$clusterTime"]["clusterTime"]


def test_the_highest_time_is_kept() -> None:
    clock = ClusterTime("key")
    assert clock.for_client() == clock.for_shard() == clock.operation_time() == b""
    for seconds in (5, 9, 7):
        clock.from_shard(_answer(seconds))
    assert _time(clock.for_client()) == _time(clock.for_shard()) == Timestamp(9, 1)
    assert _element(clock.operation_time()) == {"operationTime": Timestamp(9, 1)}


def test_a_time_signed_by_another_router_of_the_cluster_is_believed() -> None:
    one, two = ClusterTime("key"), ClusterTime("key")
    one.from_shard(_answer(9))
    two.from_client(Document(bson.encode(_element(one.for_client()))))
    assert _time(two.for_shard()) == Timestamp(9, 1)


@pytest.mark.parametrize(
    "forged",
    [
        {"clusterTime": Timestamp(2**31, 1)},
        {"clusterTime": Timestamp(2**31, 1), "signature": {"hash": b"\0" * 20, "keyId": Int64(0)}},
        {"clusterTime": Timestamp(2**31, 1), "signature": {"hash": b"\0" * 20, "keyId": Int64(1)}},
        {"clusterTime": Timestamp(2**31, 1), "signature": {"hash": b"", "keyId": Int64(1)}},
        {"clusterTime": Timestamp(2**31, 1), "signature": 1},
        {"clusterTime": 1, "signature": {"hash": b"", "keyId": Int64(1)}},
        {},
        1,
    ],
)
def test_a_forged_time_is_not(forged: Any) -> None:
    clock = ClusterTime("key")
    clock.from_shard(_answer(9))
    clock.from_client(Document(bson.encode({"ping": 1, "$clusterTime": forged})))
    assert _time(clock.for_shard()) == Timestamp(9, 1)


def test_a_signature_fits_one_time_and_one_key() -> None:
    clock, stranger = ClusterTime("key"), ClusterTime("other")
    clock.from_shard(_answer(9))
    signed = _element(clock.for_client())
    stranger.from_client(Document(bson.encode(signed)))
    assert stranger.for_shard() == b""
    signed["$clusterTime"]["clusterTime"] = Timestamp(10, 1)
    clock.from_client(Document(bson.encode(signed)))
    assert _time(clock.for_shard()) == Timestamp(9, 1)


# Transactions


def test_a_transaction_is_pinned() -> None:
    transactions = Transactions()
    first = first_statement({"find": "c"}, number=1)
    assert transactions.shard_of(ALICE, first) is None
    assert first.session
    transactions.pin(ALICE, first.session, "shard-a")
    assert transactions.shard_of(ALICE, in_transaction({"find": "c"}, number=1)) == "shard-a"
    ending = in_transaction({"commitTransaction": 1}, "admin", number=1)
    assert transactions.shard_of(ALICE, ending) == "shard-a"


@pytest.mark.parametrize(("user", "number"), [(BOB, 1), (ALICE, 2)])
def test_no_statement_without_a_first_one(user: UserName, number: int) -> None:
    transactions = Transactions()
    first = first_statement({"find": "c"}, number=1)
    assert first.session
    transactions.pin(ALICE, first.session, "shard-a")
    for statement in ({"find": "c"}, {"commitTransaction": 1}):
        database = "admin" if "commitTransaction" in statement else A
        with pytest.raises(CommandError) as raised:
            transactions.shard_of(user, in_transaction(statement, database, number=number))
        assert raised.value.code == Code.NoSuchTransaction
        assert raised.value.labels == (TRANSIENT_TRANSACTION,)


def test_another_routers_transaction_ends_by_its_token() -> None:
    token = _element(Transactions.token("shard-b"))
    ending = in_transaction({"commitTransaction": 1, **token}, "admin")
    assert Transactions().shard_of(ALICE, ending) == "shard-b"


def test_an_older_transaction_does_not_start_again() -> None:
    transactions = Transactions()
    newer = first_statement({"find": "c"}, number=5)
    assert newer.session
    transactions.pin(ALICE, newer.session, "shard-a")
    with pytest.raises(CommandError) as raised:
        transactions.shard_of(ALICE, first_statement({"find": "c"}, number=4))
    assert raised.value.code == Code.TransactionTooOld
    assert transactions.shard_of(ALICE, first_statement({"find": "c"}, number=6)) is None


def test_an_ended_session_is_forgotten() -> None:
    transactions = Transactions()
    first = first_statement({"find": "c"})
    assert first.session
    transactions.pin(ALICE, first.session, "shard-a")
    transactions.end(ALICE, first.session.id)
    assert len(transactions) == 0


def test_outside_of_a_transaction_nothing_is_pinned() -> None:
    assert Transactions().shard_of(ALICE, command({"find": "c"})) is None


# Cursors


def _add(cursors: Cursors, number: int, server: str = "h:1", owner: UserName = ALICE) -> bool:
    return cursors.add(number, "shard-a", server, owner, f"{A}.c", change_stream=False)


def test_a_cursor_is_its_owners() -> None:
    cursors = Cursors(lambda: 0)
    assert _add(cursors, 7)
    assert cursors.of(7, ALICE).server == "h:1"
    with pytest.raises(CommandError) as raised:
        cursors.of(7, BOB)
    assert raised.value.code == Code.Unauthorized
    with pytest.raises(CommandError) as raised:
        cursors.of(8, ALICE)
    assert raised.value.code == Code.CursorNotFound
    cursors.forget(7)
    with pytest.raises(CommandError):
        cursors.of(7, ALICE)


def test_two_servers_cannot_share_a_number() -> None:
    cursors = Cursors(lambda: 0)
    assert _add(cursors, 7)
    assert not _add(cursors, 7, server="h:2", owner=BOB)
    assert cursors.of(7, ALICE).server == "h:1"


def test_idle_cursors_are_forgotten() -> None:
    now = [0.0]
    cursors = Cursors(lambda: now[0])
    _add(cursors, 1)
    _add(cursors, 2)
    now[0] = IDLE_SECONDS - 1
    cursors.of(1, ALICE)
    now[0] = IDLE_SECONDS + 1
    _add(cursors, 3)
    assert len(cursors) == 2
    assert cursors.of(1, ALICE)


# Users


class ConfigServers:
    """Answers usersInfo, or is away."""

    def __init__(self) -> None:
        self.known = {"alice"}
        self.away = False
        self.asked = 0

    async def __call__(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        name = asked["usersInfo"]["user"]
        found = [{"user": name, "db": asked["usersInfo"]["db"]}] if name in self.known else []
        return {"users": found}


def test_users_stay_known_while_the_config_servers_are_away() -> None:
    async def scenario() -> None:
        servers = ConfigServers()
        users = Users(servers, internal_credentials(["key"]))
        assert await users.find(BOB) is None
        assert (await users.find(ALICE)) is not None
        servers.away = True
        assert (await users.find(ALICE)) is not None
        asked = servers.asked
        assert (await users.find(ALICE)) is not None
        assert servers.asked == asked  # not asked again at once
        with pytest.raises(Unavailable):
            await users.find(BOB)
        await users.refresh()
        assert users.known(ALICE) is not None
        assert await users.find(INTERNAL) is not None

    asyncio.run(scenario())


def test_a_dropped_user_is_forgotten() -> None:
    async def scenario() -> None:
        servers = ConfigServers()
        users = Users(servers, ())
        await users.find(ALICE)
        servers.known.clear()
        assert users.known(ALICE) is not None
        await users.refresh()
        assert users.known(ALICE) is None

    asyncio.run(scenario())


# SCRAM, one side against the other


def _talk(key: str, conversation: Conversation) -> Login:
    login = Login(key)
    challenge = conversation.first(login.first())
    login.verify(conversation.final(login.final(challenge)))
    return login


def test_who_knows_the_key_is_let_in() -> None:
    conversation = Conversation(internal_credentials(["right"]))
    _talk("right", conversation)
    assert conversation.proved


def test_who_does_not_is_not() -> None:
    conversation = Conversation(internal_credentials(["right"]))
    with pytest.raises(CommandError) as raised:
        _talk("wrong", conversation)
    assert raised.value.code == Code.AuthenticationFailed
    assert not conversation.proved


def test_any_of_the_keys_will_do_while_they_change() -> None:
    for key in ("old", "new"):
        _talk(key, Conversation(internal_credentials(["old", "new"])))


def test_a_server_must_know_the_key_too() -> None:
    login = Login("right")
    login.final(Conversation(internal_credentials(["other"])).first(login.first()))
    with pytest.raises(ValueError, match="prove"):
        login.verify(b"v=bm90aGluZw==")


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"n,,", b"n,,n=,r=x", b"n,,r=x", b"x" * 5000, b"y,,n=a,r=b,m=c"]
)
def test_broken_first_messages(payload: bytes) -> None:
    with pytest.raises(CommandError) as raised:
        user_of(payload)
    assert raised.value.code == Code.AuthenticationFailed


def test_names_are_read_from_first_messages() -> None:
    assert user_of(b"n,,n=a=2Cb=3Dc,r=nonce") == "a,b=c"


@pytest.mark.parametrize("final", [b"", b"c=biws,r=x,p=AAAA", b"\xff", b"c=biws"])
def test_broken_final_messages(final: bytes) -> None:
    conversation = Conversation(internal_credentials(["right"]))
    conversation.first(Login("right").first())
    with pytest.raises(CommandError):
        conversation.final(final)


def test_a_proof_is_for_one_conversation() -> None:
    one, two = (Conversation(internal_credentials(["right"])) for _ in range(2))
    login = Login("right")
    final = login.final(one.first(login.first()))
    two.first(login.first())
    with pytest.raises(CommandError):
        two.final(final)


# Metadata


def test_the_catalog_of_captured_rows() -> None:
    found = catalog()
    assert found.databases[A].shard == "shard-a"
    assert found.sharded == {"config.system.sessions", f"{A}.spread"}
    assert found.defaults == Defaults()
    setting = {"_id": "ReadWriteConcernDefaults", "defaultWriteConcern": {"w": 1, "wtimeout": 0}}
    assert catalog(settings=[setting]).defaults.write == {"w": 1, "wtimeout": 0}


def test_readings_are_shared_and_survive_an_outage() -> None:
    async def scenario() -> None:
        reads: list[str] = []
        away = False
        followed: list[list[str]] = []

        async def find(collection: str) -> list[Mapping[str, Any]]:
            await asyncio.sleep(0)
            if away:
                raise Unavailable("away")
            reads.append(collection)
            return [{"_id": "s", "host": "s/h:1"}] if collection == "shards" else []

        async def follow(shards: Mapping[str, str]) -> None:
            followed.append(sorted(shards))

        metadata = Metadata(find, follow)
        assert not metadata.known
        assert await asyncio.gather(*(metadata.refresh() for _ in range(5))) == [True] * 5
        assert len(reads) == 4
        assert followed == [["s"]]
        away = True
        assert not await metadata.fresh()
        assert metadata.known
        assert metadata.catalog.shards == {"s": "s/h:1"}

    asyncio.run(scenario())


def test_databases_are_merged_over_shards() -> None:
    merged = merge_databases(
        {
            "config": [
                {"name": "admin", "sizeOnDisk": 1, "empty": False},
                {"name": "config", "sizeOnDisk": 2, "empty": False},
                {"name": "local", "sizeOnDisk": 3, "empty": False},
            ],
            "shard-a": [
                {"name": A, "sizeOnDisk": 10, "empty": False},
                {"name": "config", "sizeOnDisk": 99, "empty": False},
            ],
            "shard-b": [
                {"name": A, "sizeOnDisk": 5, "empty": True},
                {"name": B, "sizeOnDisk": 7, "empty": True},
            ],
        }
    )
    assert [(each["name"], each["sizeOnDisk"], each["empty"]) for each in merged] == [
        ("admin", 1, False),
        ("config", 2, False),
        (B, 7, True),
        (A, 15, False),
    ]
    assert merged[-1]["shards"] == {"shard-a": 10, "shard-b": 5}


# Configuration


def _write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "file"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


GOOD = '{"listen": "127.0.0.1:27017", "config_servers": "config/h:1,h:2", "key_file": "/k"}'


def test_json_and_yaml(tmp_path: Path) -> None:
    assert load(_write(tmp_path, GOOD)).address == ("127.0.0.1", 27017)
    text = "listen: h:1\nconfig_servers: c/h:1\nkey_file: /k\nlimits: {selection: 3}\n"
    assert load(_write(tmp_path, text)).limits.selection == 3


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (GOOD.replace("27017", "x"), "listen"),
        (GOOD.replace("config/", ""), "config_servers"),
        (GOOD.replace('"key_file": "/k"', '"key_file": 1'), "key_file"),
        (GOOD[:-1] + ', "extra": 1}', "extra"),
        (GOOD[:-1] + ', "limits": {"max_connections": 0}}', "limits.max_connections"),
        ("[1]", "not an object"),
        ("{", "neither JSON nor YAML"),
    ],
)
def test_bad_configurations(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(InvalidInputError, match=field.replace(".", r"\.")):
        load(_write(tmp_path, text))


def test_key_files(tmp_path: Path) -> None:
    assert keys(_write(tmp_path, "abc\n def\n")) == ("abcdef",)
    assert keys(_write(tmp_path, "- one\n- two\n")) == ("one", "two")
    with pytest.raises(InvalidInputError, match="may read"):
        keys(_write(tmp_path, "abc", 0o644))
    with pytest.raises(InvalidInputError, match="no key"):
        keys(_write(tmp_path, " \n"))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        keys(tmp_path / "absent")
