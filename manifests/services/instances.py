"""Service instances as servers: the settings that each reads, and the program that it is."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pydantic import SecretStr

from cluster import tls
from cluster.context import Context
from cluster.errors import InvalidInputError
from cluster.inventory import Node
from cluster.problems import suggestion
from cluster.schema.types import Store
from cluster.secrets import SecretStore
from cluster.server import ConfigFile, Server
from manifests.services import edge, places, settings
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import GATEWAY, Service
from manifests.services.releases import Releases, Revision, Value
from manifests.services.settings import (
    Jwt,
    MongoStore,
    PostgresStore,
    RedisStore,
    S3Store,
    ServiceTls,
    Settings,
)

COMPONENT = "Services"
CONFIG = "settings.json"
JWT_KEY = "k1"
JWT_SECRETS = "services-jwt-"  # before the name of a signing key
JWT_SECRET = f"{JWT_SECRETS}{JWT_KEY}"
LATE_SECONDS = 30  # in which every instance has read what was changed
SECRETS = "services-"  # what the names of all the services' secrets begin with
# What a revision may set; the rest follows from the topology and the catalogue.
OPEN = ("limits", "breaker", "providers", "cors_origins", "log_level")
# No card is charged and no money moves on a machine made for drills; the settings say so.
LOCAL_DEFAULTS: Mapping[str, Value] = {"providers.card": "sandbox"}


@dataclass(frozen=True)
class Stores:
    """How services reach what keeps their data. The command line knows the engines, and tells."""

    mongo: MongoStore
    postgres: PostgresStore
    redis: RedisStore | None
    s3: S3Store | None = None


def servers(context: Context, stores: Stores, releases: Releases, name: str) -> dict[int, Server]:
    """A service's instances as they should be, by number, its canary with them.

    Empty where nothing of it should run.
    """
    revision = releases.wanted(name)
    if revision is None:
        return {}
    service, count = CATALOGUE.named(name), releases.services[name].replicas
    numbers = (*range(1, count + 1), places.CANARY)
    return {
        number: server(context, stores, tuple(releases.services), service, revision, number)
        for number in numbers
    }


def server(
    context: Context,
    stores: Stores,
    deployed: tuple[str, ...],
    service: Service,
    revision: Revision,
    number: int,
) -> Server:
    """One instance of a revision."""
    node = places.instance(context.topology, service.name, number, context.trust)
    found = instance_settings(context, stores, deployed, service, revision, number)
    code = context.layout.images / revision.version
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(
            revision.python,
            "-P",  # the node's folder is no place to import from
            "-m",
            "skillswap_ops.services",
            service.name,
            "--config",
            str(context.layout.conf(node) / CONFIG),
        ),
        files=(
            ConfigFile(CONFIG, found.to_json() + "\n", secret=True, fixed=found.fixed_json()),
            *tls.files(context, node),
        ),
        folders=("conf",),
        env=(("PYTHONPATH", str(code)), *sorted(service.environment.items())),
        ports=(places.PORT,),
        stop_seconds=edge.stop_seconds(service.probes.ready, found.deadlines),
    )


def blank(node: Node) -> Server:
    """An instance that only its name is known of: enough to stop it and to remove it."""
    return Server(node.name, node, COMPONENT, ("false",), stop_seconds=60)


@dataclass(frozen=True)
class Place:
    """Where an instance is, and whom it reaches how.

    `turn` tells instances apart that share the load of several hosts.
    """

    instance: str
    host: str
    zone: str
    upstreams: Mapping[str, str]
    proxies: tuple[str, ...] = ()
    turn: int = 0
    tls: ServiceTls | None = None
    drain_seconds: float = 0


def instance_settings(
    context: Context,
    stores: Stores,
    deployed: tuple[str, ...],
    service: Service,
    revision: Revision,
    number: int,
) -> Settings:
    """What an instance reads. Raises InvalidInputError where the revision's settings are wrong."""
    node = places.instance(context.topology, service.name, number)
    place = Place(
        instance=node.name,
        host=node.address,
        zone=node.zone,
        upstreams=_upstreams(context, service, deployed, number),
        proxies=tuple(proxy.address for proxy in places.proxies(context.topology)),
        turn=number,
        tls=ServiceTls(certificate=tls.pem_file(context, node), trust=context.trust)
        if context.trust
        else None,
        drain_seconds=edge.drain_seconds(service.probes.ready),
    )
    fixed = settings_at(context.secrets, stores, service, revision.version, place)
    return with_settings(fixed, {**LOCAL_DEFAULTS, **revision.settings})


