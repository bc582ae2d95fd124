"""TLS of the cluster's servers: the file that each node has, and how clients verify it.

One file a node holds its key and its certificate: it is replaced in one rename, and every server
here finds in it what it looks for.
"""

from threading import Lock

from cluster.certificates import Authority
from cluster.context import Context
from cluster.inventory import Inventory, Kind, Node
from cluster.layout import PodLayout
from cluster.server import ConfigFile

PEM = "tls.pem"
UNBOUND = "127.0.0.1"  # where connections over loopback come from that were not bound
OPERATOR = "operator"
OPERATOR_NAMES = (OPERATOR, UNBOUND)
MAKING = Lock()


def authority(context: Context) -> Authority:
    """The cluster's own, with the lifetimes of its topology."""
    return Authority(context.layout, context.topology.tls)


def issued_here(context: Context) -> bool:
    """Whether nodes have certificates of the cluster's own authority.

    Pods have theirs from somebody else (`kubernetes.tls`), so that no key of theirs is known here.
    """
    return context.topology.tls.enabled and not isinstance(context.layout, PodLayout)


def files(context: Context, node: Node, *, live: bool = True) -> tuple[ConfigFile, ...]:
    """What a server of this node is given to speak TLS; nothing where it is off, and in pods.

    Not `live`: it reads a new one with its other files, by SIGHUP.
    """
    if not issued_here(context):
        return ()
    own = authority(context)
    own.certificate_file()
    pem = own.pem(node.name, names(context.inventory, node))
    return (ConfigFile(PEM, pem, secret=True, live=live),)


def names(inventory: Inventory, node: Node) -> tuple[str, ...]:
    """What others call a node.

    PostgreSQL's are reached through proxies that pass its TLS on, and by their addresses. etcd
    looks whether a peer comes from where its certificate says, and on one machine that is here.
    """
    own = (node.address, node.name)
    match node.kind:
        case Kind.POSTGRES:
            return (*own, *(proxy.address for proxy in inventory.of(Kind.HAPROXY)))
        case Kind.ETCD:
            return (*own, UNBOUND)
    return own


def pem_file(context: Context, node: Node) -> str:
    """Where a node's servers find their key and certificate; "" where TLS is off."""
    return str(context.layout.conf(node) / PEM) if context.topology.tls.enabled else ""


def scheme(context: Context) -> str:
    """How a URL of a server that speaks HTTP begins."""
    return "https" if context.topology.tls.enabled else "http"


def operator_file(context: Context) -> str:
    """A key and a certificate of this tool's own, for ports that ask for one; "" without TLS.

    Only etcd's do, and no pod is one.
    """
    if not issued_here(context):
        return ""
    own = authority(context)
    with MAKING:  # one reads key and certificate one after the other: both must be of one file
        own.pem(OPERATOR, OPERATOR_NAMES)
    return str(own.file(OPERATOR))
