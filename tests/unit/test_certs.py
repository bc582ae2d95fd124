"""What ports show, and the roll of new certificates, against ports of this test's own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from cluster import shown, tls
from cluster.certificates import Authority, validity
from cluster.errors import InvalidInputError, RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.layout import Layout
from cluster.server import ConfigFile, OnChange, Server
from cluster.shown import Shows
from cluster.target import ServerState
from cluster.tls_context import ServerContext
from runbooks.facts import around
from runbooks.facts.records import Certificate as CertificateFact
from skillswap_ops import certificates
from skillswap_ops.engines import all_servers
from skillswap_ops.wiring import LocalContext
from tests.unit.postgres_samples import context

HOST = "127.0.0.1"
ON: dict[str, object] = {"tls.enabled": True}


@dataclass
class Listening:
    """A port that shows what is in a file, and whether it takes a new one when it is told to."""

    pem: Path
    port: int = 0
    takes: bool = True
    by_itself: bool = False
    plain: bool = False
    held: "ServerContext | None" = None

    def take(self) -> None:
        if self.takes and self.held:
            self.held.refresh()

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                if self.by_itself:
                    self.take()
                with suppress(OSError), connection:
                    if self.plain or self.held is None:
                        connection.recv(64)
                        connection.sendall(b"who is there?\n")
                    else:
                        self.held.context.wrap_socket(connection, server_side=True).close()


@contextmanager
def listening(pem: Path, *, plain: bool = False) -> Iterator[Listening]:
    with socket.create_server((HOST, 0)) as listener:
        made = Listening(pem, listener.getsockname()[1], plain=plain)
        made.held = None if plain else ServerContext(pem)
        thread = threading.Thread(target=made.serve, args=(listener,))
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass
class Target:
    """Writes certificates where the ports above read them, and remembers what it was told."""

    at: dict[str, Listening] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def state(self, server: Server) -> ServerState:
        return ServerState(running=server.name in self.at, detail="")

    def started_as_written(self, server: Server) -> bool:
        return server.name not in self.changed

    def write(self, server: Server) -> None:
        self.told.append((server.name, "write"))
        if server.certificate and server.name in self.at:
            self.at[server.name].pem.write_text(server.certificate.text)

    def reload(self, server: Server) -> None:
        self.write(server)
        self.told.append((server.name, "reload"))
        self.at[server.name].take()


@pytest.fixture
def secured(tmp_path: Path) -> LocalContext:
    made = context(tmp_path, ON)
    tls.authority(made).certificate_file()
    return cast("LocalContext", replace(made, target=cast("object", Target())))


def server(context: LocalContext, name: str, port: int, pem: str, **changes: object) -> Server:
    node = Node(name, Kind.SERVICE, name, "eu-west", "a", HOST, trust=context.trust)
    file = ConfigFile(tls.PEM, pem, secret=True)
    made = Server(name, node, "x", (name,), (file,), ports=(port,), on_change=OnChange.RELOAD)
    return replace(made, **changes)  # type: ignore[arg-type] - as the test says


def given(context: LocalContext, name: str, folder: Path) -> tuple[str, Path]:
    """A node's certificate, and a file where a port finds it."""
    text = tls.authority(context).pem(name, (HOST, name))
    path = folder / f"{name}.shown.pem"
    path.write_text(text)
    return text, path


def test_a_port_shows_what_was_given_or_another_or_none(
    secured: LocalContext, tmp_path: Path
) -> None:
    text, path = given(secured, "a", tmp_path)
    stranger = Authority(Layout(tmp_path / "other"))
    other = tmp_path / "other.pem"
    other.write_text(stranger.pem("a", (HOST,)))
    with (
        listening(path) as good,
        listening(other) as refused,
        listening(path, plain=True) as plain,
    ):
        asked = [server(secured, "a", port.port, text) for port in (good, refused, plain)]
        closed = server(secured, "a", 1, text)
        found = shown.look(secured, [*asked, closed])
        assert [one.shows for one in found] == [Shows.GIVEN, Shows.NONE, Shows.NONE, Shows.NONE]
        assert found[0].names == (HOST, "a")
        assert found[0].days == pytest.approx(365, abs=0.1)
        assert "clients refuse: self-signed" in found[1].why or "unable to get" in found[1].why
        assert "does not answer by TLS" in found[2].why
        assert "Connection refused" in found[3].why

        tls.authority(secured).renew("a", (HOST, "a"))
        newer = server(secured, "a", good.port, tls.authority(secured).pem("a", (HOST, "a")))
        (late,) = shown.look(secured, [newer])
        assert late.shows is Shows.ANOTHER


def test_what_a_proxy_passes_on_is_a_members(secured: LocalContext) -> None:
    proxy = next(one for one in all_servers(secured) if one.node.kind is Kind.HAPROXY)
    found = {port.number: port.of for port in shown.ports(secured.inventory, [proxy])}
    members = frozenset({"pg1", "pgsync1", "pgdr1"})
    assert found == {5000: members, 5001: members, 5002: members, 7000: {proxy.node.name}}


