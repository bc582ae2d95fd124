"""What commands that read replicas share: whom they ask, and how they say how old the answer is."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from cluster.freshness import Answered

P = ParamSpec("P")
R = TypeVar("R")
PRIMARY = "primary"


def from_option(function: Callable[P, R]) -> Callable[P, R]:
    """`--from`, as `origin`."""
    return click.option(
        "--from",
        "origin",
        type=click.Choice(["replica", PRIMARY]),
        default="replica",
        show_default=True,
        help="Who is read: a secondary and the standby, or the primaries.",
    )(function)


def freshness_record(sources: "Sequence[Answered]") -> dict[str, object]:
    """How old an answer is, for JSON."""
    from cluster.freshness import as_of, staleness

    moment = as_of(sources)
    return {
        "as_of": moment.isoformat() if moment else None,
        "staleness_seconds": staleness(sources),
        "answered_by": [
            {
                "store": one.store,
                "member": one.member,
                "role": one.role,
                "as_of": one.as_of.isoformat() if one.as_of else None,
                "staleness_seconds": one.staleness_seconds,
                "staleness_bytes": one.staleness_bytes,
            }
            for one in sources
        ],
    }


def freshness_text(sources: "Sequence[Answered]") -> str:
    """How old an answer is, for people: a line a source."""
    return "\n".join(f"{one.text}{_moment(one)}" for one in sources)


def _moment(one: "Answered") -> str:
    if one.as_of is None:
        return ""
    word = "its newest write is of" if one.staleness_seconds is None else "as of"
    return f"; {word} {one.as_of:%Y-%m-%d %H:%M:%S} UTC"
