"""The secrets of Redis and of the services as they are rotated."""

import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import redis as driver
from pydantic import SecretStr
from redis.exceptions import NoPermissionError

from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.rotation import Door, Rotatable, Taker, tell
from cluster.web import basic, request
from manifests import redis
from manifests.services import edge, instances, places, releases
from manifests.services.instances import JWT_SECRETS, signing

JWT = "services-jwt"
OPENS = {
    redis.APPLICATION: "Redis, as the services",
    redis.MONITOR: "Redis, to look",
    redis.ADMIN: "Redis, as an operator",
}
SECONDS = 3.0


def rotatables(context: Context, target: Taker) -> tuple[Rotatable, ...]:
    """Redis's users, the statistics of the services' proxies, the signing key."""
    users = OPENS if context.inventory.of(Kind.REDIS) else ()
    return (
        *(_user(context, target, user) for user in users),
        _statistics(context, target),
        _signing_key(context),
    )


def _user(context: Context, target: Taker, user: str) -> Rotatable:
    """Redis takes several passwords of a user: the new one beside the old, then alone."""
    name = redis.secret(user)

    def switch(ahead: Context) -> None:
        for node in _running(context, target):
            _set_user(context, ahead, node, user, f"#{_digest(ahead, name)}")

    def settle() -> None:
        for node in _running(context, target):
            _set_user(context, context, node, user, "resetpass", f"#{_digest(context, name)}")
        for server in redis.servers(context):
            target.write(server)

    return Rotatable(
        name=name,
        opens=OPENS[user],
        how="both passwords for a moment, connections go on",
        switch=switch,
        settle=settle,
        doors=lambda: tuple(
            Door(f"{node.name} as {user}", partial(_redis_opens, node, user))
            for node in context.inventory.of(Kind.REDIS)
        ),
    )


def _running(context: Context, target: Taker) -> Iterator[Node]:
    return (server.node for server in redis.servers(context) if target.state(server).running)


def _digest(context: Context, name: str) -> str:
    """What Redis keeps of a password: https://redis.io/docs/latest/commands/acl-setuser/"""
    return hashlib.sha256(context.secrets.get(name).get_secret_value().encode()).hexdigest()


def _set_user(context: Context, ahead: Context, node: Node, user: str, *rules: str) -> None:
    """As its administrator, whose own password may have been changed already.

    Raises UnreachableError.
    """
    try:
        try:
            _as_admin(context, node, user, rules)
        except driver.AuthenticationError:
            _as_admin(ahead, node, user, rules)
    except driver.RedisError as error:
        raise UnreachableError(f"{node.name} does not change its user {user}: {error}") from error


def _as_admin(context: Context, node: Node, user: str, rules: tuple[str, ...]) -> None:
    with redis.client(context, node, redis.ADMIN, redis.ADMIN_SECRET) as connection:
        connection.execute_command("ACL", "SETUSER", user, *rules)


def _redis_opens(node: Node, user: str, password: SecretStr) -> bool:
    try:
        with redis.opened(node, user, password) as connection:
            connection.ping()
    except driver.AuthenticationError:
        return False
    except NoPermissionError:
        return True
    except driver.RedisError as error:
        raise UnreachableError(f"{node.name} does not answer: {error}") from error
    return True


def _statistics(context: Context, target: Taker) -> Rotatable:
    replicas = releases.load(context.layout.releases).replicas
    proxies = places.proxies(context.topology) if replicas else ()
    return Rotatable(
        name=edge.STATS_SECRET,
        opens="the statistics of the services' proxies",
        how="the proxies reload",
        switch=lambda ahead: tell(target, edge.servers(ahead, replicas)),
        doors=lambda: tuple(
            Door(f"{node.name}'s statistics", partial(_statistics_open, context, node))
            for node in proxies
        ),
    )


def _statistics_open(context: Context, node: Node, password: SecretStr) -> bool:
    headers = basic(edge.STATS_USER, password.get_secret_value())
    answer = request(
        node.address, places.STATS_PORT, "GET", "/;csv",
        headers=headers, seconds=SECONDS, trust=context.trust,
    )  # fmt: skip
    return answer.status != 401


def _signing_key(context: Context) -> Rotatable:
    """A key is added under the next name. Who reads of it is told beside, before and after.

    Every instance verifies with the new key before one signs with it, and with the old one until
    the last token of it has run out: nobody is logged out.
    """
    known = instances.signing_secrets(context.secrets)
    newest = known[-1]
    resumed = context.secrets.former(newest) is not None
    secret = newest if resumed else instances.following(newest)

    def switch(_ahead: Context) -> None:
        """Forget what verifies nothing any more."""
        until = signing(context.secrets).until
        for old, _new in pairwise(known):
            if time.time() > until[old.removeprefix(JWT_SECRETS)]:
                context.secrets.drop(old)

    def note() -> str:
        until = signing(context.secrets).until.values()
        if not until:
            return ""
        last = datetime.fromtimestamp(max(until), UTC)
        return f"tokens of before are good until {last:%H:%M:%S} UTC"

    return Rotatable(
        name=JWT,
        opens="the services, as anybody",
        how="both keys verify until the last token of the old one has run out",
        switch=switch,
        key=True,
        secret=secret,
        after="" if resumed else newest,
        note=note,
    )
