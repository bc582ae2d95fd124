"""What migrations share: there is no way back, and no index that keeps writers out."""

from alembic import op

from cluster.errors import RefusedError

# Set on Alembic's configuration where the migrations run inside a transaction that is rolled back.
SHADOW = "shadow"


def no_way_back() -> None:
    """The `downgrade` of every migration. Raises RefusedError."""
    raise RefusedError(
        "migrations go forward only",
        "write a new migration, or restore the database to a point in time before this one",
    )


def create_index(table: str, definition: str) -> None:
    """CREATE INDEX, where that keeps no writer waiting.

    A migration is a transaction, and an index that is built in one blocks writers for as long. So
    on a table that has rows it is left to the step that follows, which builds whatever index is
    missing with CONCURRENTLY (`postgres.schema.repair`).
    """
    config = op.get_context().config
    shadow = config is not None and SHADOW in config.attributes
    if shadow or not _has_rows(table):
        op.execute(f"CREATE INDEX {definition}")


def _has_rows(table: str) -> bool:
    query = f"SELECT EXISTS (SELECT FROM {table})"  # noqa: S608 - a migration's own text
    return bool(op.get_bind().exec_driver_sql(query).scalar())