def settings_at(
    secrets: SecretStore, stores: Stores, service: Service, version: str, place: Place
) -> Settings:
    """What an instance at that place reads, on any target."""
    _refuse_without_stores(service, stores)
    return Settings(
        service=service.name,
        instance=place.instance,
        version=version,
        host=place.host,
        port=places.PORT,
        zone=place.zone,
        jwt=signing(secrets),
        mongo=_turned_mongo(stores.mongo, place.turn) if service.uses(Store.MONGO) else None,
        postgres=(
            _turned_postgres(stores.postgres, place.turn) if service.uses(Store.POSTGRES) else None
        ),
        redis=stores.redis if service.redis else None,
        s3=stores.s3 if service.s3 else None,
        tls=place.tls,
        upstreams=dict(place.upstreams),
        proxies=place.proxies,
        drain_seconds=place.drain_seconds,
    )


def signing(secrets: SecretStore) -> Jwt:
    """The signing keys: the newest signs, and one that is coming verifies already.

    What signed before is good until its last token has run out, an instance being told late.
    """
    names = signing_secrets(secrets)
    keys = {_key_name(name): secrets.key(name) for name in names}
    coming = following(names[-1])
    if (key := secrets.next(coming)) is not None:
        keys[_key_name(coming)] = key
    plain = Jwt(active=_key_name(names[-1]), keys=keys)
    good = plain.access_seconds + plain.leeway_seconds + LATE_SECONDS
    until = {_key_name(old): round(secrets.made_at(new)) + good for old, new in pairwise(names)}
    return plain.model_copy(update={"until": until})


def signing_secrets(secrets: SecretStore) -> list[str]:
    """The names of the signing keys' secrets, the one that signs last."""
    return sorted(secrets.kept(JWT_SECRETS), key=_number) or [JWT_SECRET]


def following(secret: str) -> str:
    """The name of the secret that comes after that one."""
    return f"{JWT_SECRETS}k{_number(secret) + 1}"


def _key_name(secret: str) -> str:
    return secret.removeprefix(JWT_SECRETS)


def _number(secret: str) -> int:
    return int(_key_name(secret).removeprefix("k"))


def called_by(service: Service, deployed: Iterable[str]) -> tuple[str, ...]:
    """The services that it calls; nothing in here calls the gateway."""
    called = {*deployed} - {GATEWAY, service.name} if service.reaches_all else {*service.depends_on}
    return tuple(name for name in CATALOGUE.names if name in called)


def _refuse_without_stores(service: Service, stores: Stores) -> None:
    if service.redis and stores.redis is None:
        raise InvalidInputError(
            f"{service.name} needs Redis, and redis.members is 0", "give the topology a Redis"
        )
    if service.s3 and stores.s3 is None:
        raise InvalidInputError(
            f"{service.name} needs an object store, and the topology has none",
            "set objects.members to 1 for a local one, or objects.external to another's, and "
            "`provision`; the MVP's services need none",
        )


def _turned_mongo(store: MongoStore, number: int) -> MongoStore:
    return store.model_copy(update={"hosts": _turned(store.hosts, number)})


def _turned_postgres(store: PostgresStore, number: int) -> PostgresStore:
    return store.model_copy(update={"hosts": _turned(store.hosts, number)})


def _turned(hosts: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Instances begin at different hosts, so that all of them share the load."""
    turn = number % len(hosts)
    return hosts[turn:] + hosts[:turn]


def _upstreams(
    context: Context, service: Service, deployed: tuple[str, ...], number: int
) -> dict[str, str]:
    """The ways to what it calls, by name."""
    proxy = places.proxy_of(context.topology, number)
    return {
        name: f"{tls.scheme(context)}://{proxy.at(places.internal_port(name))}"
        for name in called_by(service, deployed)
    }


def with_settings(found: Settings, changes: Mapping[str, Value]) -> Settings:
    """The settings with values at dotted paths. Raises InvalidInputError: a wrong path or value."""
    if not changes:
        return found
    data = json.loads(found.to_json())
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = data
        for part in parents:
            if place.get(part) is None:
                place[part] = {}
            place = place[part]
            if not isinstance(place, dict):
                raise InvalidInputError(f"--set {path}: {part} has no parts")
        place[last] = list(value) if isinstance(value, tuple) else value
    return settings.parse(data, "--set")


def check_settings(changes: Mapping[str, Value]) -> None:
    """Raises InvalidInputError where a setting is none that a revision may have, or is wrong."""
    for path in changes:
        if path.split(".")[0] not in OPEN:
            raise InvalidInputError(
                f"--set {path}: not one that can be set{suggestion(path.split('.')[0], OPEN)}",
                f"settings begin with {', '.join(OPEN)}",
            )
        if path.split(".")[-1] in {"key", "secret"}:
            raise InvalidInputError(
                f"--set {path}: a secret does not belong on a command line",
                "secrets are files of the cluster's `secrets` folder",
            )
    with_settings(_SAMPLE, changes)


_SAMPLE = Settings(
    service="sample",
    instance="sample-1",
    version="0",
    host="localhost",
    jwt=Jwt(active="k", keys={"k": SecretStr("0" * 64)}),
)
