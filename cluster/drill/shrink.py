"""A long sequence that fails, shrunk to a short one that still does: delta debugging. Pure.

The algorithm is ddmin (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
IEEE Transactions on Software Engineering 28, 2002), with a bound to its tries. Its first guess is
the last step alone, for a soak ends with the step that its failure was seen in.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Shrunk(Generic[T]):
    """What is left after so many `tries`.

    `reproduced`: some try failed as the whole had; else `steps` is the whole. `minimal`: without
    any one of its steps it does not fail, or it is one step.
    """

    steps: tuple[T, ...]
    tries: int
    reproduced: bool
    minimal: bool


class _Bound(Exception):  # noqa: N818 - an end that is expected
    """No try is left."""


class _Tries(Generic[T]):
    """Counts tries, and makes none twice."""

    def __init__(self, fails: Callable[[tuple[T, ...]], bool], most: int) -> None:
        self._fails, self._most = fails, most
        self._known: dict[tuple[T, ...], bool] = {}

    @property
    def made(self) -> int:
        return len(self._known)

    @property
    def reproduced(self) -> bool:
        return any(self._known.values())

    def fails(self, steps: tuple[T, ...]) -> bool:
        if steps not in self._known:
            if self.made >= self._most:
                raise _Bound
            self._known[steps] = self._fails(steps)
        return self._known[steps]


def shrink(
    steps: Sequence[T], fails: Callable[[tuple[T, ...]], bool], most_tries: int
) -> Shrunk[T]:
    """Try parts of `steps` until a part fails of which no smaller one does, or no try is left.

    The whole is known to fail and is not tried. Steps must be hashable.
    """
    tries = _Tries(fails, most_tries)
    left, minimal = tuple(steps), False
    try:
        for left in _smaller(tuple(steps), tries):  # noqa: B007 - the last one counts
            pass
        minimal = tries.reproduced
    except _Bound:
        pass
    minimal = minimal or (len(left) == 1 and tries.reproduced)
    return Shrunk(left, tries.made, tries.reproduced, minimal)


def _smaller(left: tuple[T, ...], tries: _Tries[T]) -> Iterator[tuple[T, ...]]:
    """Ever smaller parts that fail; ends where none of a part's own parts does."""
    yield left
    if len(left) > 1 and tries.fails(left[-1:]):
        yield left[-1:]
        return
    pieces = 2
    while len(left) > 1:
        found = next((one for one in _parts(left, pieces) if tries.fails(one)), None)
        if found is not None:
            pieces = 2 if len(found) <= -(-len(left) // pieces) else max(pieces - 1, 2)
            left = found
            yield left
        elif pieces < len(left):
            pieces = min(2 * pieces, len(left))
        else:
            return


def _parts(whole: tuple[T, ...], pieces: int) -> Iterator[tuple[T, ...]]:
    """Each piece alone, the last first; then the whole without each, the first left out first."""
    cuts = [len(whole) * number // pieces for number in range(pieces + 1)]
    spans = list(pairwise(cuts))
    for start, end in reversed(spans):
        yield whole[start:end]
    if pieces > 2:
        for start, end in spans:
            yield whole[:start] + whole[end:]
