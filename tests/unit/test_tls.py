"""What servers need to speak TLS, and what of it restarts them."""

import itertools
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import tls
from cluster.certificates import Authority, validity
from cluster.inventory import Kind
from cluster.layout import Layout
from cluster.local.target import _start_mark
from cluster.server import ConfigFile, Server
from cluster.tls_context import ServerContext, client_context
from cluster.topology import Tls
from tests.unit.postgres_samples import context

ON = {"tls.enabled": True}


def test_without_tls_there_are_no_files_and_nobody_to_trust(tmp_path: Path) -> None:
    plain = context(tmp_path)
    assert tls.files(plain, plain.inventory.named("pg1")) == ()
    assert plain.trust == ""
    assert {node.trust for node in plain.inventory.nodes} == {""}


def test_a_node_has_one_file_that_names_it(tmp_path: Path) -> None:
    secured = context(tmp_path, ON)
    node = secured.inventory.named("redis-1")
    (file,) = tls.files(secured, node)
    assert (file.name, file.secret, file.live) == ("tls.pem", True, True)
    assert validity(file.text.encode()).names == {node.address, "redis-1"}
    assert (file,) == tls.files(secured, node)


def test_an_etcd_is_known_by_where_its_connections_come_from(tmp_path: Path) -> None:
    secured = context(tmp_path, ON)
    (file,) = tls.files(secured, secured.inventory.named("etcd-2"))
    assert validity(file.text.encode()).names == {"127.77.61.2", "etcd-2", "127.0.0.1"}


def test_members_of_postgresql_are_called_by_the_proxies_addresses_too(tmp_path: Path) -> None:
    secured = context(tmp_path, ON)
    proxies = {node.address for node in secured.inventory.of(Kind.HAPROXY)}
    (file,) = tls.files(secured, secured.inventory.named("pgdr1"))
    assert validity(file.text.encode()).names >= proxies
    assert len(proxies) == 2


def test_clients_of_every_node_trust_the_clusters_authority(tmp_path: Path) -> None:
    secured = context(tmp_path, ON)
    assert secured.trust == str(tmp_path / "ca.crt")
    assert {node.trust for node in secured.inventory.nodes} == {secured.trust}


def test_a_renewed_certificate_restarts_nothing_and_another_file_does(tmp_path: Path) -> None:
    node = context(tmp_path).inventory.named("etcd-1")
    server = Server(
        "etcd-1",
        node,
        "etcd",
        ("etcd",),
        (ConfigFile("etcd.yml", "a"), ConfigFile("tls.pem", "a", secret=True, live=True)),
    )
    renewed = replace(server, files=(server.files[0], replace(server.files[1], text="b")))
    changed = replace(server, files=(replace(server.files[0], text="b"), server.files[1]))
    assert _start_mark(renewed) == _start_mark(server)
    assert _start_mark(changed) != _start_mark(server)


def test_a_servers_context_takes_a_renewed_certificate(tmp_path: Path) -> None:
    authority = Authority(Layout(tmp_path), Tls())
    trusted, pem = str(authority.certificate_file()), tmp_path / "tls.pem"
    pem.write_text(authority.pem("n", ["127.0.0.1"]))
    serving = ServerContext(pem)
    assert not serving.refresh()
    before = _presented(serving.context, trusted)
    authority.renew("n", ["127.0.0.1"])
    new = tmp_path / "new"
    new.write_text(authority.pem("n", ["127.0.0.1"]))
    new.rename(pem)
    assert _presented(serving.context, trusted) == before
    assert serving.refresh()
    assert _presented(serving.context, trusted) == validity(pem.read_bytes()).serial != before


def test_a_client_refuses_a_server_of_another_name_and_of_another_authority(tmp_path: Path) -> None:
    authority, stranger = (Authority(Layout(tmp_path / name)) for name in "ab")
    own, other = str(authority.certificate_file()), str(stranger.certificate_file())
    pem = tmp_path / "tls.pem"
    pem.write_text(authority.pem("n", ["127.0.0.1"]))
    serving = ServerContext(pem).context
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _presented(serving, own, "127.0.0.2")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        _presented(serving, other)


def _presented(serving: ssl.SSLContext, trusted: str, name: str = "127.0.0.1") -> str:
    """The serial of what a server with this context shows to one client."""
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_context(trusted).wrap_socket(here, server_hostname=name) as wrapped:
            der = wrapped.getpeercert(binary_form=True)
    finally:
        here.close()
        thread.join()
    assert der is not None
    return validity(ssl.DER_cert_to_PEM_cert(der).encode()).serial


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    """OpenSSL opens it twice, for the certificate and for the key."""
    authority, pem = Authority(Layout(tmp_path)), tmp_path / "tls.pem"
    pem.write_text(authority.pem("n", ["127.0.0.1"]))
    serving, stop = ServerContext(pem), threading.Event()
    pairs = []
    for number in range(2):
        authority.renew("n", ["127.0.0.1"])
        pairs.append(tmp_path / str(number))
        pairs[-1].write_text(authority.pem("n", ["127.0.0.1"]))

    def replace_it() -> None:
        for number in itertools.count():
            copy = tmp_path / "copy"
            copy.write_bytes(pairs[number % 2].read_bytes())
            copy.rename(pem)
            if stop.is_set():
                return

    thread = threading.Thread(target=replace_it)
    thread.start()
    try:
        for _ in range(400):
            serving.refresh()
    finally:
        stop.set()
        thread.join()


def test_many_who_ask_for_the_operators_certificate_get_one(tmp_path: Path) -> None:
    secured = context(tmp_path, ON)
    with ThreadPoolExecutor(16) as pool:
        seen = pool.map(lambda _: Path(tls.operator_file(secured)).read_bytes(), range(32))
    assert len({*seen}) == 1
