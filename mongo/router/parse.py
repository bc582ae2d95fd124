"""From a message to a checked Command. Nothing here does I/O or knows the cluster.

A field that is not known for the command is refused: behind the router it would be executed with
the router's own rights, and several internal fields (`shardVersion`, `fromMongos`, `term`, …)
mean something there.
"""

from bson.binary import UUID_SUBTYPE

from mongo.router import table
from mongo.router.command import Command, Goes, Session, Spec
from mongo.router.document import BINARY, STRING, Document, mismatch
from mongo.router.errors import Code, CommandError
from mongo.router.pipeline import Pipeline, analyse
from mongo.router.rights import split_namespace
from mongo.router.wire import Message, Query, Sequence

ADMIN, LOCAL = "admin", "local"
HANDSHAKES = frozenset({"hello", "isMaster"})
GENERIC = frozenset(
    {
        "$clusterTime",
        "$db",
        "$readPreference",
        "apiDeprecationErrors",
        "apiStrict",
        "apiVersion",
        "autocommit",
        "comment",
        "lsid",
        "maxTimeMS",
        "readConcern",
        "startTransaction",
        "txnNumber",
        "writeConcern",
    }
)
FORBIDDEN_IN_NAME = frozenset('/\\. "$\0')
MAX_DATABASE_NAME = 63
UUID_BYTES = 16
MAX_TIME_MS = 2**31 - 1


def parse_message(message: Message) -> Command:
    """The command of an OP_MSG. Raises CommandError."""
    body = message.body
    spec = _spec(body)
    database = body.text("$db")
    if database is None:
        raise CommandError(Code.DatabaseMissing, "OP_MSG requests require a $db argument")
    return _command(spec, database, body, _only_sequence(spec, body, message.sequences))


def parse_query(query: Query) -> Command:
    """The handshake of an OP_QUERY. Raises CommandError for any other command."""
    database, _, collection = query.namespace.partition(".")
    name = next(iter(query.body), "")
    spec = table.BY_NAME.get(name)
    if collection != "$cmd" or spec is None or spec.name not in HANDSHAKES:
        raise CommandError(
            Code.UnsupportedOpQueryCommand,
            f"Unsupported OP_QUERY command: {name}. The client driver may require an upgrade.",
        )
    return Command(spec, database, "", query.body)


def _spec(body: Document) -> Spec:
    name = next(iter(body), "")
    spec = table.BY_NAME.get(name)
    if spec is None:
        raise CommandError(Code.CommandNotFound, f"no such command: '{name}'")
    return spec


def _command(spec: Spec, database: str, body: Document, sequence: Sequence | None) -> Command:
    _check_database(spec, database)
    if spec.fields is not None:
        _check_fields(spec, body)
    collection = _collection(spec, body)
    inner = _explained(spec, database, body)
    session = _session(body)
    if session and session.multi_statement and not spec.in_transaction:
        raise CommandError(
            Code.OperationNotSupportedInTransaction,
            f"Cannot run '{spec.name}' in a multi-document transaction.",
        )
    if spec.name == "renameCollection":
        database, collection = split_namespace(body, spec.name)
    return Command(
        spec=spec,
        database=database,
        collection=collection,
        body=body,
        sequence=sequence,
        session=session,
        max_time_ms=_max_time(body),
        pipeline=inner.pipeline if inner else _pipeline(spec, database, collection, body),
        inner=inner,
    )


def _check_database(spec: Spec, database: str) -> None:
    forbidden = FORBIDDEN_IN_NAME & set(database) and not spec.public  # users of `$external`
    if not 0 < len(database.encode()) <= MAX_DATABASE_NAME or forbidden:
        raise CommandError(Code.InvalidNamespace, f"Invalid database name: '{database}'")
    if spec.admin_only and database != ADMIN:
        raise CommandError(
            Code.Unauthorized, f"{spec.name} may only be run against the admin database."
        )
    if database == LOCAL and spec.goes is not Goes.HERE:
        raise CommandError(Code.IllegalOperation, "Can't use 'local' database through mongos")


