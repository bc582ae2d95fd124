"""Runs the migrations: Alembic, on a connection of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine, exc
from sqlalchemy.engine import Connection as EngineConnection
from sqlalchemy.pool import StaticPool

from cluster.errors import RefusedError
from postgres.client import Connection, value
from postgres.schema.connection import look_in
from postgres.schema.forward import SHADOW

VERSION_TABLE = "alembic_version"  # Alembic's own name
# Alembic keeps the migration that runs in a variable of its module.
_ALEMBIC = Lock()


def head() -> str:
    """The newest revision."""
    return str(_scripts().get_current_head())


def revisions() -> tuple[str, ...]:
    """Every revision, oldest first."""
    return tuple(reversed([script.revision for script in _scripts().walk_revisions()]))


def current(connection: Connection) -> str | None:
    """The revision of the schema that the session looks in; None where it is empty.

    Raises RefusedError for a revision that this version does not know.
    """
    if not value(connection, "SELECT to_regclass(%s) IS NOT NULL", VERSION_TABLE):
        return None
    found = value(connection, "SELECT max(version_num) FROM alembic_version")
    if found is not None and found not in revisions():
        raise RefusedError(
            f"the database is at revision {found}, the newest that is known here is {head()}",
            "use the version of skillswap-ops that made it, or a newer one",
        )
    return None if found is None else str(found)


def upgrade(connection: Connection) -> None:
    """Bring the schema that an autocommitting session looks in to the newest revision.

    Each migration commits by itself. Raises psycopg.Error.
    """
    connection.autocommit = False
    try:
        with _engine(connection) as engine:
            _run(engine, {})
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True


@contextmanager
def shadow(connection: Connection, schema: str) -> Iterator[None]:
    """All migrations run in a new schema, in a transaction that is rolled back at the end.

    So what they come to can be read with the server's own words, and nothing is left.
    """
    connection.autocommit = False
    try:
        with _engine(connection) as engine:  # it looks at the server first, and rolls back
            transaction = engine.begin()
            try:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
                look_in(connection, schema, local=True)
                _run(engine, {SHADOW: True})
                yield
            finally:
                transaction.rollback()
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True


def _run(engine: EngineConnection, options: dict[str, bool]) -> None:
    with _ALEMBIC:
        config = _config()
        config.attributes.update(options, connection=engine)
        try:
            command.upgrade(config, "head")
        except exc.DBAPIError as error:
            if isinstance(error.orig, psycopg.Error):
                raise error.orig from error
            raise


@contextmanager
def _engine(connection: Connection) -> Iterator[EngineConnection]:
    """SQLAlchemy's view of a connection; closing it leaves the connection as it is."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    with engine.connect() as view:
        yield view


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "postgres.schema:migrations")
    config.set_main_option("path_separator", "os")
    return config
