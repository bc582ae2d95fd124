"""Redis, which carries chat between service instances: its server, its readiness, its status."""

from collections.abc import Sequence
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cluster.clock import wait_for
from cluster.context import Context
from cluster.endpoint import MASK, Endpoint
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.metrics import Reader, Reading
from cluster.plan import Finding, Step, done, todo
from cluster.render import render
from cluster.server import ConfigFile, Server
from cluster.status import Health, NodeStatus

PORT = 6379
COMPONENT = "Redis"
READY_SECONDS = 30
ANSWER_SECONDS = 1.0
APPLICATION = "app"
APPLICATION_SECRET = "redis-app"  # noqa: S105 - the name of the secret


def servers(context: Context) -> tuple[Server, ...]:
    """The Redis servers of the topology."""
    return tuple(_server(context, node) for node in context.inventory.of(Kind.REDIS))


def steps(context: Context) -> tuple[Step, ...]:
    """Redis answers to the application's password."""
    return tuple(
        _ready_step(context, server.node, server.start_step) for server in servers(context)
    )


def status(context: Context) -> tuple[NodeStatus, ...]:
    """Each Redis node as it answers now."""
    return tuple(_status(context, node) for node in context.inventory.of(Kind.REDIS))


def endpoints(context: Context, *, reveal: bool) -> tuple[Endpoint, ...]:
    """How the chat service reaches Redis."""
    password = context.secrets.get(APPLICATION_SECRET).get_secret_value() if reveal else MASK
    return tuple(
        Endpoint("redis", "chat fan-out", f"redis://{APPLICATION}:{password}@{node.at(PORT)}/0")
        for node in context.inventory.of(Kind.REDIS)
    )


def readers(context: Context) -> tuple[Reader, ...]:
    """Each Redis node, for monitoring: whether it answers."""
    return tuple(_Pinged(context, node) for node in context.inventory.of(Kind.REDIS))


@dataclass(frozen=True)
class _Pinged:
    context: Context
    node: Node

    def read(self) -> Sequence[Reading]:
        """Ping it. Raises UnreachableError."""
        try:
            _client(self.context, self.node).ping()
        except redis.RedisError as error:
            raise UnreachableError(f"{self.node.name} does not answer: {error}") from error
        return ()

    def close(self) -> None:
        """Nothing is held."""


def _server(context: Context, node: Node) -> Server:
    conf = context.layout.conf(node) / "redis.conf"
    text = render(
        "manifests",
        "redis.conf.j2",
        node=node,
        port=PORT,
        data=context.layout.data(node),
        max_memory_mb=context.topology.redis.max_memory_mb,
        app_password=context.secrets.get(APPLICATION_SECRET).get_secret_value(),
        monitor_password=context.secrets.get("redis-monitor").get_secret_value(),
        admin_password=context.secrets.get("redis-admin").get_secret_value(),
    )
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(context.programs.find("redis-server", "redis-server"), str(conf)),
        files=(ConfigFile("redis.conf", text, secret=True),),
        ports=(PORT,),
    )


def _ready_step(context: Context, node: Node, start: str) -> Step:
    def check() -> Finding:
        try:
            _client(context, node).ping()
        except redis.RedisError as error:
            return todo(f"no answer: {error}")
        return done("answers to the application's password")

    def ready() -> bool:
        return check().done

    def act() -> None:
        wait_for(f"{node.name}'s answer", ready, seconds=READY_SECONDS, clock=context.clock)

    return Step(f"{node.name} ready", COMPONENT, f"wait for {node.name}", check, act, (start,))


def _status(context: Context, node: Node) -> NodeStatus:
    try:
        _client(context, node).ping()
    except redis.RedisError as error:
        return NodeStatus(node, Health.DOWN, "-", detail=str(error))
    return NodeStatus(node, Health.OK, "primary")


def _client(context: Context, node: Node) -> "redis.Redis":
    return redis.Redis(
        host=node.address,
        port=PORT,
        username=APPLICATION,
        password=context.secrets.get(APPLICATION_SECRET).get_secret_value(),
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),  # by default it tries for seconds where nothing listens
    )
