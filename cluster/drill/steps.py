"""The rounds of a soak as words that a person can type again: `NAME:HOLD:SEED`, with commas."""

import re
from collections.abc import Iterable, Sequence

from cluster.drill.contracts import Step
from cluster.drill.events import Event, RoundBegan
from cluster.errors import InvalidInputError

DEFAULT_HOLD = 10.0  # seconds
LONGEST_HOLD = 3600.0
_STEP = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)(:(?P<hold>[0-9]{1,4}(\.[0-9]{1,6})?))?(:(?P<seed>[0-9]{1,10}))?"
)


def parse_steps(text: str) -> tuple[Step, ...]:
    """The steps of a text; hold (seconds) and seed may be left out. Raises InvalidInputError."""
    words = text.replace(",", " ").split()
    if not words:
        raise InvalidInputError("no step is given", "steps are NAME:SECONDS:SEED, with commas")
    return tuple(map(_parse, words))


def _parse(word: str) -> Step:
    found = _STEP.fullmatch(word)
    hold = float(found["hold"] or DEFAULT_HOLD) if found else 0.0
    if found is None or hold > LONGEST_HOLD:
        raise InvalidInputError(
            f"`{word[:80]}` is no step of a soak",
            f"a step is NAME:SECONDS:SEED, its fault at most {LONGEST_HOLD:g} seconds in place",
        )
    return Step(found["name"], hold, int(found["seed"] or 0))


def text_of(steps: Iterable[Step]) -> str:
    """What `parse_steps` reads as the same steps, to a tenth of a second."""
    return ",".join(f"{step.name}:{round(step.hold, 1):g}:{step.seed}" for step in steps)


def begun(events: Iterable[Event]) -> tuple[Step, ...]:
    """The steps that a run began; none for a run of a version that did not write seeds down."""
    rounds = [event.what for event in events if isinstance(event.what, RoundBegan)]
    if any(each.seed is None for each in rounds):
        return ()
    return tuple(Step(each.name, each.hold, each.seed or 0) for each in rounds)


def unknown_names(steps: Sequence[Step], known: Iterable[str]) -> tuple[str, ...]:
    """Names of steps that are not among the known ones, each once."""
    there = set(known)
    return tuple(dict.fromkeys(step.name for step in steps if step.name not in there))
