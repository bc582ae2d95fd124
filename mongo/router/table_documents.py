"""The commands on documents: sent to the owner of the database as they are."""

from mongo.router import rights
from mongo.router.command import Goes, Nature, Spec, fields
from mongo.router.rights import on_collection

READ, WRITE, DEFINE = Nature.READ, Nature.WRITE, Nature.DEFINE

DOCUMENTS = (
    Spec(
        "find",
        Goes.OWNER,
        READ,
        on_collection("find"),
        fields(
            "filter sort projection hint skip limit batchSize singleBatch max min returnKey "
            "showRecordId tailable oplogReplay noCursorTimeout awaitData allowPartialResults "
            "collation allowDiskUse let"
        ),
        on_collection=True,
        read_concern=True,
        in_transaction=True,
    ),
    Spec(
        "aggregate",
        Goes.OWNER,
        READ,
        rights.aggregate,
        fields("pipeline explain allowDiskUse cursor bypassDocumentValidation collation hint let"),
        on_collection=True,
        read_concern=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "count",
        Goes.OWNER,
        READ,
        on_collection("find"),
        fields("query limit skip hint collation fields"),
        on_collection=True,
        read_concern=True,
    ),
    Spec(
        "distinct",
        Goes.OWNER,
        READ,
        on_collection("find"),
        fields("key query collation hint"),
        on_collection=True,
        read_concern=True,
        in_transaction=True,
    ),
    Spec(
        "insert",
        Goes.OWNER,
        WRITE,
        rights.insert,
        fields("documents ordered bypassDocumentValidation"),
        sequence="documents",
        on_collection=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "update",
        Goes.OWNER,
        WRITE,
        rights.update,
        fields("updates ordered bypassDocumentValidation let"),
        sequence="updates",
        on_collection=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "delete",
        Goes.OWNER,
        WRITE,
        on_collection("remove"),
        fields("deletes ordered let"),
        sequence="deletes",
        on_collection=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "findAndModify",
        Goes.OWNER,
        WRITE,
        rights.find_and_modify,
        fields(
            "query sort remove update new fields upsert bypassDocumentValidation collation "
            "arrayFilters hint let"
        ),
        aliases=("findandmodify",),
        on_collection=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec("explain", Goes.OWNER, READ, rights.explain, fields("verbosity")),
    Spec(
        "getMore",
        Goes.CURSOR,
        READ,
        rights.nothing,
        fields("collection batchSize"),
        in_transaction=True,
    ),
    Spec(
        "killCursors",
        Goes.CURSOR,
        READ,
        rights.nothing,
        fields("cursors"),
        on_collection=True,
        in_transaction=True,
    ),
    Spec(
        "commitTransaction",
        Goes.OWNER,
        WRITE,
        rights.nothing,
        fields("recoveryToken"),
        admin_only=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "abortTransaction",
        Goes.OWNER,
        WRITE,
        rights.nothing,
        fields("recoveryToken"),
        admin_only=True,
        write_concern=True,
        in_transaction=True,
    ),
)
