"""MongoDB's servers and their files."""

import json
from pathlib import Path

import yaml

from mongo import nodes
from mongo.backup.archiver.config import ArchiverConfig
from mongo.router.config import load
from mongo.servers import RouterKind, router_kind, servers
from tests.unit.mongo_samples import context


def files(folder: Path, name: str, **options: str) -> dict[str, str]:
    made = {server.name: server for server in servers(context(folder, **options))}  # type: ignore[arg-type]
    return {file.name: file.text for file in made[name].files}


def test_tp3_has_nine_members_two_routers_and_an_archiver(tmp_path: Path) -> None:
    names = [server.name for server in servers(context(tmp_path))]
    assert len(names) == len(set(names)) == 12
    assert names[:3] == ["config-1", "config-2", "config-3"]
    assert names[-3:] == ["router-1", "router-2", "archiver-1"]


def test_a_member_listens_on_its_own_address_and_asks_for_credentials(tmp_path: Path) -> None:
    conf = yaml.safe_load(files(tmp_path, "shard-b-2")["mongod.conf"])
    assert conf["net"] == {
        "bindIp": "127.77.2.2",
        "port": 27018,
        "unixDomainSocket": {"enabled": False},
    }
    assert conf["security"]["authorization"] == "enabled"
    assert conf["security"]["keyFile"] == str(tmp_path / "nodes/shard-b-2/conf/keyfile")
    assert conf["sharding"]["clusterRole"] == "shardsvr"
    assert conf["replication"]["replSetName"] == "shard-b"
    assert conf["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"] == 0.25
    # Options that 6.0 and later versions do not both take.
    assert "journal" not in conf["storage"]


def test_a_config_server_says_so(tmp_path: Path) -> None:
    conf = yaml.safe_load(files(tmp_path, "config-1")["mongod.conf"])
    assert conf["sharding"]["clusterRole"] == "configsvr"
    assert conf["net"]["port"] == 27019


def test_a_shards_arbiter_is_no_seed(tmp_path: Path) -> None:
    made = context(tmp_path, {"mongo.shards[0].members": 2, "mongo.shards[0].arbiter": True})
    first = nodes.shards(made)[0]
    assert [node.name for node in first.nodes] == ["shard-a-1", "shard-a-2", "shard-a-arbiter"]
    assert first.seeds == "shard-a/127.77.1.1:27018,127.77.1.2:27018"


def test_secrets_are_in_files_for_the_server_alone(tmp_path: Path) -> None:
    key = context(tmp_path).secrets.key("mongo-keyfile").get_secret_value()
    for server in servers(context(tmp_path)):
        assert key not in " ".join(server.argv)
        assert server.env == ()
        assert all(file.secret for file in server.files if key in file.text)
        assert any(file.text == key for file in server.files) or server.name == "archiver-1"


def test_the_archiver_follows_every_set_as_a_user_of_its_own(tmp_path: Path) -> None:
    made = context(tmp_path, {"mongo.shards[0].members": 2, "mongo.shards[0].arbiter": True})
    [archiver] = [one for one in servers(made) if one.name == "archiver-1"]
    [file] = archiver.files
    assert file.secret
    config = ArchiverConfig.model_validate_json(file.text)
    assert config.user == "archiver"
    assert config.password == made.secrets.get("mongo-archiver").get_secret_value()
    assert {one.name: len(one.hosts) for one in config.sets} == {
        "config": 3,
        "shard-a": 2,  # the arbiter has no oplog
        "shard-b": 3,
    }
    assert config.place.folder == str(tmp_path / "backups")
    assert config.place.sealed_with == made.secrets.key("mongo-backup-key").get_secret_value()
    without = context(tmp_path, {"mongo.backup.enabled": False})
    assert "archiver-1" not in {one.name for one in servers(without)}


def test_without_mongos_the_segment_router_runs(tmp_path: Path) -> None:
    made = context(tmp_path)
    assert router_kind(made) is RouterKind.SEGMENT_ROUTER
    router = servers(made)[-2]
    assert router.argv[:3] == ("/usr/bin/python3", "-m", "mongo.router")
    [config] = [file for file in router.files if file.name == "router.json"]
    written = tmp_path / "router.json"
    written.write_text(config.text, "utf-8")
    read = load(written)
    assert read.address == ("127.77.51.2", 27017)
    assert read.config_servers == ("config/127.77.50.1:27019,127.77.50.2:27019,127.77.50.3:27019")
    assert read.key_file == tmp_path / "nodes/router-2/conf/keyfile"


def test_mongos_runs_where_there_is_one(tmp_path: Path) -> None:
    made = context(tmp_path, mongos="/opt/mongos")
    assert router_kind(made) is RouterKind.MONGOS
    router = servers(made)[-2]
    assert router.argv[0] == "/opt/mongos"
    conf = yaml.safe_load(files(tmp_path, "router-2", mongos="/opt/mongos")["mongos.conf"])
    assert conf["sharding"]["configDB"].count(":27019") == 3
    assert "authorization" not in conf["security"]  # mongos takes none: the keyfile implies it


def test_files_do_not_change_between_two_runs(tmp_path: Path) -> None:
    assert servers(context(tmp_path)) == servers(context(tmp_path))


def test_paths_with_odd_characters_are_quoted(tmp_path: Path) -> None:
    odd = tmp_path / "a: b #c"
    conf = yaml.safe_load(files(odd, "shard-a-1")["mongod.conf"])
    assert conf["storage"]["dbPath"] == str(odd / "nodes/shard-a-1/data")
    assert json.loads(files(odd, "router-1")["router.json"])["key_file"].startswith(str(odd))
