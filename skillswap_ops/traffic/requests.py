"""How an operation's id goes into what it writes, and comes out of it again. Pure."""

from uuid import UUID

from skillswap_ops.traffic.people import DOMAIN

PLACE = f"https://{DOMAIN}/drill/"


def key_of(run: str, op: int) -> str:
    """The Idempotency-Key of an operation."""
    return f"drill-{run}-{op}"


def message_id(run: str, op: int) -> str:
    """The id of an operation's message: run and operation, as a UUID."""
    return str(UUID(int=int(run, 16) << 96 | op))


def op_of_message(id_message: str) -> int:
    """The operation of a message."""
    return UUID(id_message).int & (1 << 63) - 1


def place_of(run: str, op: int) -> str:
    """Where the session of an operation takes place."""
    return f"{PLACE}{run}/{op}"


def op_of_place(run: str, place: str) -> int:
    """The operation of a session; -1, which is nobody's, for a place of no operation."""
    _, found, op = place.partition(f"{PLACE}{run}/")
    return int(op) if found and op.isdecimal() else -1
