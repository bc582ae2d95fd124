"""MongoDB's servers: the members of the shards and of the config servers, and the routers."""

from enum import StrEnum

from cluster import tls
from cluster.context import Context
from cluster.inventory import Node
from cluster.render import render
from cluster.server import ConfigFile, Server
from mongo import nodes
from mongo.backup import settings
from mongo.backup.archiver.config import CONFIG as ARCHIVER_CONF
from mongo.backup.archiver.config import STATE, ArchiverConfig, Followed
from mongo.credentials import ARCHIVER, KEYFILE, keyfile_text, login
from mongo.nodes import SetNodes
from mongo.users import users_step

MONGOD_CONF = "mongod.conf"
MONGOS_CONF = "mongos.conf"
ROUTER_CONF = "router.json"
DATA_STOP_SECONDS = 60  # a clean stop writes a checkpoint; a primary steps down before


class RouterKind(StrEnum):
    """What runs as a router."""

    MONGOS = "mongos"
    SEGMENT_ROUTER = "segment router"


def router_kind(context: Context) -> RouterKind:
    """mongos where there is one, else the segment router.

    Raises MissingPrerequisiteError where the topology names a mongos that cannot run.
    """
    binary = context.programs.mongos(context.topology.mongo.router_binary)
    return RouterKind.MONGOS if binary else RouterKind.SEGMENT_ROUTER


def servers(context: Context) -> tuple[Server, ...]:
    """All of MongoDB's servers."""
    members = [
        member(context, replica_set, node)
        for replica_set in nodes.replica_sets(context)
        for node in replica_set.nodes
    ]
    return (
        *members,
        *(router(context, node) for node in nodes.routers(context)),
        *(archiver(context, node) for node in nodes.archivers(context)),
    )


def member(context: Context, replica_set: SetNodes, node: Node) -> Server:
    """A mongod: a member of a shard or of the config servers, or an arbiter."""
    conf = context.layout.conf(node)
    text = render(
        "mongo",
        "mongod.conf.j2",
        name=node.name,
        address=node.bind,
        port=nodes.port(node),
        data=str(context.layout.data(node)),
        cache_gb=context.topology.mongo.cache_gb,
        keyfile=str(conf / KEYFILE),
        tls=tls.pem_file(context, node),
        trust=context.trust,
        replica_set=replica_set.name,
        cluster_role="configsvr" if replica_set.holds_config else "shardsvr",
    )
    return Server(
        name=node.name,
        node=node,
        component=replica_set.component,
        argv=(context.programs.mongod(), "--config", str(conf / MONGOD_CONF)),
        files=(ConfigFile(MONGOD_CONF, text), _keyfile(context), *tls.files(context, node)),
        ports=(nodes.port(node),),
        stop_seconds=DATA_STOP_SECONDS,
    )


def router(context: Context, node: Node) -> Server:
    """A router: mongos, or the segment router where there is no mongos.

    Routers read cluster-wide defaults from the config servers, so those are set before.
    """
    binary = context.programs.mongos(context.topology.mongo.router_binary)
    name = MONGOS_CONF if binary else ROUTER_CONF
    path = str(context.layout.conf(node) / name)
    argv = (
        (binary, "--config", path)
        if binary
        else (context.programs.python(), "-m", "mongo.router", "--config", path)
    )
    return Server(
        name=node.name,
        node=node,
        component=nodes.ROUTERS_COMPONENT,
        argv=argv,
        files=(
            ConfigFile(name, _router_text(context, node, name)),
            _keyfile(context),
            *tls.files(context, node),
        ),
        folders=("conf",),
        ports=(nodes.ROUTER_PORT,),
        needs=(nodes.config_servers(context).step,),
    )


def archiver(context: Context, node: Node) -> Server:
    """What follows the oplogs into the archive, a thread a set, as a user of its own."""
    sets = nodes.replica_sets(context)
    user = login(context, ARCHIVER)
    config = ArchiverConfig(
        sets=tuple(
            Followed(name=one.name, hosts=tuple(map(nodes.host, one.data_bearing))) for one in sets
        ),
        user=user.user,
        password=user.password.get_secret_value(),
        slice=context.topology.mongo.backup.slice,
        place=settings.place(context),
        state=context.layout.data(node) / STATE,
        trust=context.trust,
    )
    # Without TLS it says nothing of it, and so is the file that runs already.
    text = config.model_dump_json(indent=1, exclude=None if context.trust else {"trust"})
    path = str(context.layout.conf(node) / ARCHIVER_CONF)
    return Server(
        name=node.name,
        node=node,
        component=nodes.ARCHIVE_COMPONENT,
        argv=(context.programs.python(), "-m", "mongo.backup.archiver", "--config", path),
        files=(ConfigFile(ARCHIVER_CONF, text, secret=True),),
        needs=tuple(users_step(one) for one in sets),
    )


def _router_text(context: Context, node: Node, name: str) -> str:
    return render(
        "mongo",
        f"{name}.j2",
        name=node.name,
        address=node.bind,
        port=nodes.port(node),
        keyfile=str(context.layout.conf(node) / KEYFILE),
        tls=tls.pem_file(context, node),
        trust=context.trust,
        config_servers=nodes.config_servers(context).seeds,
    )


def _keyfile(context: Context) -> ConfigFile:
    return ConfigFile(KEYFILE, keyfile_text(context), secret=True)
