"""What is tried of one collection: its indexes, its keys, its validator."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from pymongo.errors import DuplicateKeyError, WriteError

from cluster.schema.types import Index
from mongo.client import Document
from mongo.schema.indexes import IndexSpec, index_spec
from mongo.schema.live import LiveCollection
from mongo.schema.proofs.bench import Bench
from mongo.schema.proofs.plans import find_command, winning_indexes
from mongo.schema.proofs.probes import UNKNOWN_FIELD, bad_documents, crowd, duplicate
from mongo.schema.proofs.trial import Line
from mongo.schema.validator import ACTION, LEVEL

REFUSED = 121  # DocumentValidationFailure
SHOWN = 5  # bad documents that a reason names


def lines(bench: Bench) -> Iterator[Line]:
    """Everything that needs no waiting."""
    entity = bench.entity
    for index in entity.indexes:
        if index.expire_after is None:
            yield Line(entity.name, index_text(index), partial(index_serves, bench, index))
    key = f"primary key {entity.key} refuses a duplicate"
    yield Line(entity.name, key, partial(key_refuses, bench))
    yield Line(entity.name, "the validator refuses bad documents", partial(validates, bench))


def index_text(index: Index) -> str:
    """What is required of an index."""
    name, what = index_spec(index).name, f'serves "{index.serves.what}"'
    return f"unique index {name} refuses a duplicate, {what}" if index.unique else f"{name} {what}"


# Indexes


def index_serves(bench: Bench, index: Index) -> str:
    """It is as declared, the query that it is for uses it, and it refuses what it must."""
    spec = standing(bench.found(), index)
    if spec is None:
        return "there is no such index"
    target = bench.maker.document(bench.entity)
    bench.put([target, *crowd(bench.maker, bench.entity, index, target)])
    reasons = [differs(spec, index), _unused(bench, index, spec, target)]
    if index.unique:
        reasons.append(_takes_duplicate(bench, index, spec, target))
    return "; ".join(filter(None, reasons))


def standing(found: LiveCollection, index: Index) -> IndexSpec | None:
    """The live index over the declared keys, whatever its name; the one so named first."""
    wanted = index_spec(index)
    same = [spec for spec in found.indexes if spec.keys == wanted.keys]
    return next((spec for spec in same if spec.name == wanted.name), next(iter(same), None))


def differs(spec: IndexSpec, index: Index) -> str:
    """How the live index is other than declared; "" where it is not."""
    wanted = index_spec(index)
    same = replace(spec, name=wanted.name) == wanted
    return "" if same else f"is {spec.text}, declared {wanted.text}"


def _unused(bench: Bench, index: Index, spec: IndexSpec, target: Document) -> str:
    command = find_command(bench.entity, index.serves, target)
    database = bench.clients.application[bench.entity.home]
    explained = database.command("explain", command, verbosity="queryPlanner")
    allowed = {spec.name, *_hashed_twins(bench.found(), index)}
    return unused(winning_indexes(explained), allowed)


def unused(winners: tuple[frozenset[str], ...], allowed: set[str]) -> str:
    """Why the query does not use the index, from each shard's winning plan; "" where it does."""
    for winner in winners:
        if not winner & allowed:
            instead = ", ".join(sorted(winner)) or "a scan of the whole collection"
            return f"its query uses {instead}"
    return "" if winners else "the server explained no plan"


def _hashed_twins(found: LiveCollection, index: Index) -> set[str]:
    """Of a spread collection: its shard key's index finds one value just as well."""
    if len(index.serves.equal) != 1:
        return set()
    twin = ((index.serves.equal[0], "hashed"),)
    return {spec.name for spec in found.indexes if spec.keys == twin}


def _takes_duplicate(bench: Bench, index: Index, spec: IndexSpec, target: Document) -> str:
    made = duplicate(bench.maker, bench.entity, index, target)
    if _refused_twice(bench, made, dict(spec.keys)):
        return ""
    return f"takes a duplicate of ({', '.join(index.fields)})"


def _refused_twice(bench: Bench, document: Document, keys: Document) -> bool:
    """Whether the index over `keys` refuses it. Raises DuplicateKeyError where another one does."""
    try:
        bench.put_one(document)
    except DuplicateKeyError as error:
        if not error.details or error.details.get("keyPattern") != keys:
            raise
        return True
    return False


def key_refuses(bench: Bench) -> str:
    """`_id`, which holds the primary key, is on one document alone."""
    bench.found()
    first, second = (bench.maker.document(bench.entity) for _ in range(2))
    bench.put_one(first)
    made = {**second, "_id": first["_id"], bench.entity.key: first[bench.entity.key]}
    return "" if _refused_twice(bench, made, {"_id": 1}) else "takes a second document of one key"


# The validator


def validates(bench: Bench) -> str:
    """It lets good documents in and, one by one, refuses those that break a rule."""
    found = bench.found()
    good = [bench.maker.document(bench.entity), bench.maker.bare(bench.entity)]
    kept = [code for code in bench.codes(good) if code]
    bad = bad_documents(bench.maker, bench.entity)
    codes = bench.codes([one.document for one in bad])
    reasons = [
        f"refuses a good document (code {kept[0]})" if kept else "",
        let_in([one.what for one, code in zip(bad, codes, strict=True) if code != REFUSED]),
        _lets_bad_stay(bench),
    ]
    reason = "; ".join(filter(None, reasons))
    return f"{reason} {_how(found)}".strip() if reason else ""


def let_in(names: list[str]) -> str:
    """The bad documents that were not refused, the first ones by name."""
    if not names:
        return ""
    more = len(names) - SHOWN
    return f"does not refuse {', '.join(names[:SHOWN])}" + (f" and {more} more" if more > 0 else "")


def _lets_bad_stay(bench: Bench) -> str:
    """A change that leaves a bad document bad; level "moderate" allows it."""
    document = bench.maker.document(bench.entity) | {UNKNOWN_FIELD: 1}
    bench.put_one(document)
    try:
        bench.application.update_one({"_id": document["_id"]}, {"$set": {UNKNOWN_FIELD: 2}})
    except WriteError as error:
        if error.code != REFUSED:
            raise
        return ""
    return "lets a bad document be changed and stay bad"


def _how(found: LiveCollection) -> str:
    """What explains it, where it is not in the rules themselves."""
    said = [
        f"validationLevel is {found.level}" * (found.level != LEVEL),
        f"validationAction is {found.action}" * (found.action != ACTION),
        "there is no validator" * (found.validator is None),
    ]
    words = ", ".join(filter(None, said))
    return f"({words})" if words else ""
