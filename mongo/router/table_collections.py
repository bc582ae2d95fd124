"""The commands on collections and databases, some under the name that mongos uses to a shard."""

from mongo.router import rights
from mongo.router.command import Goes, Nature, Spec, fields
from mongo.router.rights import on_collection, on_database

READ, WRITE, DEFINE = Nature.READ, Nature.WRITE, Nature.DEFINE

COLLECTIONS = (
    Spec(
        "create",
        Goes.OWNER,
        DEFINE,
        rights.create,
        fields(
            "capped size max timeseries expireAfterSeconds clusteredIndex validator "
            "changeStreamPreAndPostImages validationLevel validationAction storageEngine "
            "indexOptionDefaults viewOn pipeline collation autoIndexId"
        ),
        on_collection=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "createIndexes",
        Goes.OWNER,
        DEFINE,
        on_collection("createIndex"),
        fields("indexes commitQuorum ignoreUnknownIndexOptions"),
        on_collection=True,
        write_concern=True,
        in_transaction=True,
    ),
    Spec(
        "dropIndexes",
        Goes.OWNER,
        DEFINE,
        on_collection("dropIndex"),
        fields("index"),
        aliases=("deleteIndexes",),
        on_collection=True,
        write_concern=True,
    ),
    Spec(
        "collMod",
        Goes.OWNER,
        DEFINE,
        rights.coll_mod,
        fields(
            "index validator validationLevel validationAction viewOn pipeline cappedSize cappedMax "
            "changeStreamPreAndPostImages expireAfterSeconds timeseries"
        ),
        on_collection=True,
        write_concern=True,
        internal_name="_shardsvrCollMod",
    ),
    Spec(
        "drop",
        Goes.OWNER,
        DEFINE,
        on_collection("dropCollection"),
        on_collection=True,
        write_concern=True,
        internal_name="_shardsvrDropCollection",
    ),
    Spec(
        "dropDatabase",
        Goes.OWNER,
        DEFINE,
        on_database("dropDatabase"),
        write_concern=True,
        internal_name="_shardsvrDropDatabase",
    ),
    Spec(
        "renameCollection",
        Goes.OWNER,
        DEFINE,
        rights.rename,
        fields("to dropTarget"),
        admin_only=True,
        write_concern=True,
        internal_name="_shardsvrRenameCollection",
    ),
    Spec(
        "validate",
        Goes.OWNER,
        DEFINE,
        on_collection("validate"),
        fields("full scandata"),
        on_collection=True,
    ),
    Spec(
        "listIndexes",
        Goes.OWNER,
        READ,
        on_collection("listIndexes"),
        fields("cursor"),
        on_collection=True,
    ),
    Spec(
        "listCollections",
        Goes.OWNER,
        READ,
        rights.list_collections,
        fields("filter nameOnly authorizedCollections cursor"),
    ),
    Spec(
        "collStats",
        Goes.OWNER,
        READ,
        on_collection("collStats"),
        fields("scale"),
        aliases=("collstats",),
        on_collection=True,
    ),
    Spec(
        "dbStats",
        Goes.OWNER,
        READ,
        on_database("dbStats"),
        fields("scale freeStorage"),
        aliases=("dbstats",),
    ),
    Spec(
        "listDatabases",
        Goes.HERE,
        READ,
        rights.nothing,
        fields("filter nameOnly authorizedDatabases"),
        admin_only=True,
    ),
)
