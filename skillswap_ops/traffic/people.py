"""The users whose requests a run sends, and everything that they leave in the stores.

Their e-mails say which run they are of, so that what a killed run left is found and removed.
"""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg import sql

from cluster.context import Context
from cluster.schema.catalogue import BY_NAME, collections
from cluster.schema.payments import HOME
from cluster.schema.types import Entity
from manifests.services.instances import signing
from mongo import guarantees, nodes
from mongo.client import Client as MongoClient
from mongo.client import router_client
from mongo.credentials import ADMIN, APPLICATION, login
from postgres import patroni
from postgres.client import Connection, superuser
from postgres.scopes import primary_scope
from skillswap_ops.services.base.models import derived
from skillswap_ops.services.base.tokens import Tokens

DOMAIN = "skillswap.invalid"  # RFC 2606: nobody's, for ever
DRILL, LOAD = "drill", "load"  # what sends their requests
OF_A_RUN = re.compile(rf"(drill|load)-(?P<run>[0-9a-f]{{8}})-[a-z0-9-]+@{re.escape(DOMAIN)}")
SECONDS = 60.0
ROLES = ("APPRENANT", "ENSEIGNANT")
USER = "UTILISATEUR"
# Rows of PostgreSQL that hang on a user's intents or subscriptions, before what they refer to.
DELETES = (
    "DELETE FROM facture WHERE id_intention_paiement IN"
    " (SELECT id FROM intention_paiement WHERE id_utilisateur = ANY(%s))",
    "DELETE FROM droit_acces WHERE id_utilisateur = ANY(%s)",
    "DELETE FROM intention_paiement WHERE id_utilisateur = ANY(%s)",
    "DELETE FROM abonnement WHERE id_utilisateur = ANY(%s)",
)


@dataclass(frozen=True)
class Person:
    """A user of a run."""

    id: str
    courriel: str


def courriel(run: str, label: str, number: int, kind: str = DRILL) -> str:
    """The e-mail of a run's user."""
    return f"{kind}-{run}-{label}-{number}@{DOMAIN}"


def person(run: str, label: str, number: int, kind: str = DRILL) -> Person:
    """A user of a run that is written past the API."""
    return Person(derived(kind, run, label, str(number)), courriel(run, label, number, kind))


def settle(context: Context, people: Iterable[Person]) -> None:
    """Write these users past the API, known to a majority. Idempotent. Raises OpsError."""
    with of_application(context) as client:
        users = guarantees.collection(client, BY_NAME[USER])
        for one in people:
            users.replace_one({"courriel": one.courriel}, _row(one), upsert=True)


def _row(one: Person) -> dict[str, object]:
    return {
        "_id": one.id,
        "id_utilisateur": one.id,
        "nom": "Drill",
        "courriel": one.courriel,
        "langue_preferee": "fr",
        "identite_verifiee": False,
        "reputation": 0.0,
        "score_fiabilite": 100.0,
        "roles": list(ROLES),
        "cree_le": datetime.now(UTC),
    }


def of_application(
    context: Context, seconds: float = SECONDS
) -> AbstractContextManager[MongoClient]:
    """The application's connection through the routers."""
    return router_client(nodes.routers(context), login(context, APPLICATION), seconds=seconds)


def of_administrator(context: Context, seconds: float) -> AbstractContextManager[MongoClient]:
    """The administrator's connection through the routers: it reads what is nobody's own."""
    return router_client(nodes.routers(context), login(context, ADMIN), seconds=seconds)


@contextmanager
def on_leader(context: Context) -> Iterator[Connection]:
    """A superuser's connection to whoever leads the payments, among their tables."""
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader, context.topology.postgres.database) as connection:
        place = sql.SQL("SET search_path TO {}, pg_temp").format(sql.Identifier(HOME))
        connection.execute(place)
        yield connection


class Passports:
    """Access tokens, signed with the services' own key, each made anew before it runs out."""

    def __init__(self, context: Context) -> None:
        jwt = signing(context.secrets)
        self._fresh = jwt.access_seconds / 2
        self._tokens = Tokens(jwt, latest=lambda: signing(context.secrets))
        self._made: dict[str, tuple[float, str]] = {}

    def of(self, user: str) -> str:
        """The token of a user."""
        since, token = self._made.get(user, (float("-inf"), ""))
        if time.monotonic() - since > self._fresh:
            token = self._tokens.access(user, ROLES)
            self._made[user] = time.monotonic(), token
        return token


def runs_with_people(context: Context, kind: str = DRILL) -> tuple[str, ...]:
    """The runs that have users in the stores. Raises OpsError where no router can say."""
    with of_application(context) as client:
        found = guarantees.collection(client, BY_NAME[USER]).find(
            {"courriel": {"$regex": f"^{kind}-[0-9a-f]{{8}}-"}}, {"courriel": 1}
        )
        names = {match["run"] for row in found if (match := OF_A_RUN.fullmatch(row["courriel"]))}
    return tuple(sorted(names))


def remove(context: Context, run: str) -> None:
    """Remove a run's users and all that is theirs, from both stores. Idempotent."""
    with of_application(context) as client:
        ids = _ids(client, _pattern(run))
        if not ids:
            return
        _remove_rows(context, ids)
        for entity in collections():
            if entity.name != USER:
                _remove_documents(client, entity, ids)
        # Last: they are how the rest is found again, where this is cut off.
        guarantees.collection(client, BY_NAME[USER]).delete_many(
            {"courriel": {"$regex": _pattern(run)}}
        )


def _pattern(run: str) -> str:
    return f"^({DRILL}|{LOAD})-{run}-"


def _ids(client: MongoClient, pattern: str) -> tuple[str, ...]:
    users = guarantees.collection(client, BY_NAME[USER])
    rows = users.find({"courriel": {"$regex": pattern}}, {"id_utilisateur": 1})
    return tuple(row["id_utilisateur"] for row in rows)


def _remove_documents(client: MongoClient, entity: Entity, ids: Sequence[str]) -> None:
    """What refers to one of these users."""
    fields = [each.field for each in entity.references if each.entity == USER]
    if fields:
        query = {"$or": [{name: {"$in": list(ids)}} for name in fields]}
        guarantees.collection(client, entity).delete_many(query)


def _remove_rows(context: Context, ids: Collection[str]) -> None:
    users = [UUID(one) for one in ids]
    with on_leader(context) as connection:
        for statement in DELETES:
            connection.execute(statement, (users,))
