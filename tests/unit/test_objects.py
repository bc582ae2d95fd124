"""The object store's servers as rendered, and where each kind of repository and the files are."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster import objects
from cluster.context import Context
from cluster.plan import in_order
from cluster.programs import Programs
from cluster.server import OnChange
from manifests import objects as store
from postgres.servers import servers as postgres_servers
from postgres.steps import steps as postgres_steps
from tests.unit.postgres_samples import context
from tests.unit.test_postgres_servers import S3, start

HERE = {"objects.members": 1}


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Programs, "find", lambda _self, name, *_: f"/usr/bin/{name}")


@pytest.fixture
def of(tmp_path: Path) -> Context:
    both = [{"type": "folder"}, {"type": "objects"}]
    return context(tmp_path, HERE | {"archive.repositories": both})


def test_there_is_none_unless_it_is_asked_for(tmp_path: Path) -> None:
    none = context(tmp_path)
    assert store.servers(none) == store.steps(none) == store.status(none) == ()
    assert store.endpoints(none, reveal=True) == ()
    assert (objects.store(none), objects.files(none), objects.buckets(none.topology)) == (
        None,
        None,
        (),
    )


def test_moto_on_a_plain_port_and_tls_in_front_of_it(of: Context) -> None:
    moto, proxy = store.servers(of)
    assert (moto.name, moto.ports) == ("objects-1", (5000,))
    assert moto.argv[1:] == ("--host", "127.77.71.1", "--port", "5000")
    assert (proxy.name, proxy.ports, proxy.on_change) == (
        "objects-1-haproxy",
        (9000,),
        OnChange.RELOAD,
    )
    files = {file.name: file for file in proxy.files}
    assert all(file.secret for file in files.values())
    assert "PRIVATE KEY" in files["objects.pem"].text
    text = files["haproxy.cfg"].text
    assert "bind 127.77.71.1:9000 ssl crt" in text
    assert "server moto 127.77.71.1:5000" in text
    key = objects.local_key(of)
    assert f'Credential={key.key.get_secret_value()}/"' in text
    for server in (moto, proxy):
        shown = " ".join([*server.argv, *(f"{k}={v}" for k, v in server.env)])
        for secret in (key.key, key.secret):
            assert secret.get_secret_value() not in shown


def test_the_same_context_renders_the_same_certificate(of: Context) -> None:
    assert store.servers(of) == store.servers(replace(of))


def test_keys_are_shown_only_when_asked_for(of: Context) -> None:
    key = objects.local_key(of).secret.get_secret_value()
    [masked], [shown] = store.endpoints(of, reveal=False), store.endpoints(of, reveal=True)
    assert masked.uri == "https://***:***@127.77.71.1:9000"
    assert key in shown.uri


def test_pgbackrest_finds_the_store_and_trusts_the_authority(of: Context) -> None:
    pg1 = next(server for server in postgres_servers(of) if server.name == "pg1")
    text = next(file.text for file in pg1.files if file.name == "pgbackrest.conf")
    key = objects.local_key(of)
    for line in (
        "repo2-type=s3",
        "repo2-s3-endpoint=127.77.71.1",
        "repo2-storage-port=9000",
        "repo2-s3-uri-style=path",
        "repo2-s3-bucket=skillswap-archive",
        f"repo2-storage-ca-file={of.layout.authority}",
        f"repo2-s3-key={key.key.get_secret_value()}",
        f"repo2-s3-key-secret={key.secret.get_secret_value()}",
    ):
        assert line in text.splitlines()


def test_buckets_come_before_what_is_put_into_them(of: Context) -> None:
    starts = [*map(start, postgres_servers(of)), *map(start, store.servers(of))]
    order = [step.name for step in in_order([*starts, *postgres_steps(of), *store.steps(of)])]
    assert order.index("start objects-1-haproxy") < order.index("buckets")
    assert order.index("buckets") < order.index("WAL archive stanza")


def test_where_each_repository_is(tmp_path: Path) -> None:
    kinds = [{"type": "folder"}, S3, {"type": "objects", "bucket": "wal-two"}]
    of = context(tmp_path, HERE | {"archive.repositories": kinds})
    assert objects.repository(of, 1) is None
    theirs, ours = objects.repository(of, 2), objects.repository(of, 3)
    assert theirs is not None
    assert (theirs.url, theirs.bucket, theirs.ca_file) == (
        "https://s3.example.org:9000",
        "wal",
        "/etc/ca.pem",
    )
    assert theirs.key.key == of.secrets.get("archive-repo2-key")
    assert ours is not None
    assert (ours.url, ours.bucket) == ("https://127.77.71.1:9000", "wal-two")
    assert ours.key == objects.local_key(of)
    assert objects.buckets(of.topology) == ("skillswap-media", "wal-two")


def test_files_may_be_elsewhere(tmp_path: Path) -> None:
    external = {"endpoint": "s3.example", "bucket": "media", "region": "eu-west-1"}
    of = context(tmp_path, HERE | {"objects.external": external})
    place = objects.files(of)
    assert place is not None
    assert (place.url, place.bucket, place.region) == (
        "https://s3.example:443",
        "media",
        "eu-west-1",
    )
    assert place.key.secret == of.secrets.get("services-s3-key-secret")
    assert objects.buckets(of.topology) == ()
