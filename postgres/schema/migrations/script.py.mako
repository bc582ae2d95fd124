"""${message}."""

from alembic import op

from postgres.schema.forward import no_way_back

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """State what changes and why."""
    op.execute("")


downgrade = no_way_back
