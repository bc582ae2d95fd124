"""Who MongoDB's users are: the names of their secrets, and what they log in with."""

from dataclasses import dataclass

from pydantic import SecretStr

from cluster.context import Context

KEYFILE = "keyfile"
ADMIN = "admin"
APPLICATION = "app"
MONITOR = "monitor"
ARCHIVER = "archiver"


@dataclass(frozen=True)
class Login:
    """A user, its password, and the database that knows it."""

    user: str
    password: SecretStr
    database: str = "admin"


def keyfile(context: Context) -> SecretStr:
    """The text of the key by which the cluster's servers know each other."""
    return context.secrets.key("mongo-keyfile")


def internal(context: Context) -> Login:
    """The servers' own user: what sets up a server that has no user yet.

    Every holder of the keyfile is `__system` of `local`, with the key's text as password.
    """
    return Login("__system", keyfile(context), "local")


def login(context: Context, user: str) -> Login:
    """One of our users: ADMIN, APPLICATION, MONITOR or ARCHIVER."""
    return Login(user, context.secrets.get(f"mongo-{user}"))
