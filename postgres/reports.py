"""Reports on payments, computed by the standby. Amounts are minor units, summed without loss."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import sql

from postgres.client import Connection

# An invoice that was refunded had been paid.
REVENUE: LiteralString = """
SELECT to_char(emise_le AT TIME ZONE 'UTC', 'YYYY-MM') AS month, devise, count(*),
  sum(montant)::text, count(*) FILTER (WHERE statut = 'REMBOURSEE'),
  coalesce(sum(montant) FILTER (WHERE statut = 'REMBOURSEE'), 0)::text
FROM {facture}
WHERE statut IN ('PAYEE', 'REMBOURSEE') AND emise_le >= %s
GROUP BY month, devise ORDER BY month, devise"""
SUBSCRIPTIONS: LiteralString = """
SELECT formule, statut, count(*) FROM {abonnement} GROUP BY formule, statut"""


@dataclass(frozen=True)
class Revenue:
    """What was invoiced in a month ("2026-03", UTC) and paid; what of that was paid back."""

    month: str
    currency: str
    invoices: int
    paid: int
    refunds: int
    refunded: int

    @property
    def net(self) -> int:
        """What stayed."""
        return self.paid - self.refunded


@dataclass(frozen=True)
class SubscriptionCount:
    """How many subscriptions of an offer have a status."""

    offer: str
    status: str
    subscriptions: int


def revenue(connection: Connection, schema: str, since: datetime) -> tuple[Revenue, ...]:
    """Revenue by month of issue and currency, oldest first."""
    query = sql.SQL(REVENUE).format(facture=sql.Identifier(schema, "facture"))
    rows = connection.execute(query, (since,)).fetchall()
    return tuple(
        # PostgreSQL sums bigint as numeric, which as text is the whole number that it is.
        Revenue(month, currency, invoices, int(paid), refunds, int(refunded))
        for month, currency, invoices, paid, refunds, refunded in rows
    )


def subscriptions(connection: Connection, schema: str) -> tuple[SubscriptionCount, ...]:
    """Subscriptions by offer and status."""
    query = sql.SQL(SUBSCRIPTIONS).format(abonnement=sql.Identifier(schema, "abonnement"))
    return tuple(SubscriptionCount(*row) for row in connection.execute(query).fetchall())
