"""The card provider: behind an interface, because money moves at somebody else's.

What is shipped is a sandbox, in the manner of the providers' own test modes: no money moves, and
the card's token says how the charge ends. It is chosen in the settings (`providers.card`), and
without a choice payments refuses to charge (501).
"""

from typing import Protocol

from manifests.services.settings import Providers
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.problems import ApiError

APPROVED = "tok_approved"
DECLINED = "tok_declined"


class CardProvider(Protocol):
    """What payments needs of a provider. `key` makes a repeated call the same charge."""

    async def charge(self, key: str, amount: int, currency: str, card: str) -> str:
        """The charge's reference. Raises ApiError (402) where it is declined."""
        ...

    async def refund(self, reference: str) -> None:
        """Give the money of a charge back; idempotent."""
        ...


class Sandbox:
    """Approves `tok_approved`, declines every other token; keeps nothing."""

    async def charge(self, key: str, amount: int, currency: str, card: str) -> str:
        """As the token says."""
        del amount, currency
        if card != APPROVED:
            raise ApiError(problems.DECLINED, f"the sandbox approves {APPROVED} only")
        return f"sandbox-{key}"

    async def refund(self, reference: str) -> None:
        """Nothing was taken."""


def provider(providers: Providers) -> CardProvider:
    """The configured one. Raises ApiError (501) where there is none."""
    if providers.card == "sandbox":
        return Sandbox()
    raise ApiError(problems.NOT_CONFIGURED, "no card provider is configured")
