"""Who may do what: MongoDB's resources and privileges, matched as MongoDB matches them.

Nothing is allowed that no privilege allows. The order of matching is MongoDB's
`ResourcePatternSearchList`: collections named `system.…` are reached by no pattern but their own
name, and the databases `local` and `config` not by the resource of all databases.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

SYSTEM = "system."
BUCKETS = "system.buckets."
INTERNAL_DATABASES = frozenset({"local", "config"})


class Kind(Enum):
    """What a resource's strings mean."""

    ANY = "any resource"
    CLUSTER = "cluster"
    PLACE = "database and collection"  # an empty string stands for all of them
    BUCKETS = "time-series buckets"  # likewise


@dataclass(frozen=True, slots=True)
class Resource:
    """What a privilege is for, or what a command acts on."""

    kind: Kind
    database: str = ""
    collection: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.PLACE and self.database:
            return f"{self.database}.{self.collection}".rstrip(".")
        return self.kind.value

    def document(self) -> dict[str, str | bool]:
        """As MongoDB writes it."""
        if self.kind is Kind.PLACE:
            return {"db": self.database, "collection": self.collection}
        if self.kind is Kind.BUCKETS:
            return {"db": self.database, "system_buckets": self.collection}
        return {"cluster": True} if self.kind is Kind.CLUSTER else {"anyResource": True}


ANY_RESOURCE = Resource(Kind.ANY)
CLUSTER = Resource(Kind.CLUSTER)
ALL_DATABASES = Resource(Kind.PLACE)


def place(database: str, collection: str = "") -> Resource:
    """A collection, or a whole database."""
    return Resource(Kind.PLACE, database, collection)


@dataclass(frozen=True, slots=True)
class Privilege:
    """Actions on a resource; `every` is the internal user's right to any action."""

    resource: Resource
    actions: frozenset[str]
    every: bool = False


EVERYTHING = Privilege(ANY_RESOURCE, frozenset(), every=True)


@dataclass(frozen=True, slots=True)
class Need:
    """What a command needs on a resource: all actions of any one of `options`."""

    resource: Resource
    options: tuple[frozenset[str], ...]


Needs = tuple[Need, ...]


def need(resource: Resource, *actions: str) -> Need:
    """All of `actions` on `resource`."""
    return Need(resource, (frozenset(actions),))


@dataclass(slots=True)
class Rights:
    """What a user may do, from the privileges that the config servers resolved."""

    privileges: tuple[Privilege, ...]
    _by_resource: dict[Resource, set[str]] = field(init=False)
    _every: bool = field(init=False)
    _known: dict[Need, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._every = any(privilege.every for privilege in self.privileges)
        self._by_resource = defaultdict(set)
        for privilege in self.privileges:
            self._by_resource[privilege.resource] |= privilege.actions

    def missing(self, needs: Iterable[Need]) -> Need | None:
        """The first of `needs` that is not met."""
        return next((each for each in needs if not self.meet(each)), None)

    def meet(self, wanted: Need) -> bool:
        """Whether this need is met."""
        known = self._known.get(wanted)
        if known is None:
            if len(self._known) > 10_000:  # names come from clients
                self._known.clear()
            known = self._known[wanted] = self._meet(wanted)
        return known

    def allow(self, resource: Resource, *actions: str) -> bool:
        """Whether all of `actions` are allowed on `resource`."""
        return self.meet(need(resource, *actions))

    def collections(self, database: str, action: str) -> frozenset[str]:
        """The collections of a database that are allowed by their own name."""
        return frozenset(
            resource.collection
            for resource, actions in self._by_resource.items()
            if resource.kind is Kind.PLACE
            and resource.collection
            and resource.database in {database, ""}
            and action in actions
        )

    def touches(self, database: str, action: str) -> bool:
        """Whether `action` is allowed on the database or on any collection in it."""
        return self.allow(place(database), action) or bool(self.collections(database, action))

    def _meet(self, wanted: Need) -> bool:
        if self._every:
            return True
        allowed: set[str] = set()
        for pattern in patterns(wanted.resource):
            allowed |= self._by_resource.get(pattern, set())
        return any(option <= allowed for option in wanted.options)


def patterns(target: Resource) -> tuple[Resource, ...]:
    """The resources by which a privilege can reach `target`."""
    if target.kind is not Kind.PLACE or target == ALL_DATABASES:
        return (ANY_RESOURCE, target)
    return (ANY_RESOURCE, *_wider(target), target)


def _wider(target: Resource) -> Iterable[Resource]:
    database, collection = target.database, target.collection
    if not collection.startswith(SYSTEM):
        if database not in INTERNAL_DATABASES:
            yield ALL_DATABASES
        yield place(database)
    elif collection.startswith(BUCKETS):
        bucket = collection.removeprefix(BUCKETS)
        for pair in ((database, bucket), ("", ""), (database, ""), ("", bucket)):
            yield Resource(Kind.BUCKETS, *pair)
    if collection:
        yield place("", collection)


def parse_privilege(document: Mapping[str, Any]) -> Privilege | None:
    """A privilege of usersInfo; None for a kind of resource that is not known here."""
    resource = parse_resource(document.get("resource", {}))
    if resource is None:
        return None
    return Privilege(resource, frozenset(map(str, document.get("actions", ()))))


def parse_resource(document: Mapping[str, Any]) -> Resource | None:
    """A resource document; None where it is of no kind that is known here."""
    if document.get("anyResource") is True:
        return ANY_RESOURCE
    if document.get("cluster") is True:
        return CLUSTER
    keys = set(document)
    if keys == {"db", "collection"}:
        return place(str(document["db"]), str(document["collection"]))
    if keys == {"db", "system_buckets"}:
        return Resource(Kind.BUCKETS, str(document["db"]), str(document["system_buckets"]))
    return None
