"""Who MongoDB's users are: the names of their secrets, and what they log in with."""

from dataclasses import dataclass

from pydantic import SecretStr

from cluster.context import Context

KEYFILE = "keyfile"
KEYFILE_SECRET = "mongo-keyfile"  # noqa: S105 - the name of the secret
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
    return context.secrets.key(KEYFILE_SECRET)


def keyfile_text(context: Context) -> str:
    """What the servers' key file says: the key, and the coming one beside it while it is rotated.

    mongod takes a list of two, and both as the internal user's password:
    https://www.mongodb.com/docs/manual/tutorial/rotate-key-replica-set/
    """
    now, coming = keyfile(context), context.secrets.next(KEYFILE_SECRET)
    keys = [key.get_secret_value() for key in (now, coming) if key is not None]
    return keys[0] if len(keys) == 1 else "".join(f"- {key}\n" for key in keys)


def internal(context: Context) -> Login:
    """The servers' own user: what sets up a server that has no user yet.

    Every holder of the keyfile is `__system` of `local`, with the key's text as password.
    """
    return Login("__system", keyfile(context), "local")


def login(context: Context, user: str) -> Login:
    """One of our users: ADMIN, APPLICATION, MONITOR or ARCHIVER."""
    return Login(user, context.secrets.get(secret(user)))


def secret(user: str) -> str:
    """The name of the secret that one of our users logs in with."""
    return f"mongo-{user}"
