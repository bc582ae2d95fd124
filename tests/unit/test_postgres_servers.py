"""The servers of the PostgreSQL side and their files, as rendered."""

import configparser
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cluster.context import Context
from cluster.plan import Step, done, in_order
from cluster.server import Server
from postgres.servers import servers
from postgres.steps import steps
from tests.unit.postgres_samples import context

S3 = {
    "type": "s3",
    "endpoint": "s3.example.org",
    "bucket": "wal",
    "path": "/pgbackrest",
    "port": 9000,
    "ca_file": "/etc/ca.pem",
}


def file(of: Context, server: str, name: str) -> str:
    found = next(each for each in servers(of) if each.name == server)
    return next(each.text for each in found.files if each.name == name)


def patroni(of: Context, node: str) -> dict[str, object]:
    config = yaml.safe_load(file(of, node, "patroni.yml"))
    assert isinstance(config, dict)
    return config


def start(server: Server) -> Step:
    return Step(server.start_step, "", "", lambda: done(""), lambda: None, server.needs)


def test_one_server_a_program(tmp_path: Path) -> None:
    assert [server.name for server in servers(context(tmp_path))] == [
        "etcd-1", "etcd-2", "etcd-3", "etcd-dr-1", "pg1", "pgsync1", "pgdr1",
        "pg1-pgbouncer", "pgsync1-pgbouncer", "pgdr1-pgbouncer", "haproxy-1", "haproxy-2",
    ]  # fmt: skip


def test_every_need_is_a_step_and_nothing_goes_in_circles(tmp_path: Path) -> None:
    of = context(tmp_path)
    every = [*map(start, servers(of)), *steps(of)]
    order = [step.name for step in in_order(every)]
    for earlier, later in (
        ("users of payments's etcd", "start pg1"),
        ("configuration of payments", "start pg1"),
        ("configuration of payments-dr", "start pgdr1"),
        ("leader of payments", "replication slot for payments-dr"),
        ("replication slot for payments-dr", "start pgdr1"),
        ("database, roles and rights", "WAL archive stanza"),
        ("WAL archive check", "full backup"),
    ):
        assert order.index(earlier) < order.index(later)


def test_steps_without_dr(tmp_path: Path) -> None:
    of = context(tmp_path, {"postgres.dr": None})
    assert in_order([*map(start, servers(of)), *steps(of)])
    assert not [server for server in servers(of) if "dr" in server.name]


def test_secrets_are_in_secret_files_alone(tmp_path: Path) -> None:
    of = context(tmp_path)
    every = servers(of)
    secrets = {path.read_text("ascii") for path in (tmp_path / "secrets").iterdir()}
    assert len(secrets) >= 10
    for server in every:
        open_text = [*server.argv, *(value for _, value in server.env)]
        open_text += [file.text for file in server.files if not file.secret]
        leaked = [text for text in open_text for secret in secrets if secret in text]
        assert not leaked, server.name


def test_only_the_founder_can_create_a_cluster(tmp_path: Path) -> None:
    of = context(tmp_path)
    assert "bootstrap" in patroni(of, "pg1")
    assert "bootstrap" not in patroni(of, "pgsync1")
    assert "bootstrap" in patroni(of, "pgdr1")


def test_founder_is_the_primary_wherever_it_stands_in_the_list(tmp_path: Path) -> None:
    members = [
        {"name": "pgsync1", "zone": "eu-west-b", "role": "synchronous"},
        {"name": "pg1", "zone": "eu-west-a", "role": "primary"},
    ]
    of = context(tmp_path, {"postgres.members": members})
    assert "bootstrap" in patroni(of, "pg1")
    assert "bootstrap" not in patroni(of, "pgsync1")


def test_only_dr_asks_before_a_promotion(tmp_path: Path) -> None:
    of = context(tmp_path)
    guards = {name: patroni(of, name)["postgresql"] for name in ("pg1", "pgsync1", "pgdr1")}
    found = {name: part.get("pre_promote") for name, part in guards.items()}  # type: ignore[attr-defined]
    expected = f"test -e {tmp_path}/nodes/pgdr1/data/promotion-allowed"
    assert found == {"pg1": None, "pgsync1": None, "pgdr1": expected}


