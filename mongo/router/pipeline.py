"""What an aggregation reads and writes, and the rights that it needs.

Stages are allowed by name: one that is not in the table is refused, because it would run with the
router's own rights on the shard. A nested pipeline is walked like the outer one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mongo.router.authz import CLUSTER, Need, Needs, need, place
from mongo.router.document import ARRAY, STRING, Document, mismatch
from mongo.router.errors import Code, CommandError, needs_mongos

# Stages that read nothing but what flows through them.
PLAIN = frozenset(
    {
        "$addFields",
        "$bucket",
        "$bucketAuto",
        "$count",
        "$densify",
        "$fill",
        "$geoNear",
        "$group",
        "$limit",
        "$match",
        "$project",
        "$redact",
        "$replaceRoot",
        "$replaceWith",
        "$sample",
        "$set",
        "$setWindowFields",
        "$skip",
        "$sort",
        "$sortByCount",
        "$unset",
        "$unwind",
    }
)
# Stages that tell of the collection: the action that each needs.
ABOUT = {"$collStats": "collStats", "$indexStats": "indexStats", "$planCacheStats": "planCacheRead"}
MAX_DEPTH = 20  # MongoDB's own limit of nested pipelines (MaxSubPipelineDepthExceeded)

# $merge by (whenMatched, whenNotMatched); MongoDB's `getMergeStrategyDescriptors`.
_DEFAULT_MATCHED, _DEFAULT_NOT_MATCHED = "merge", "insert"
_NOT_MATCHED_ACTIONS: Mapping[str, frozenset[str]] = {
    "insert": frozenset({"insert"}),
    "discard": frozenset(),
    "fail": frozenset(),
}
_MATCHED_ACTIONS: Mapping[str, frozenset[str]] = {
    "replace": frozenset({"update"}),
    "merge": frozenset({"update"}),
    "pipeline": frozenset({"update"}),
    "keepExisting": frozenset({"update"}),
    "fail": frozenset(),
}


@dataclass(frozen=True)
class Pipeline:
    """What is to be known of a pipeline before it is sent."""

    needs: Needs
    databases: frozenset[str]
    """The databases that it reads or writes beside its own."""
    collections: frozenset[str]
    """All namespaces that it reads or writes, its own excepted."""
    writes: bool
    change_stream: bool


@dataclass
class _Walk:
    """What has been found so far."""

    database: str
    needs: list[Need]
    namespaces: set[tuple[str, str]]
    bypass: bool
    writes: bool = False
    change_stream: bool = False

    def reads(self, database: str, collection: str) -> None:
        self.needs.append(need(place(database, collection), "find"))
        self.namespaces.add((database, collection))


def analyse(
    database: str, collection: str, stages: Iterable[Document], *, bypass_validation: bool = False
) -> Pipeline:
    """What the pipeline on `database`.`collection` needs; collection is "" for `aggregate: 1`.

    Raises CommandError for a stage that is not allowed here.
    """
    walk = _Walk(database, [], set(), bypass_validation)
    _pipeline(walk, collection, list(stages), 0)
    return Pipeline(
        tuple(dict.fromkeys(walk.needs)),
        frozenset(name for name, _ in walk.namespaces) - {database},
        frozenset(f"{name}.{each}" for name, each in walk.namespaces),
        walk.writes,
        walk.change_stream,
    )


def _pipeline(walk: _Walk, collection: str, stages: list[Document], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CommandError(Code.FailedToParse, f"pipelines are nested more than {MAX_DEPTH} deep")
    first = _name(stages[0]) if stages else ""
    if first not in _SOURCES:
        walk.needs.append(need(place(walk.database, collection), "find"))
    for stage in stages:
        name = _name(stage)
        if name not in PLAIN:
            _special(walk, collection, name, stage, depth)


def _special(walk: _Walk, collection: str, name: str, stage: Document, depth: int) -> None:
    if name in ABOUT:
        walk.needs.append(need(place(walk.database, collection), ABOUT[name]))
    elif name == "$changeStream":
        _change_stream(walk, collection, stage)
    elif name == "$out":
        _out(walk, stage)
    elif name == "$merge":
        _merge(walk, stage)
    elif name in _NESTING:
        for source, nested in _NESTING[name](walk, collection, stage):
            _pipeline(walk, source, nested, depth + 1)
    elif name != "$documents":
        raise CommandError(Code.UnrecognizedStage, f"Unrecognized pipeline stage name: '{name}'")


def _name(stage: Document) -> str:
    names = list(stage)
    if len(names) != 1:
        raise CommandError(
            Code.UnrecognizedStage,
            "A pipeline stage specification object must contain exactly one field.",
        )
    return names[0]


# Stages with pipelines within


def _facet(walk: _Walk, collection: str, stage: Document) -> Iterator[tuple[str, list[Document]]]:
    del walk
    facets = _object(stage, "$facet")
    for name in facets:
        yield collection, facets.documents(name)


def _lookup(walk: _Walk, collection: str, stage: Document) -> Iterator[tuple[str, list[Document]]]:
    del collection
    yield from _joined(walk, _object(stage, "$lookup"), "from")


def _graph_lookup(
    walk: _Walk, collection: str, stage: Document
) -> Iterator[tuple[str, list[Document]]]:
    del collection
    yield from _joined(walk, _object(stage, "$graphLookup"), "from")


def _union(walk: _Walk, collection: str, stage: Document) -> Iterator[tuple[str, list[Document]]]:
    del collection
    if stage.type_of("$unionWith") == STRING:
        walk.reads(walk.database, stage.text("$unionWith") or "")
    else:
        yield from _joined(walk, _object(stage, "$unionWith"), "coll")


def _joined(walk: _Walk, spec: Document, field: str) -> Iterator[tuple[str, list[Document]]]:
    """The collection named by `field`; without one the inner pipeline brings `$documents`."""
    nested = spec.documents("pipeline")
    if field not in spec:
        if not nested or _name(nested[0]) != "$documents":
            raise CommandError(Code.FailedToParse, f"missing argument '{field}'")
        yield "", nested
        return
    collection = spec.text(field) or ""
    walk.reads(walk.database, collection)
    yield collection, nested


_NESTING = {
    "$facet": _facet,
    "$lookup": _lookup,
    "$graphLookup": _graph_lookup,
    "$unionWith": _union,
}
# First stages that do not read the collection as `find` does.
_SOURCES = frozenset({*ABOUT, "$changeStream", "$documents"})


# Other stages


def _change_stream(walk: _Walk, collection: str, stage: Document) -> None:
    spec = _object(stage, "$changeStream")
    if spec.truth("allChangesForCluster") or walk.database == "admin":
        raise needs_mongos("a change stream over the whole cluster", Code.CommandNotSupported)
    walk.change_stream = True
    walk.needs.append(need(place(walk.database, collection), "changeStream", "find"))
    if spec.truth("showMigrationEvents"):
        walk.needs.append(need(CLUSTER, "internal"))


def _out(walk: _Walk, stage: Document) -> None:
    if stage.type_of("$out") == STRING:
        database, collection = walk.database, stage.text("$out") or ""
    else:
        spec = _object(stage, "$out")
        if set(spec) != {"db", "coll"}:
            raise needs_mongos("$out with more than db and coll")
        database, collection = spec.text("db") or "", spec.text("coll") or ""
    _target(walk, database, collection, frozenset({"insert", "remove"}))


def _merge(walk: _Walk, stage: Document) -> None:
    if stage.type_of("$merge") == STRING:
        _target(walk, walk.database, stage.text("$merge") or "", frozenset({"insert", "update"}))
        return
    spec = _object(stage, "$merge")
    if spec.type_of("into") == STRING:
        database, collection = walk.database, spec.text("into") or ""
    else:
        into = _object(spec, "into")
        database, collection = into.text("db") or walk.database, into.text("coll") or ""
    piped = spec.type_of("whenMatched") == ARRAY
    matched = "pipeline" if piped else spec.text("whenMatched") or _DEFAULT_MATCHED
    not_matched = spec.text("whenNotMatched") or _DEFAULT_NOT_MATCHED
    if piped and not {_name(each) for each in spec.documents("whenMatched")} <= PLAIN:
        raise CommandError(Code.FailedToParse, "$merge: whenMatched has a stage that it may not")
    actions = _MATCHED_ACTIONS.get(matched), _NOT_MATCHED_ACTIONS.get(not_matched)
    if actions[0] is None or actions[1] is None:
        raise CommandError(Code.BadValue, f"$merge: {matched}/{not_matched} is not a mode")
    _target(walk, database, collection, actions[0] | actions[1])


def _target(walk: _Walk, database: str, collection: str, actions: frozenset[str]) -> None:
    more = {"bypassDocumentValidation"} if walk.bypass else set()
    # Even a $merge that changes nothing must not be a way to probe a collection.
    walk.needs.append(Need(place(database, collection), (actions | more or frozenset({"update"}),)))
    walk.namespaces.add((database, collection))
    walk.writes = True


def _object(stage: Document, name: str) -> Document:
    nested = stage.document(name)
    if nested is None:
        raise mismatch(name, "an object")
    return nested
