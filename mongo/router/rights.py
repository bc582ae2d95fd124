"""The rights that each command needs, as MongoDB's own check of each command has them."""

from collections.abc import Callable

from mongo.router.authz import (
    CLUSTER,
    Need,
    Needs,
    Resource,
    need,
    place,
)
from mongo.router.command import Command, Principal
from mongo.router.document import Document
from mongo.router.errors import Code, CommandError
from mongo.router.pipeline import analyse

Asks = Callable[[Command, Principal], Needs]
ADMIN = "admin"


def nothing(_command: Command, _who: Principal) -> Needs:
    """Any user may; cursors, sessions and lists are narrowed where they are handled."""
    return ()


def on_collection(*actions: str) -> Asks:
    """These actions on the command's collection."""

    def asks(command: Command, _who: Principal) -> Needs:
        return (need(_collection(command), *actions),)

    return asks


def on_database(*actions: str) -> Asks:
    """These actions on the command's database."""

    def asks(command: Command, _who: Principal) -> Needs:
        return (need(place(command.database), *actions),)

    return asks


def on_cluster(*actions: str) -> Asks:
    """These actions on the cluster."""

    def asks(_command: Command, _who: Principal) -> Needs:
        return (need(CLUSTER, *actions),)

    return asks


def on_settings(action: str) -> Asks:
    """An action on the collection where the balancer's settings are kept."""

    def asks(_command: Command, _who: Principal) -> Needs:
        return (need(place("config", "settings"), action),)

    return asks


# Documents


def insert(command: Command, _who: Principal) -> Needs:
    """To insert."""
    return (need(_collection(command), "insert", *_bypass(command)),)


def update(command: Command, _who: Principal) -> Needs:
    """To update, and to insert where a statement may."""
    upserts = any(statement.truth("upsert") for statement in command.statements())
    more = ("insert",) if upserts else ()
    return (need(_collection(command), "update", *more, *_bypass(command)),)


def find_and_modify(command: Command, _who: Principal) -> Needs:
    """To find, and to remove or update or insert."""
    body = command.body
    actions = ["find", "remove" if body.truth("remove") else "update"]
    if body.truth("upsert"):
        actions.append("insert")
    return (need(_collection(command), *actions, *_bypass(command)),)


def aggregate(command: Command, _who: Principal) -> Needs:
    """What the pipeline reads and writes."""
    return command.pipeline.needs if command.pipeline else ()


def explain(command: Command, who: Principal) -> Needs:
    """What the explained command needs."""
    return command.inner.spec.needs(command.inner, who) if command.inner else ()


def _bypass(command: Command) -> tuple[str, ...]:
    return ("bypassDocumentValidation",) * command.body.truth("bypassDocumentValidation")


def _collection(command: Command) -> Resource:
    return place(command.database, command.collection)


# Collections


def create(command: Command, who: Principal) -> Needs:
    """To create a collection; for a view, to read what it shows."""
    target = _collection(command)
    either = (frozenset({"createCollection"}), frozenset({"insert"}))
    options = either[:1] if "viewOn" in command.body else either
    capped = (need(target, "convertToCapped"),) * command.body.truth("capped")
    return (Need(target, options), *capped, *_view(command, who))


def coll_mod(command: Command, who: Principal) -> Needs:
    """To modify a collection; for a view, to read what it will show."""
    if ("viewOn" in command.body) != ("pipeline" in command.body):
        raise CommandError(
            Code.InvalidOptions,
            "Must specify both 'viewOn' and 'pipeline' when modifying a view and auth is enabled",
        )
    return (need(_collection(command), "collMod"), *_view(command, who))


def _view(command: Command, who: Principal) -> Needs:
    """A view must not show its maker what he may not read himself."""
    source = command.body.text("viewOn")
    if source is None or not who.rights.allow(_collection(command), "find"):
        return ()
    stages = command.body.documents("pipeline")
    return (
        need(place(command.database, source), "find"),
        *analyse(command.database, source, stages).needs,
    )


def rename(command: Command, who: Principal) -> Needs:
    """To rename within a database, without making readable what was not."""
    source, target = split_namespace(command.body, command.argument), split_target(command)
    if source[0] != target[0]:
        more = ("dropCollection",) if command.body.truth("dropTarget") else ()
        return (
            need(place(*source), "find", "dropCollection"),
            need(place(*target), "createCollection", "createIndex", "insert", *more),
        )
    reads = (need(place(*source), "find"),) * who.rights.allow(place(*target), "find")
    return (need(place(source[0]), "renameCollectionSameDB"), *reads)


def split_namespace(body: Document, field: str) -> tuple[str, str]:
    """`database.collection` of a field, in two. Raises InvalidNamespace."""
    database, dot, collection = (body.text(field) or "").partition(".")
    if not (dot and database and collection):
        raise CommandError(Code.InvalidNamespace, f"{field}: not a namespace")
    return database, collection


def split_target(command: Command) -> tuple[str, str]:
    """Where a collection is renamed to."""
    return split_namespace(command.body, "to")


def list_collections(command: Command, who: Principal) -> Needs:
    """To list a database; who may not, can list the names of what he may read."""
    mine = command.body.truth("authorizedCollections") and command.body.truth("nameOnly")
    if mine and who.rights.touches(command.database, "find"):
        return ()
    return (need(place(command.database), "listCollections"),)


def enable_sharding(command: Command, _who: Principal) -> Needs:
    """To place the database that the command names."""
    return (need(place(command.body.text(command.argument) or ""), "enableSharding"),)
