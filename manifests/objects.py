"""The local object store: moto, which speaks S3 and keeps all in memory, behind TLS.

For labs alone. What is in it ends with its process; `provision` makes the buckets again.
"""

from pathlib import Path
from typing import Any

from cluster import objects
from cluster.certificates import Authority
from cluster.clock import wait_for
from cluster.context import Context
from cluster.endpoint import MASK, Endpoint
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.plan import Finding, Step, done, todo
from cluster.render import render
from cluster.server import ConfigFile, OnChange, Server
from cluster.status import Health, NodeStatus

PLAIN_PORT = 5000  # moto's own; only its proxy uses it
COMPONENT = "Object store"
CERTIFICATE = "objects.pem"
READY_SECONDS = 60
ANSWER_SECONDS = 2.0


def servers(context: Context) -> tuple[Server, ...]:
    """moto and its proxy, where the topology has an object store."""
    return tuple(
        server
        for node in context.inventory.of(Kind.OBJECTS)
        for server in (_moto(context, node), _proxy(context, node))
    )


def steps(context: Context) -> tuple[Step, ...]:
    """Every bucket that something of the topology needs."""
    return tuple(_buckets_step(context, node) for node in context.inventory.of(Kind.OBJECTS))


def status(context: Context) -> tuple[NodeStatus, ...]:
    """The store as it answers now."""
    return tuple(_status(context, node) for node in context.inventory.of(Kind.OBJECTS))


def endpoints(context: Context, *, reveal: bool) -> tuple[Endpoint, ...]:
    """How S3 clients reach the store."""
    found = []
    for node in context.inventory.of(Kind.OBJECTS):
        known = objects.local_key(context)
        key, secret = (
            (known.key.get_secret_value(), known.secret.get_secret_value())
            if reveal
            else (MASK, MASK)
        )
        purpose = f"S3, trusting {context.layout.authority}"
        found.append(
            Endpoint("objects", purpose, f"https://{key}:{secret}@{node.at(objects.PORT)}")
        )
    return tuple(found)


def missing(context: Context, node: Node) -> tuple[str, ...]:
    """The buckets that the store should have and has not. Raises UnreachableError."""
    there = _buckets(context, node)
    return tuple(name for name in objects.buckets(context.topology) if name not in there)


def _moto(context: Context, node: Node) -> Server:
    folder = str(Path(context.programs.python()).parent)
    program = context.programs.find("moto_server", "the Python package moto", [folder])
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(program, "--host", node.address, "--port", str(PLAIN_PORT)),
        # Objects of more than 16 MiB go to a temporary file that has no name.
        env=(("TMPDIR", str(context.layout.data(node))), ("PYTHONUNBUFFERED", "1")),
        ports=(PLAIN_PORT,),
        stop_seconds=5,
    )


def _proxy(context: Context, node: Node) -> Server:
    conf = context.layout.conf(node)
    text = render(
        "manifests",
        "objects.cfg.j2",
        node=node,
        port=objects.PORT,
        plain_port=PLAIN_PORT,
        certificate=conf / CERTIFICATE,
        key=objects.local_key(context).key.get_secret_value(),
    )
    pem = Authority(context.layout).pem(node.name, (node.address,))
    name = f"{node.name}-haproxy"
    return Server(
        name=name,
        node=node,
        component=COMPONENT,
        argv=(
            context.programs.find("haproxy", "haproxy"),
            "-W",
            "-db",
            "-f",
            str(conf / "haproxy.cfg"),
        ),
        files=(
            ConfigFile(CERTIFICATE, pem, secret=True),
            ConfigFile("haproxy.cfg", text, secret=True),
        ),
        folders=("conf",),
        ports=(objects.PORT,),
        on_change=OnChange.RELOAD,
        stop_seconds=5,
    )


def _buckets_step(context: Context, node: Node) -> Step:
    def check() -> Finding:
        try:
            lacking = missing(context, node)
        except UnreachableError as error:
            return todo(error.message)
        return todo(f"missing: {', '.join(lacking)}") if lacking else done("all there")

    def act() -> None:
        wait_for(
            f"{node.name}'s answer",
            lambda: _buckets(context, node) is not None,
            seconds=READY_SECONDS,
            clock=context.clock,
        )
        client = _client(context, node)
        for name in missing(context, node):
            client.create_bucket(Bucket=name)

    starts = tuple(server.start_step for server in servers(context))
    return Step(objects.BUCKETS_STEP, COMPONENT, "make the buckets", check, act, starts)


def _status(context: Context, node: Node) -> NodeStatus:
    try:
        lacking = missing(context, node)
    except UnreachableError as error:
        return NodeStatus(node, Health.DOWN, "-", detail=error.message)
    if lacking:
        detail = f"lost {', '.join(lacking)}: it was restarted, run provision"
        return NodeStatus(node, Health.DEGRADED, "S3", detail=detail)
    return NodeStatus(node, Health.OK, "S3")


def _buckets(context: Context, node: Node) -> frozenset[str]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

    try:
        found = _client(context, node).list_buckets()["Buckets"]
    except (BotoCoreError, ClientError) as error:
        reason = str(error).splitlines()[0]
        raise UnreachableError(f"{node.name} does not answer: {reason}") from error
    return frozenset(str(row["Name"]) for row in found)


def _client(context: Context, node: Node) -> Any:
    import boto3  # noqa: PLC0415 - slow to import, and needed where there is a store
    from botocore.config import Config  # noqa: PLC0415

    key = objects.local_key(context)
    return boto3.client(
        "s3",
        endpoint_url=f"https://{node.at(objects.PORT)}",
        region_name=objects.REGION,
        aws_access_key_id=key.key.get_secret_value(),
        aws_secret_access_key=key.secret.get_secret_value(),
        verify=str(Authority(context.layout).certificate_file()),
        config=Config(
            connect_timeout=ANSWER_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )
