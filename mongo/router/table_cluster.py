"""The commands on users and on the cluster, those answered here, and those refused."""

from mongo.router import rights, rights_users
from mongo.router.command import Goes, Nature, Spec, fields
from mongo.router.rights import on_cluster, on_database, on_settings

READ, WRITE, DEFINE = Nature.READ, Nature.WRITE, Nature.DEFINE


_USER = "pwd roles customData mechanisms digestPassword authenticationRestrictions"
_ROLE = "privileges roles authenticationRestrictions"


def _users(name: str, needs: rights.Asks, named: str = "", nature: Nature = DEFINE) -> Spec:
    changes = nature is DEFINE
    return Spec(name, Goes.CONFIG, nature, needs, fields(named), write_concern=changes)


USERS = (
    _users("createUser", rights_users.create_user, _USER),
    _users("updateUser", rights_users.update_user, _USER),
    _users("dropUser", on_database("dropUser")),
    _users("dropAllUsersFromDatabase", on_database("dropUser")),
    _users("grantRolesToUser", rights_users.grant, "roles"),
    _users("revokeRolesFromUser", rights_users.revoke, "roles"),
    _users("createRole", rights_users.create_role, _ROLE),
    _users("updateRole", rights_users.update_role, _ROLE),
    _users("dropRole", on_database("dropRole")),
    _users("dropAllRolesFromDatabase", on_database("dropRole")),
    _users("grantRolesToRole", rights_users.grant, "roles"),
    _users("revokeRolesFromRole", rights_users.revoke, "roles"),
    _users("grantPrivilegesToRole", rights_users.grant, "privileges"),
    _users("revokePrivilegesFromRole", rights_users.revoke, "privileges"),
    _users(
        "usersInfo",
        rights_users.users_info,
        "showCredentials showPrivileges showCustomData showAuthenticationRestrictions filter",
        READ,
    ),
    _users(
        "rolesInfo",
        rights_users.roles_info,
        "showPrivileges showBuiltinRoles showAuthenticationRestrictions",
        READ,
    ),
)


def _config(
    name: str,
    needs: rights.Asks,
    named: str = "",
    internal_name: str | None = None,
    nature: Nature = DEFINE,
    *,
    write_concern: bool = False,
) -> Spec:
    return Spec(
        name,
        Goes.CONFIG,
        nature,
        needs,
        fields(named),
        admin_only=True,
        internal_name=internal_name,
        write_concern=write_concern,
    )


# The cluster: to the config servers, by the names that mongos uses.
CLUSTER = (
    _config("addShard", on_cluster("addShard"), "name", "_configsvrAddShard", write_concern=True),
    _config(
        "removeShard", on_cluster("removeShard"), "", "_configsvrRemoveShard", write_concern=True
    ),
    _config(
        "enableSharding",
        rights.enable_sharding,
        "primaryShard",
        "_configsvrCreateDatabase",
        write_concern=True,
    ),
    _config("getShardMap", on_cluster("getShardMap"), nature=READ),
    _config("balancerStart", on_settings("update"), "", "_configsvrBalancerStart"),
    _config("balancerStop", on_settings("update"), "", "_configsvrBalancerStop"),
    _config("balancerStatus", on_settings("find"), "", "_configsvrBalancerStatus", READ),
    _config(
        "setDefaultRWConcern",
        on_cluster("setDefaultRWConcern"),
        "defaultReadConcern defaultWriteConcern",
        write_concern=True,
    ),
    _config("getDefaultRWConcern", on_cluster("getDefaultRWConcern"), "inMemory", nature=READ),
)


def _here(
    name: str, needs: rights.Asks, *aliases: str, public: bool = False, admin_only: bool = False
) -> Spec:
    return Spec(
        name,
        Goes.HERE,
        READ,
        needs,
        None,
        aliases=aliases,
        public=public,
        admin_only=admin_only,
    )


# The router itself.
HERE = (
    _here("hello", rights.nothing, public=True),
    _here("isMaster", rights.nothing, "ismaster", public=True),
    _here("ping", rights.nothing, public=True),
    _here("buildInfo", rights.nothing, "buildinfo", public=True),
    _here("saslStart", rights.nothing, public=True),
    _here("saslContinue", rights.nothing, public=True),
    _here("logout", rights.nothing, public=True),
    _here("connectionStatus", rights.nothing, public=True),
    _here("whatsmyuri", rights.nothing, public=True),
    _here("listCommands", rights.nothing, public=True),
    _here("endSessions", rights.nothing, public=True),
    _here("startSession", rights.nothing),
    _here("refreshSessions", rights.nothing),
    _here("replSetGetStatus", rights.nothing, admin_only=True),
    _here("listShards", on_cluster("listShards"), admin_only=True),
    _here("serverStatus", on_cluster("serverStatus")),
    _here("getParameter", on_cluster("getParameter"), admin_only=True),
    _here("getCmdLineOpts", on_cluster("getCmdLineOpts"), admin_only=True),
    _here("getLog", on_cluster("getLog"), admin_only=True),
    _here("hostInfo", on_cluster("hostInfo")),
    _here("flushRouterConfig", on_cluster("flushRouterConfig"), admin_only=True),
    _here("invalidateUserCache", on_cluster("invalidateUserCache"), admin_only=True),
)

# Known to mongos, and not to be had here.
NOWHERE = tuple(
    Spec(name, Goes.NOWHERE, DEFINE, rights.nothing, None)
    for name in (
        "abortReshardCollection",
        "addShardToZone",
        "applyOps",
        "balancerCollectionStatus",
        "cleanupReshardCollection",
        "clearJumboFlag",
        "commitReshardCollection",
        "compact",
        "configureCollectionBalancing",
        "convertToCapped",
        "currentOp",
        "dataSize",
        "fsync",
        "fsyncUnlock",
        "killAllSessions",
        "killAllSessionsByPattern",
        "killOp",
        "killSessions",
        "mapReduce",
        "mergeAllChunksOnShard",
        "mergeChunks",
        "moveChunk",
        "moveCollection",
        "movePrimary",
        "moveRange",
        "refineCollectionShardKey",
        "removeShardFromZone",
        "reshardCollection",
        "setFeatureCompatibilityVersion",
        "setParameter",
        "shardCollection",
        "shutdown",
        "split",
        "unshardCollection",
        "updateZoneKeyRange",
    )
)