def test_a_node_after_the_other_is_given_a_new_one_and_shows_it(
    secured: LocalContext, tmp_path: Path
) -> None:
    target = cast("Target", secured.target)
    (text_a, path_a), (text_b, path_b) = (given(secured, name, tmp_path) for name in "ab")
    said: list[str] = []
    with listening(path_a) as a, listening(path_b) as b:
        target.at = {"a": a, "b": b}
        servers = [server(secured, "a", a.port, text_a), server(secured, "b", b.port, text_b)]
        done = certificates.roll(secured, servers, said.append)
        fresh = [
            shown.with_certificate(one, tls.authority(secured).pem(one.name, (HOST, one.name)))
            for one in servers
        ]
        assert [one.shows for one in shown.look(secured, fresh)] == [Shows.GIVEN] * 2
        assert [one.shows for one in shown.look(secured, servers)] == [Shows.ANOTHER] * 2
    assert [one.node for one in done] == ["a", "b"]
    assert target.told == [("a", "write"), ("a", "reload"), ("b", "write"), ("b", "reload")]
    assert [line.partition(",")[0] for line in said] == ["1/2 a: taken by a", "2/2 b: taken by b"]


def test_one_that_does_not_take_it_ends_the_roll_before_the_next(
    secured: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "TAKEN_SECONDS", 0.5)
    target = cast("Target", secured.target)
    (text_a, path_a), (text_b, path_b) = (given(secured, name, tmp_path) for name in "ab")
    with listening(path_a) as a, listening(path_b) as b:
        a.takes, target.at = False, {"a": a, "b": b}
        servers = [server(secured, "a", a.port, text_a), server(secured, "b", b.port, text_b)]
        with pytest.raises(UnreachableError, match="the new certificate of a at port"):
            certificates.roll(secured, servers, lambda _: None)
    assert path_b.read_text() == text_b == tls.authority(secured).pem("b", (HOST, "b"))
    assert {name for name, _ in target.told} == {"a"}


def test_one_that_takes_it_by_itself_is_not_told_to_read_its_files(
    secured: LocalContext, tmp_path: Path
) -> None:
    target = cast("Target", secured.target)
    text, path = given(secured, "a", tmp_path)
    with listening(path) as a:
        target.at, a.by_itself = {"a": a}, True
        alone = ConfigFile(tls.PEM, text, secret=True, live=True)
        certificates.roll(secured, [server(secured, "a", a.port, text, files=(alone,))], print)
    assert target.told == [("a", "write")]


def test_a_stopped_server_takes_it_at_its_start(secured: LocalContext, tmp_path: Path) -> None:
    text, _ = given(secured, "a", tmp_path)
    (done,) = certificates.roll(secured, [server(secured, "a", 1, text)], lambda _: None)
    assert (done.servers, done.stopped) == ((), ("a",))
    assert cast("Target", secured.target).told == [("a", "write")]


def test_a_server_that_would_have_to_restart_is_refused_before_anything(
    secured: LocalContext, tmp_path: Path
) -> None:
    target = cast("Target", secured.target)
    text, path = given(secured, "a", tmp_path)
    target.at, target.changed = {"a": Listening(path)}, {"a"}
    with pytest.raises(RefusedError, match="would have to restart: a"):
        certificates.refuse(secured, [server(secured, "a", 1, text)])


def test_without_tls_there_is_nothing_to_list(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no server of skillswap speaks TLS"):
        certificates.listed(cast("LocalContext", context(tmp_path)))


def test_the_object_stores_certificate_is_one_of_them_without_tls(tmp_path: Path) -> None:
    plain = cast("LocalContext", context(tmp_path, {"objects.members": 1}))
    (one,) = certificates.listed(plain).ports
    assert (one.server, one.shows) == ("objects-1-haproxy", Shows.NONE)


def test_an_unknown_node_is_said(secured: LocalContext) -> None:
    servers = [one for one in all_servers(secured) if one.certificate]
    with pytest.raises(InvalidInputError, match="no node with a certificate: pg9"):
        certificates.chosen(servers, ["pg9"])
    assert {one.name for one in certificates.chosen(servers, ["pg1"])} == {"pg1", "pg1-pgbouncer"}
    assert certificates.chosen(servers, []) == servers


def test_what_is_watched_is_what_servers_were_given_and_not_what_waits_for_them(
    secured: LocalContext,
) -> None:
    own, node = tls.authority(secured), secured.inventory.named("pg1")
    old = datetime.now(UTC) - timedelta(days=350)
    own.renew("pg1", tls.names(secured.inventory, node), old)
    conf = secured.layout.conf(node)
    conf.mkdir(parents=True)
    (conf / tls.PEM).write_bytes(own.file("pg1").read_bytes())
    tls.files(secured, node)  # as any command does that renders: the next one waits from now on
    assert validity(own.file("pg1").read_bytes()).days(datetime.now(UTC)) > 364
    (fact,) = around.certificates(secured).seen[:1]
    assert isinstance(fact, CertificateFact)
    assert fact.name == "pg1"
    assert fact.days_left == pytest.approx(15, abs=0.1)
