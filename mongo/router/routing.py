"""Which replica set a command goes to, decided from the catalog alone. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from mongo.router.command import Command, Goes, Nature
from mongo.router.document import encode_elements
from mongo.router.errors import Code, CommandError, needs_mongos
from mongo.router.metadata import CENTRAL, CONFIG_SET, UNSHARDED, Catalog, Home
from mongo.router.rights import split_target

# Commands that bring a database into being which is not there.
_CREATES = frozenset({"insert", "update", "delete", "findAndModify", "create", "createIndexes"})
# Commands that know no version of a collection, for they are about the whole database.
_DATABASE_WIDE = frozenset({"listCollections", "dbStats", "create", "validate"})
_ENDS = frozenset({"commitTransaction", "abortTransaction"})


@dataclass(frozen=True)
class Route:
    """The set, and the elements by which its servers check that we were right."""

    replica_set: str
    versions: bytes = b""


@dataclass(frozen=True)
class Unknown:
    """No shard owns the database; `create` where the command brings it into being."""

    database: str
    create: bool


def route(command: Command, catalog: Catalog, pinned: str | None = None) -> Route | Unknown:
    """Where a command for the owner of its database goes; `pinned` is its transaction's shard.

    Raises CommandError for what only mongos can do.
    """
    if pinned is not None and command.name in _ENDS:
        return _known(pinned, catalog)
    if command.spec.goes is Goes.CONFIG or command.database in CENTRAL:
        return _central(command, catalog)
    _refuse_sharded(command, catalog)
    home = catalog.databases.get(command.database)
    if home is None:
        return Unknown(command.database, command.name in _CREATES)
    _known(home.shard, catalog)
    if pinned is not None and pinned != home.shard:
        raise needs_mongos(
            f"a transaction over the shards {pinned} and {home.shard}",
            Code.OperationNotSupportedInTransaction,
        )
    _refuse_elsewhere(command, catalog, home)
    return Route(home.shard, _versions(command, home))


def _known(shard: str, catalog: Catalog) -> Route:
    if shard not in catalog.shards:
        raise CommandError(Code.ShardNotFound, f"Shard {shard} not found")
    return Route(shard)


def _central(command: Command, catalog: Catalog) -> Route:
    if command.in_transaction:
        raise CommandError(
            Code.OperationNotSupportedInTransaction,
            f"Cannot run command against the '{command.database}' database in a transaction.",
        )
    if command.name == "dropDatabase":
        raise CommandError(Code.IllegalOperation, f"Cannot drop the {command.database} database")
    _refuse_sharded(command, catalog)
    return Route(CONFIG_SET)


def _refuse_sharded(command: Command, catalog: Catalog) -> None:
    about = command.inner or command
    named = {about.namespace, *(about.pipeline.collections if about.pipeline else ())}
    if command.name == "renameCollection":
        named.add(".".join(split_target(command)))
    for namespace in sorted(named & catalog.sharded):
        raise needs_mongos(f"{namespace} is sharded")
    if command.name == "dropDatabase":
        for namespace in sorted(catalog.sharded):
            if namespace.startswith(f"{command.database}."):
                raise needs_mongos(f"{namespace} is sharded")


def _refuse_elsewhere(command: Command, catalog: Catalog, home: Home) -> None:
    others: set[str] = set(command.pipeline.databases if command.pipeline else ())
    if command.name == "renameCollection":
        others.add(split_target(command)[0])
    for database in sorted(others):
        owner = catalog.databases.get(database)
        if owner is None or owner.shard != home.shard:
            raise needs_mongos(f"{command.name} into a database of another shard, {database}")


def _versions(command: Command, home: Home) -> bytes:
    if command.name == "explain":
        return b""  # it would have to stand in the explained command
    if not command.collection or command.name in _DATABASE_WIDE or command.spec.internal_name:
        return home.version
    return home.version + UNSHARDED


def empty(command: Command) -> bytes:
    """What mongos answers for a database that is not there: the elements of the reply.

    Raises NamespaceNotFound where mongos does.
    """
    namespace = command.namespace if command.collection else f"{command.database}.$cmd"
    cursor = {"cursor": {"firstBatch": [], "id": 0, "ns": namespace}}
    answers: Mapping[str, Mapping[str, object]] = {
        "find": cursor,
        "aggregate": cursor,
        "listCollections": {
            "cursor": {
                "firstBatch": [],
                "id": 0,
                "ns": f"{command.database}.$cmd.listCollections",
            }
        },
        "count": {"n": 0},
        "distinct": {"values": []},
        "drop": {"info": "database does not exist"},
        "dropDatabase": {"info": "database does not exist"},
        "collStats": {"ns": namespace, "count": 0, "size": 0, "storageSize": 0, "nindexes": 0},
        "dbStats": {"db": command.database, "collections": 0, "objects": 0, "dataSize": 0.0},
    }
    if command.change_stream:
        raise needs_mongos(f"a change stream on {command.database}, which is not there yet")
    if command.name not in answers:
        what = "collection" if command.spec.nature is Nature.READ else "database"
        raise CommandError(
            Code.NamespaceNotFound, f"{what} {namespace.removesuffix('.$cmd')} not found"
        )
    return encode_elements({**answers[command.name], "ok": 1.0})
