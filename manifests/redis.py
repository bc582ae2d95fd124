"""Redis, which carries chat between service instances: its server, its readiness, its status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from cluster import tls
from cluster.clock import wait_for
from cluster.context import Context
from cluster.endpoint import MASK, Endpoint
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.metrics import Reader, Reading
from cluster.plan import Finding, Step, done, todo
from cluster.render import render
from cluster.server import ConfigFile, Server
from cluster.shown import shows_its_own
from cluster.shown import step as certificate_step
from cluster.status import Health, NodeStatus
from manifests.redis_client import secured

PORT = 6379
COMPONENT = "Redis"
READY_SECONDS = 30
ANSWER_SECONDS = 1.0
APPLICATION = "app"
APPLICATION_SECRET = "redis-app"  # noqa: S105 - the name of the secret
MONITOR = "monitor"
ADMIN = "admin"
ADMIN_SECRET = "redis-admin"  # noqa: S105 - the name of the secret
TAKEN_SECONDS = 10


def servers(context: Context) -> tuple[Server, ...]:
    """The Redis servers of the topology."""
    return tuple(_server(context, node) for node in context.inventory.of(Kind.REDIS))


def steps(context: Context) -> tuple[Step, ...]:
    """Redis answers to the application's password, and shows the certificate that it was given
    here.
    """
    ready = [_ready_step(context, server.node, server.start_step) for server in servers(context)]
    nodes = context.inventory.of(Kind.REDIS) if tls.issued_here(context) else ()
    shown = (
        certificate_step(context, node, PORT, COMPONENT, take, f"{node.name} ready")
        for node in nodes
    )
    return (*ready, *shown)


def status(context: Context) -> tuple[NodeStatus, ...]:
    """Each Redis node as it answers now."""
    return tuple(_status(context, node) for node in context.inventory.of(Kind.REDIS))


def endpoints(context: Context, *, reveal: bool) -> tuple[Endpoint, ...]:
    """How the chat service reaches Redis."""
    password = context.secrets.get(APPLICATION_SECRET).get_secret_value() if reveal else MASK
    scheme, query = ("rediss", f"?ssl_ca_certs={context.trust}") if context.trust else ("redis", "")
    return tuple(
        Endpoint(
            "redis",
            "chat fan-out",
            f"{scheme}://{APPLICATION}:{password}@{node.at(PORT)}/0{query}",
        )
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
            client(self.context, self.node).ping()
        except redis.RedisError as error:
            raise UnreachableError(f"{self.node.name} does not answer: {error}") from error
        return ()

    def close(self) -> None:
        """Nothing is held."""


def _server(context: Context, node: Node) -> Server:
    conf = context.layout.conf(node) / "redis.conf"
    passwords = {
        user: context.secrets.get(secret(user)).get_secret_value()
        for user in (APPLICATION, MONITOR, ADMIN)
    }
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(context.programs.find("redis-server", "redis-server"), str(conf)),
        files=(
            ConfigFile(
                "redis.conf",
                _conf(context, node, passwords),
                secret=True,
                # A running Redis is given other passwords by command (`manifests.rotation`).
                fixed=_conf(context, node, dict.fromkeys(passwords, MASK)),
            ),
            *tls.files(context, node),
        ),
        ports=(PORT,),
    )


def secret(user: str) -> str:
    """The name of the secret that a user logs in with."""
    return f"redis-{user}"


def _conf(context: Context, node: Node, passwords: Mapping[str, str]) -> str:
    return render(
        "manifests",
        "redis.conf.j2",
        node=node,
        port=PORT,
        data=context.layout.data(node),
        max_memory_mb=context.topology.redis.max_memory_mb,
        passwords=passwords,
        tls=tls.pem_file(context, node),
        trust=context.trust,
    )


def _ready_step(context: Context, node: Node, start: str) -> Step:
    def check() -> Finding:
        try:
            client(context, node).ping()
        except redis.RedisError as error:
            return todo(f"no answer: {error}")
        return done("answers to the application's password")

    def ready() -> bool:
        return check().done

    def act() -> None:
        wait_for(f"{node.name}'s answer", ready, seconds=READY_SECONDS, clock=context.clock)

    return Step(f"{node.name} ready", COMPONENT, f"wait for {node.name}", check, act, (start,))


def take(context: Context, node: Node) -> None:
    """Have Redis read its certificate anew; connections that it has go on.

    Setting the same path reads the file again (VOLATILE_CONFIG in Redis's config.c).
    """
    pem = tls.pem_file(context, node)

    def told() -> bool:
        try:
            admin = client(context, node, ADMIN, ADMIN_SECRET)
            admin.config_set("tls-cert-file", pem, "tls-key-file", pem)
        except redis.RedisError as error:
            raise UnreachableError(f"{node.name} does not take it: {error}") from error
        return shows_its_own(context, node, PORT)

    wait_for(f"{node.name}'s certificate", told, seconds=TAKEN_SECONDS, clock=context.clock)


def _status(context: Context, node: Node) -> NodeStatus:
    try:
        client(context, node).ping()
    except redis.RedisError as error:
        return NodeStatus(node, Health.DOWN, "-", detail=str(error))
    return NodeStatus(node, Health.OK, "primary")


def client(
    context: Context, node: Node, user: str = APPLICATION, secret: str = APPLICATION_SECRET
) -> "redis.Redis":
    """A connection as one of the users, made when it is used."""
    return opened(node, user, context.secrets.get(secret))


def opened(node: Node, user: str, password: SecretStr) -> "redis.Redis":
    """The same, with this password."""
    return redis.Redis(
        host=node.address,
        port=PORT,
        username=user,
        password=password.get_secret_value(),
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),  # by default it tries for seconds where nothing listens
        **secured(node.trust),
    )
