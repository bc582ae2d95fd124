"""The roles of the PostgreSQL side and what each may do: least privilege, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.topology import Topology
from postgres import names
from postgres.access import Rule, rule

BACKUP_FUNCTIONS = (  # what pgBackRest calls where it is no superuser
    "pg_backup_start(text,boolean)",
    "pg_backup_stop(boolean)",
    "pg_switch_wal()",
    "pg_create_restore_point(text)",
)
REWIND_FUNCTIONS = (  # what pg_rewind calls where it is no superuser
    "pg_ls_dir(text,boolean,boolean)",
    "pg_stat_file(text,boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text,bigint,bigint,boolean)",
)
# How pgbouncer learns to check a client's password; never a superuser's or a standby's.
LOOKUP = (
    "SELECT rolname::text, rolpassword FROM pg_authid "
    "WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND NOT rolreplication "
    "AND (rolvaliduntil IS NULL OR rolvaliduntil > now())"
)


@dataclass(frozen=True)
class Role:
    """A role as it should be; it never may create roles or databases unless it is `superuser`."""

    name: str
    login: bool = True
    superuser: bool = False
    replication: bool = False
    member_of: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()


def roles(topology: Topology) -> tuple[Role, ...]:
    """Every role of the cluster, with the databases that it may connect to."""
    database = topology.postgres.database
    return (
        Role(names.SUPERUSER, superuser=True, replication=True),
        Role(names.REPLICATION, replication=True),
        Role(names.REWIND, databases=("postgres",)),
        Role(
            names.BACKUP,
            member_of=("pg_checkpoint", "pg_read_all_settings"),
            databases=("postgres",),
        ),
        Role(names.MONITOR, member_of=("pg_monitor",), databases=("postgres", database)),
        Role(names.POOLER, databases=(database,)),
        Role(names.owner(topology), login=False),
        Role(names.application(topology), databases=(database,)),
    )


def cluster_rules(topology: Topology, databases: Sequence[str]) -> tuple[Rule, ...]:
    """What holds in the whole cluster, checked in database `postgres`.

    `databases` are those that take connections today.
    """
    wanted = roles(topology)
    every = sorted({*databases, "postgres", topology.postgres.database})
    return (
        *(each for role in wanted for each in _role_rules(role)),
        *(_may_call(names.BACKUP, function) for function in BACKUP_FUNCTIONS),
        *(_may_call(names.REWIND, function) for function in REWIND_FUNCTIONS),
        *_database_exists(topology.postgres.database, names.owner(topology)),
        *(each for database in every for each in _connect_rules(database, wanted)),
        # ALTER SYSTEM beats Patroni's configuration, unseen.
        rule(
            "no setting was changed with ALTER SYSTEM",
            "SELECT NOT EXISTS (SELECT FROM pg_file_settings"
            " WHERE sourcefile LIKE '%/postgresql.auto.conf')",
            "ALTER SYSTEM RESET ALL",
            "SELECT pg_reload_conf()",
        ),
    )


def database_rules(topology: Topology) -> tuple[Rule, ...]:
    """What holds inside the application's database."""
    schema = topology.postgres.database
    owner, app = names.owner(topology), names.application(topology)
    return (
        rule(
            f"schema {schema} exists",
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = {schema_})",
            "CREATE SCHEMA {schema} AUTHORIZATION {owner}",
            schema=schema,
            owner=owner,
        ),
        rule(
            f"schema {schema} belongs to {owner}",
            "SELECT nspowner = to_regrole({owner_}) FROM pg_namespace WHERE nspname = {schema_}",
            "ALTER SCHEMA {schema} OWNER TO {owner}",
            schema=schema,
            owner=owner,
        ),
        rule(
            "schema public is closed",
            "SELECT NOT EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) e"
            " WHERE n.nspname = 'public' AND e.grantee = 0)",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        ),
        *_application_rules(schema, owner, app),
        *_pooler_rules(names.POOLER),
    )


def _role_rules(role: Role) -> tuple[Rule, ...]:
    flags = {
        "SUPERUSER": ("rolsuper", role.superuser),
        "CREATEDB": ("rolcreatedb", role.superuser),
        "CREATEROLE": ("rolcreaterole", role.superuser),
        "BYPASSRLS": ("rolbypassrls", role.superuser),
        "REPLICATION": ("rolreplication", role.replication),
        "LOGIN": ("rolcanlogin", role.login),
    }
    options = " ".join(name if on else f"NO{name}" for name, (_, on) in flags.items())
    test = " AND ".join(f"{column} = {str(on).lower()}" for column, on in flags.values())
    groups = ", ".join(role.member_of)
    return (
        rule(
            f"role {role.name} exists",
            "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = {role_})",
            "CREATE ROLE {role}",
            role=role.name,
        ),
        rule(
            f"role {role.name} is {options.lower()}",
            "SELECT {test} FROM pg_roles WHERE rolname = {role_}",
            "ALTER ROLE {role} {options}",
            role=role.name,
            raw={"test": test, "options": options},
        ),
        rule(
            f"role {role.name} is a member of {groups or 'no other'}",
            "SELECT coalesce(string_agg(roleid::regrole::text, ', ' ORDER BY roleid::regrole::text"
            "), '') = {groups_} FROM pg_auth_members WHERE member = to_regrole({role_})",
            "DO $$ DECLARE other text; BEGIN FOR other IN SELECT roleid::regrole FROM"
            " pg_auth_members WHERE member = to_regrole({role_}) LOOP"
            " EXECUTE format('REVOKE %s FROM %I', other, {role_}); END LOOP; END $$",
            *(["GRANT {list} TO {role}"] if groups else []),
            role=role.name,
            groups=groups,
            raw={"list": groups},
        ),
    )


