"""What each server is told where there is TLS, and that none is told of it where there is none."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from cluster import tls
from cluster.certificates import validity
from cluster.context import Context, trust
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.programs import Programs
from cluster.secrets import SecretStore
from cluster.server import Server
from cluster.target import Target
from manifests.services import edge, releases
from manifests.services.releases import Release, Releases, Revision
from manifests.services.settings import parse
from mongo.router.config import RouterConfig
from postgres import names
from skillswap_ops.engines import all_endpoints, all_servers
from tests.unit.topology_samples import topology

SERVICES = ("gateway", "auth", "payments", "sessions", "chat")
ON: dict[str, object] = {"tls.enabled": True, "objects.members": 1}
MENTION = re.compile(r"tls|ssl|https|\bcert|ca\.crt", re.IGNORECASE)


class Everything(Programs):
    """A machine with every program; `mongos` only where it is asked for."""

    def find(self, name: str, package: str, folders: object = ()) -> str:
        return f"/usr/bin/{name}"

    def mongod(self) -> str:
        return "/usr/bin/mongod"

    def mongos(self, binary: str | None) -> str | None:
        return binary

    def python(self) -> str:
        return "/usr/bin/python3"


def context(folder: Path, edits: dict[str, object]) -> Context:
    """The shipped topology with changed fields, and some services on it; nothing of it runs."""
    shape, layout = topology(edits), Layout(folder)
    made = Context(
        shape,
        inventory(shape, trust(shape, layout)),
        layout,
        SecretStore(layout.secrets),
        cast("Target", None),
        Everything(),
    )
    revision = Revision(
        number=1,
        version="0.1.0-abc",
        source="x",
        python="/usr/bin/python3",
        replicas=2,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    running = Release(replicas=2, current=1, revisions=(revision,))
    releases.save(layout.releases, Releases(services=dict.fromkeys(SERVICES, running)))
    return made


@pytest.fixture
def secured(tmp_path: Path) -> Context:
    return context(tmp_path, ON)


def servers(context: Context, kind: str) -> list[Server]:
    """The servers that have a file of this name."""
    found = [one for one in all_servers(context) if any(file.name == kind for file in one.files)]
    assert found, kind
    return found


def text(server: Server, name: str) -> str:
    return next(file.text for file in server.files if file.name == name)


def read(server: Server, name: str) -> Any:
    return yaml.safe_load(text(server, name))


def pem(context: Context, server: Server) -> str:
    return str(context.layout.conf(server.node) / tls.PEM)


def test_where_it_is_off_nobody_is_told_of_it(tmp_path: Path) -> None:
    plain = context(tmp_path, {})
    found = all_servers(plain)
    known = [path.read_text().strip() for path in plain.layout.secrets.rglob("*") if path.is_file()]
    for server in found:
        for file in server.files:
            told = file.text
            for word in (str(tmp_path), *known):  # chance writes the word into passwords
                told = told.replace(word, "")
            told = re.sub("^[;#].*", "", told, flags=re.MULTILINE)
            said = [line for line in told.splitlines() if MENTION.search(line)]
            assert not said, (server.name, file.name)
        assert not MENTION.search(" ".join(server.argv)), server.name
    for endpoint in all_endpoints(plain, reveal=False):
        assert not MENTION.search(endpoint.uri), endpoint


def test_every_server_has_its_nodes_certificate(secured: Context) -> None:
    plain, reloaded = [], []
    for server in all_servers(secured):
        found = [file for file in server.files if file.name == tls.PEM]
        if not found:
            plain.append(server.name)
            continue
        (file,) = found
        assert file.secret
        if not file.live:
            reloaded.append(server.name)
        assert server.node.address in validity(file.text.encode()).names, server.name
    # The archiver listens nowhere. The object store's door had its own before, moto is behind it.
    assert plain == ["archiver-1", "objects-1", "objects-1-haproxy"]
    members = [f"{name}{of}" for name in ("pg1", "pgsync1", "pgdr1") for of in ("", "-pgbouncer")]
    assert {*reloaded} == {*members, "web-1", "web-2"}  # by SIGHUP; the rest is not told so


def test_mongod_takes_tls_alone(secured: Context) -> None:
    for server in servers(secured, "mongod.conf"):
        assert read(server, "mongod.conf")["net"]["tls"] == {
            "mode": "requireTLS",
            "certificateKeyFile": pem(secured, server),
            "CAFile": secured.trust,
            "disabledProtocols": "TLS1_0,TLS1_1",
            "allowConnectionsWithoutCertificates": True,
        }


def test_mongos_takes_tls_alone(tmp_path: Path) -> None:
    secured = context(tmp_path, ON | {"mongo.router_binary": "/usr/bin/mongos"})
    for server in servers(secured, "mongos.conf"):
        told = read(server, "mongos.conf")["net"]["tls"]
        assert (told["mode"], told["CAFile"]) == ("requireTLS", secured.trust)


def test_the_segment_router_takes_tls_alone(secured: Context) -> None:
    for server in servers(secured, "router.json"):
        told = RouterConfig.model_validate_json(text(server, "router.json")).tls
        assert told is not None
        assert str(told.certificate_key_file) == pem(secured, server)
        assert str(told.ca_file) == secured.trust


def test_the_archiver_verifies(secured: Context) -> None:
    (server,) = servers(secured, "archiver.json")
    assert json.loads(text(server, "archiver.json"))["trust"] == secured.trust


def test_no_line_of_postgresql_lets_plain_text_in(secured: Context) -> None:
    for server in servers(secured, "patroni.yml"):
        told = read(server, "patroni.yml")
        kinds = {line.split()[0] for line in told["postgresql"]["pg_hba"]}
        assert kinds == {"local", "hostssl"}
        settings = told["postgresql"]["parameters"]
        assert settings["ssl"] == "on"
        assert settings["ssl_cert_file"] == settings["ssl_key_file"] == pem(secured, server)


def test_patroni_shows_a_certificate_and_verifies_whom_it_asks(secured: Context) -> None:
    for server in servers(secured, "patroni.yml"):
        told = read(server, "patroni.yml")
        assert told["restapi"]["certfile"] == told["restapi"]["keyfile"] == pem(secured, server)
        assert told["ctl"]["cacert"] == told["etcd3"]["cacert"] == secured.trust
        assert told["etcd3"]["protocol"] == "https"
        for login in told["postgresql"]["authentication"].values():
            assert login["sslmode"] == "verify-full"
            assert login["sslrootcert"] == secured.trust


def test_etcd_speaks_tls_at_every_address_and_asks_its_peers_who_they_are(secured: Context) -> None:
    for server in servers(secured, "etcd.yml"):
        told = read(server, "etcd.yml")
        urls = [part for word in told.values() if "://" in str(word) for part in word.split(",")]
        assert len(urls) >= 5
        assert all("https://" in url for url in urls), urls
        assert told["client-transport-security"]["cert-file"] == pem(secured, server)
        peers = told["peer-transport-security"]
        assert peers["client-cert-auth"] is True
        assert peers["trusted-ca-file"] == secured.trust


def test_pgbouncer_takes_tls_alone(secured: Context) -> None:
    for server in servers(secured, "pgbouncer.ini"):
        told = text(server, "pgbouncer.ini")
        assert re.search(r"^client_tls_sslmode = require$", told, re.MULTILINE)
        assert told.count(pem(secured, server)) == 2


def test_a_databases_proxy_asks_patroni_by_tls_and_shows_a_certificate(secured: Context) -> None:
    for server in (one for one in servers(secured, "haproxy.cfg") if one.component == names.EDGE):
        told = text(server, "haproxy.cfg")
        assert f"bind {server.node.at(names.STATS_PORT)} ssl crt {pem(secured, server)}" in told
        checks = [line for line in told.splitlines() if "check port 8008" in line]
        assert checks
        verified = rf"check-ssl verify required ca-file {secured.trust} verifyhost [\d.]+"
        assert all(re.search(verified, line) for line in checks), checks
        assert all(" ssl" in line for line in told.splitlines() if "connect port 8008" in line)


def test_the_services_proxies_speak_tls_on_both_sides(secured: Context) -> None:
    proxies = [one for one in servers(secured, "haproxy.cfg") if one.component == edge.COMPONENT]
    assert len(proxies) == 2
    for server in proxies:
        told = text(server, "haproxy.cfg").splitlines()
        binds = [line for line in told if line.strip().startswith("bind ")]
        behind = [line for line in told if re.match(r"\s+server ", line)]
        assert len(binds) == 2 + len(SERVICES)
        assert all(f" ssl crt {pem(secured, server)} ssl-min-ver TLSv1.2" in one for one in binds)
        assert len(behind) > len(SERVICES)
        for line in behind:
            address = line.split()[2].partition(":")[0]
            assert f"ssl verify required ca-file {secured.trust} verifyhost {address}" in line


def test_redis_has_no_plain_port(secured: Context) -> None:
    for server in servers(secured, "redis.conf"):
        told = text(server, "redis.conf").splitlines()
        assert "port 0" in told
        assert "tls-port 6379" in told
        assert f"tls-cert-file {pem(secured, server)}" in told


def test_services_show_a_certificate_and_verify_whom_they_call(secured: Context) -> None:
    for server in servers(secured, "settings.json"):
        told = parse(json.loads(text(server, "settings.json")), server.name)
        assert told.tls is not None
        assert (told.tls.certificate, told.tls.trust) == (pem(secured, server), secured.trust)
        assert all(str(url).startswith("https://") for url in told.upstreams.values())


def test_every_address_that_is_given_to_clients_verifies(secured: Context) -> None:
    shown = {
        "mongodb": ("tls=true", f"tlsCAFile={secured.trust}"),
        "postgresql": ("sslmode=verify-full", f"sslrootcert={secured.trust}"),
        "rediss": (f"ssl_ca_certs={secured.trust}",),
        "https": (),
    }
    found = all_endpoints(secured, reveal=True)
    assert {one.uri.partition("://")[0] for one in found} == set(shown)
    for endpoint in found:
        scheme = endpoint.uri.partition("://")[0]
        assert all(word in endpoint.uri for word in shown[scheme]), endpoint


def haproxies(context: Context) -> Iterator[Server]:
    return (one for one in servers(context, "haproxy.cfg") if "objects" not in one.name)


def test_haproxy_takes_the_configurations(secured: Context, tmp_path: Path) -> None:
    for server in haproxies(secured):
        folder = secured.layout.conf(server.node)
        folder.mkdir(parents=True)
        for file in server.files:
            (folder / file.name).write_text(file.text)
        ended = subprocess.run(
            [Programs().find("haproxy", "haproxy"), "-c", "-f", str(folder / "haproxy.cfg")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert "WARNING" not in ended.stderr, ended.stderr
