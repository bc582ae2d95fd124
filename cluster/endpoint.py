"""What `endpoints` shows, whatever the engine."""

from dataclasses import dataclass

MASK = "***"


@dataclass(frozen=True)
class Endpoint:
    """A connection string; its password is `MASK` unless it was asked for."""

    name: str
    purpose: str
    uri: str