def test_only_dr_keeps_a_stray_timeline_out_of_the_archive(tmp_path: Path) -> None:
    of = context(tmp_path)
    found = {}
    for name in ("pg1", "pgdr1"):
        parameters = patroni(of, name)["postgresql"]["parameters"]  # type: ignore[index]
        found[name] = parameters["archive_command"]
    assert (
        found["pgdr1"] == f"test -e {tmp_path}/nodes/pgdr1/data/promotion-allowed && {found['pg1']}"
    )
    assert found["pg1"].endswith('archive-push "%p"')


def test_asynchronous_member_never_leads(tmp_path: Path) -> None:
    members = [
        {"name": "pg1", "zone": "eu-west-a", "role": "primary"},
        {"name": "pgsync1", "zone": "eu-west-b", "role": "synchronous"},
        {"name": "pgasync1", "zone": "eu-west-c", "role": "asynchronous"},
    ]
    of = context(tmp_path, {"postgres.members": members})
    tags = {"pg1": False, "pgsync1": False, "pgasync1": True, "pgdr1": False}
    for name, kept_out in tags.items():
        found = patroni(of, name)["tags"]
        assert isinstance(found, dict)
        assert (found["nofailover"], found["nosync"]) == (kept_out, kept_out), name


def test_every_login_is_by_scram(tmp_path: Path) -> None:
    of = context(tmp_path)
    for name in ("pg1", "pgsync1", "pgdr1"):
        postgresql = patroni(of, name)["postgresql"]
        assert isinstance(postgresql, dict)
        rows = postgresql["pg_hba"]
        assert rows
        assert all(row.endswith("scram-sha-256") for row in rows)
        hosts = [row.split() for row in rows if row.startswith("host")]
        assert {row[3] for row in hosts} == {"127.0.0.0/8"}


def test_each_server_listens_on_its_node_alone(tmp_path: Path) -> None:
    of = context(tmp_path)
    pg1 = patroni(of, "pg1")
    assert pg1["restapi"]["listen"] == "127.77.60.1:8008"  # type: ignore[index]
    assert pg1["postgresql"]["listen"] == "127.77.60.1:5432"  # type: ignore[index]
    etcd = yaml.safe_load(file(of, "etcd-2", "etcd.yml"))
    assert etcd["listen-client-urls"] == "http://127.77.61.2:2379"
    assert etcd["initial-cluster"].count("=") == 3
    pool = configparser.ConfigParser()
    pool.read_string(file(of, "pgsync1-pgbouncer", "pgbouncer.ini"))
    assert pool["pgbouncer"]["listen_addr"] == "127.77.60.2"
    binds = [
        line.split()[1]
        for line in file(of, "haproxy-1", "haproxy.cfg").splitlines()
        if line.strip().startswith("bind")
    ]
    assert binds == [f"127.77.62.1:{port}" for port in (7000, 5000, 5001, 5002)]


def test_haproxy_takes_the_topologys_checks(tmp_path: Path) -> None:
    of = context(tmp_path, {"edge.checks": {"inter": 0.5, "fall": 3, "rise": 2}})
    text = file(of, "haproxy-1", "haproxy.cfg")
    assert text.count("inter 500ms fall 3 rise 2 on-marked-down shutdown-sessions") == 3


@pytest.mark.parametrize("node", ["pg1", "pgdr1"])
def test_dr_shares_the_archive(tmp_path: Path, node: str) -> None:
    text = file(context(tmp_path), node, "pgbackrest.conf")
    assert f"repo1-path={tmp_path}/archive" in text
    assert "[payments]" in text
    assert f"pg1-path={tmp_path}/nodes/{node}/data/pgdata" in text


def test_s3_repository(tmp_path: Path) -> None:
    of = context(tmp_path, {"archive.repositories": [{"type": "folder", "path": "/wal"}, S3]})
    text = file(of, "pg1", "pgbackrest.conf")
    key = of.secrets.get("archive-repo2-key").get_secret_value()
    for line in (
        "repo1-path=/wal", "repo2-type=s3", "repo2-s3-bucket=wal", "repo2-storage-port=9000",
        "repo2-storage-ca-file=/etc/ca.pem", f"repo2-s3-key={key}", "repo2-retention-full=2",
    ):  # fmt: skip
        assert line in text.splitlines()


def test_same_context_renders_the_same_files(tmp_path: Path) -> None:
    of = context(tmp_path)
    assert servers(of) == servers(replace(of))
