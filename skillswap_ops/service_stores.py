"""What the engines tell the services: where their stores are, and as whom to log in."""

import mongo.nodes
from cluster import objects
from cluster.context import Context
from cluster.inventory import Kind
from manifests import redis
from manifests.services.instances import Stores
from manifests.services.settings import MongoStore, PostgresStore, RedisStore, S3Store
from mongo.credentials import APPLICATION, login, secret
from postgres import names


def stores(context: Context) -> Stores:
    """The application's ways in: routers, the proxies' pooled port, Redis, the files' bucket."""
    return Stores(_mongo(context), _postgres(context), _redis(context), _s3(context))


def _mongo(context: Context) -> MongoStore:
    known = login(context, APPLICATION)
    return MongoStore(
        hosts=tuple(map(mongo.nodes.host, mongo.nodes.routers(context))),
        user=known.user,
        password=known.password,
        next=context.secrets.next(secret(APPLICATION)),
        auth_database=known.database,
    )


def _postgres(context: Context) -> PostgresStore:
    user = names.application(context.topology)
    return PostgresStore(
        hosts=tuple(node.address for node in context.inventory.of(Kind.HAPROXY)),
        port=names.POOLED_PORT,
        dbname=context.topology.postgres.database,
        user=user,
        password=context.secrets.get(names.secret(user)),
        next=context.secrets.next(names.secret(user)),
    )


def _redis(context: Context) -> RedisStore | None:
    nodes = context.inventory.of(Kind.REDIS)
    if not nodes:
        return None
    return RedisStore(
        host=nodes[0].address,
        port=redis.PORT,
        user=redis.APPLICATION,
        password=context.secrets.get(redis.APPLICATION_SECRET),
    )


def _s3(context: Context) -> S3Store | None:
    place = objects.files(context)
    if place is None:
        return None
    return S3Store(
        endpoint=place.url,
        region=place.region,
        bucket=place.bucket,
        access_key=place.key.key.get_secret_value(),
        secret_key=place.key.secret,
        ca_file=place.ca_file,
    )
