"""TLS of the cluster's servers: the file that each node has, and how clients verify it.

One file a node holds its key and its certificate: it is replaced in one rename, and every server
here finds in it what it looks for.
"""

import ssl
from functools import lru_cache
from pathlib import Path

from cluster.certificates import Authority
from cluster.context import Context
from cluster.inventory import Inventory, Kind, Node
from cluster.server import ConfigFile

PEM = "tls.pem"


def authority(context: Context) -> Authority:
    """The cluster's own, with the lifetimes of its topology."""
    return Authority(context.layout, context.topology.tls)


def files(context: Context, node: Node) -> tuple[ConfigFile, ...]:
    """What a server of this node needs to speak TLS; nothing where it is off."""
    if not context.topology.tls.enabled:
        return ()
    own = authority(context)
    own.certificate_file()
    return (
        ConfigFile(PEM, own.pem(node.name, names(context.inventory, node)), secret=True, live=True),
    )


def names(inventory: Inventory, node: Node) -> tuple[str, ...]:
    """What clients call a node.

    PostgreSQL's are reached through proxies that pass its TLS on, and by their addresses.
    """
    proxies = inventory.of(Kind.HAPROXY) if node.kind is Kind.POSTGRES else ()
    return (node.address, node.name, *(proxy.address for proxy in proxies))


def pem_file(context: Context, node: Node) -> str:
    """Where a node's servers find their key and certificate; "" where TLS is off."""
    return str(context.layout.conf(node) / PEM) if context.topology.tls.enabled else ""


def client_context(trusted: str, own: str = "") -> ssl.SSLContext:
    """Verifies a server by its name and the authorities in the file `trusted`.

    `own` is a file with a key and a certificate to show. One a state of the files, not a
    connection: it is the loading that takes time. Raises OSError where a file is missing.
    """
    return _client_context(trusted, Path(trusted).stat().st_mtime_ns, own)


@lru_cache(maxsize=16)
def _client_context(trusted: str, changed: int, own: str) -> ssl.SSLContext:  # noqa: ARG001 - a key
    made = ssl.create_default_context(cafile=trusted)
    if own:
        made.load_cert_chain(own)
    return made


class ServerContext:
    """A server's side, which takes a renewed certificate for the connections that come then."""

    def __init__(self, pem: Path) -> None:
        self._pem = pem
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded = self._load()

    def refresh(self) -> bool:
        """Whether the file had changed. Raises OSError (SSLError is one) where it is damaged."""
        if self._stamp() == self._loaded:
            return False
        self._loaded = self._load()
        return True

    def _load(self) -> tuple[int, int]:
        stamp = self._stamp()
        self.context.load_cert_chain(self._pem)
        return stamp

    def _stamp(self) -> tuple[int, int]:
        found = self._pem.stat()
        return found.st_mtime_ns, found.st_ino
