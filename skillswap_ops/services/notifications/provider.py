"""The push and e-mail provider: behind an interface, because delivery is somebody else's.

What is shipped is a sink: it delivers to nobody, and shows administrators what it was given.
"""

from collections import deque
from typing import Protocol

from pydantic import Field

from skillswap_ops.services.base.models import Answer, Id

KEPT = 1000  # of one instance, in memory


class Delivery(Answer):
    """A notification as the provider gets it; `id_notification` makes a repeated one the same."""

    id_notification: Id
    id_utilisateur: Id
    canal: str
    sujet: str = Field(description="What the user reads")


class Provider(Protocol):
    """What notifications needs of a provider."""

    async def send(self, delivery: Delivery) -> None:
        """Deliver it. Raises ApiError where the provider does not take it."""
        ...


class Sink:
    """Keeps the last deliveries of this instance."""

    def __init__(self) -> None:
        self.kept: deque[Delivery] = deque(maxlen=KEPT)

    async def send(self, delivery: Delivery) -> None:
        """Keep it."""
        self.kept.append(delivery)