def _may_call(role: str, function: str) -> Rule:
    return rule(
        f"{role} may call {function}",
        "SELECT has_function_privilege(to_regrole({role_}), 'pg_catalog.{function}', 'EXECUTE')",
        "GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {role}",
        role=role,
        raw={"function": function},
    )


def _database_exists(database: str, owner: str) -> tuple[Rule, ...]:
    return (
        rule(
            f"database {database} exists",
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = {database_})",
            "CREATE DATABASE {database} OWNER {owner} TEMPLATE template0",
            database=database,
            owner=owner,
        ),
        rule(
            f"database {database} belongs to {owner}",
            "SELECT datdba = to_regrole({owner_}) FROM pg_database WHERE datname = {database_}",
            "ALTER DATABASE {database} OWNER TO {owner}",
            database=database,
            owner=owner,
        ),
    )


def _connect_rules(database: str, wanted: Sequence[Role]) -> tuple[Rule, ...]:
    closed = rule(
        f"not everybody may connect to {database}",
        "SELECT NOT EXISTS (SELECT FROM pg_database d,"
        " aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) e"
        " WHERE d.datname = {database_} AND e.grantee = 0)",
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        database=database,
    )
    opened = tuple(
        rule(
            f"{role.name} may connect to {database}",
            "SELECT has_database_privilege(to_regrole({role_}), oid, 'CONNECT')"
            " FROM pg_database WHERE datname = {database_}",
            "GRANT CONNECT ON DATABASE {database} TO {role}",
            role=role.name,
            database=database,
        )
        for role in wanted
        if database in role.databases
    )
    return (closed, *opened)


def _application_rules(schema: str, owner: str, app: str) -> tuple[Rule, ...]:
    return (
        rule(
            f"{app} finds schema {schema}",
            "SELECT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d"
            " ON d.oid = s.setdatabase WHERE s.setrole = to_regrole({app_})"
            " AND d.datname = {schema_} AND 'search_path=' || {schema_} = ANY (s.setconfig))",
            "ALTER ROLE {app} IN DATABASE {schema} SET search_path TO {schema}",
            schema=schema,
            app=app,
        ),
        rule(
            f"{app} may use schema {schema} and create tables of its own in it",
            "SELECT has_schema_privilege(to_regrole({app_}), to_regnamespace({schema_}), 'USAGE')"
            " AND has_schema_privilege(to_regrole({app_}), to_regnamespace({schema_}), 'CREATE')",
            "GRANT USAGE, CREATE ON SCHEMA {schema} TO {app}",
            schema=schema,
            app=app,
        ),
        rule(
            f"{app} may read and write what {owner} creates",
            "SELECT count(*) = 6 FROM pg_default_acl a, aclexplode(a.defaclacl) e"
            " WHERE a.defaclrole = to_regrole({owner_})"
            " AND a.defaclnamespace = to_regnamespace({schema_})"
            " AND e.grantee = to_regrole({app_})",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
            " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
            " GRANT USAGE, SELECT ON SEQUENCES TO {app}",
            schema=schema,
            owner=owner,
            app=app,
        ),
    )


def _pooler_rules(pooler: str) -> tuple[Rule, ...]:
    return (
        rule(
            f"schema {pooler} exists",
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = {pooler_})",
            "CREATE SCHEMA {pooler}",
            pooler=pooler,
        ),
        rule(
            f"{pooler}.user_lookup shows how a client logs in",
            "SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace({pooler_})"
            " AND proname = 'user_lookup' AND prosecdef AND prosrc = {body_})",
            "CREATE OR REPLACE FUNCTION {pooler}.user_lookup"
            "(IN name text, OUT username text, OUT password text) RETURNS record"
            " LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS {body_}",
            pooler=pooler,
            body=LOOKUP,
        ),
        rule(
            f"only {pooler} may call {pooler}.user_lookup",
            "SELECT array_agg(e.grantee ORDER BY e.grantee) = (SELECT array_agg(o ORDER BY o)"
            " FROM unnest(ARRAY[p.proowner, to_regrole({pooler_})]) o)"
            " FROM pg_proc p, aclexplode(p.proacl) e"
            " WHERE p.oid = to_regprocedure('{pooler}.user_lookup(text)') GROUP BY p.proowner",
            "REVOKE ALL ON FUNCTION {pooler}.user_lookup(text) FROM PUBLIC",
            "GRANT EXECUTE ON FUNCTION {pooler}.user_lookup(text) TO {pooler}",
            pooler=pooler,
        ),
        rule(
            f"{pooler} may use schema {pooler}",
            "SELECT has_schema_privilege("
            "to_regrole({pooler_}), to_regnamespace({pooler_}), 'USAGE')",
            "GRANT USAGE ON SCHEMA {pooler} TO {pooler}",
            pooler=pooler,
        ),
    )