def _check_fields(spec: Spec, body: Document) -> None:
    first, *others = body
    for field in others:
        if field not in GENERIC and field not in (spec.fields or ()):
            raise CommandError(
                Code.UnknownField, f"BSON field '{first}.{field}' is an unknown field."
            )
    concern = body.document("readConcern")
    # That of a causally consistent session, a time without a level, fits every command.
    level = concern.text("level") if concern else None
    if level not in {None, "local"} and not (spec.read_concern or "startTransaction" in body):
        raise CommandError(Code.InvalidOptions, f"{spec.name} does not support read concern")
    if "writeConcern" in body and not spec.write_concern:
        raise CommandError(Code.InvalidOptions, f"{spec.name} does not support write concern")


def _only_sequence(spec: Spec, body: Document, sequences: tuple[Sequence, ...]) -> Sequence | None:
    for sequence in sequences:
        if sequence.identifier != spec.sequence or sequence.identifier in body:
            raise CommandError(
                Code.UnknownField,
                f"BSON field '{spec.name}.{sequence.identifier}' is an unknown or duplicate field.",
            )
    if len(sequences) > 1:
        raise CommandError(Code.FailedToParse, f"{spec.sequence} is given twice")
    return sequences[0] if sequences else None


def _collection(spec: Spec, body: Document) -> str:
    if spec.name == "getMore":
        name = body.text("collection")
    elif not spec.on_collection or _is_collectionless(spec, body):
        return ""
    else:
        name = body.text(next(iter(body)))
    if not name or name.startswith(".") or "\0" in name or "$" in name.removeprefix("$cmd."):
        raise CommandError(Code.InvalidNamespace, f"Invalid collection name: '{name}'")
    return name


def _is_collectionless(spec: Spec, body: Document) -> bool:
    return spec.name == "aggregate" and body.type_of("aggregate") != STRING


def _pipeline(spec: Spec, database: str, collection: str, body: Document) -> Pipeline | None:
    if spec.name != "aggregate":
        return None
    return analyse(
        database,
        collection,
        body.documents("pipeline"),
        bypass_validation=body.truth("bypassDocumentValidation"),
    )


def _explained(spec: Spec, database: str, body: Document) -> Command | None:
    if spec.name != "explain":
        return None
    explained = body.document("explain")
    if explained is None:
        raise mismatch("explain", "an object")
    inner = _spec(explained)
    if not (inner.on_collection and inner.name in _EXPLAINABLE):
        raise CommandError(Code.CommandNotSupported, f"Explain failed: no {inner.name}")
    if explained.text("$db") not in {None, database}:
        raise CommandError(Code.InvalidNamespace, "Mismatched $db in explain command.")
    return _command(inner, database, explained, None)


_EXPLAINABLE = frozenset({"find", "aggregate", "count", "distinct", "update", "delete"}) | {
    "findAndModify"
}


def _max_time(body: Document) -> int:
    limit = body.integer("maxTimeMS") or 0
    if not 0 <= limit <= MAX_TIME_MS:
        raise CommandError(Code.BadValue, f"{limit} value for maxTimeMS is out of range")
    return limit


def _session(body: Document) -> Session | None:
    """The session's fields. A client has no say in whose session it is: `uid` is the router's."""
    lsid = body.document("lsid")
    number = body.integer("txnNumber")
    multi, starts = "autocommit" in body, body.truth("startTransaction")
    if lsid is None:
        if number is not None or multi or starts:
            raise CommandError(Code.InvalidOptions, "Transaction number requires a session ID")
        return None
    if set(lsid) != {"id"}:
        raise CommandError(Code.Unauthorized, "lsid may have the field id alone")
    if (multi or starts) and number is None:
        raise CommandError(Code.InvalidOptions, "'autocommit' field requires a txnNumber")
    if multi and body.truth("autocommit"):
        raise CommandError(Code.InvalidOptions, "Specifying autocommit=true is not allowed.")
    if starts and not multi:
        raise CommandError(Code.InvalidOptions, "'startTransaction' requires autocommit=false")
    return Session(_session_id(lsid), number, multi, starts)


def _session_id(lsid: Document) -> bytes:
    kind, _, value, end = lsid.elements["id"]
    raw = lsid.raw[value:end]
    if kind != BINARY or len(raw) != 5 + UUID_BYTES or raw[4] != UUID_SUBTYPE:
        raise mismatch("lsid.id", "a UUID")
    return raw[5:]
