"""How long nobody led, from literal looks."""

import time

import pytest

from cluster.drill.contracts import Observation
from cluster.drill.timeline import Sample
from cluster.errors import UnreachableError
from cluster.leading import NOBODY, Gap, gaps, longest, watching

SECOND = 10**9


def looks(*leaders: str) -> tuple[Sample, ...]:
    """A look a second, each of a tenth of one; "" saw nobody, "a b" saw two."""
    return tuple(
        Sample(n * SECOND, n * SECOND + SECOND // 10, Observation(tuple(words.split())))
        for n, words in enumerate(leaders)
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (("a", "a", "a"), ()),
        (("a", "", "", "b"), (Gap("a", "b", 3.1),)),
        (("a", "b"), (Gap("a", "b", 1.1),)),
        (("a", "a", "", "a"), (Gap("a", "a", 2.1),)),
        (("a", "", "b", "", "a"), (Gap("a", "b", 2.1), Gap("b", "a", 2.1))),
        (("a", "", ""), (Gap("a", NOBODY, 2.1),)),
        (("", "", "a"), ()),
        (("", ""), ()),
        (("a", "a b", "b"), (Gap("a", "a and b", 1.1), Gap("a and b", "b", 1.1))),
    ],
)
def test_gaps(seen: tuple[str, ...], expected: tuple[Gap, ...]) -> None:
    assert gaps(looks(*seen)) == expected


def test_the_longest() -> None:
    assert longest(gaps(looks("a", "", "b", "", "", "a"))) == pytest.approx(3.1)
    assert longest(()) == 0.0


class Scripted:
    """An observer that sees one leader after another, the last for ever."""

    group = "shard-a"

    def __init__(self, *leaders: str | None) -> None:
        self.left = list(leaders)
        self.closed = False

    def sample(self) -> Observation:
        leader = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if leader is None:
            raise UnreachableError("no member answers")
        return Observation((leader,) if leader else ())

    def close(self) -> None:
        self.closed = True


def test_watching_sees_what_happens_meanwhile_and_closes() -> None:
    observer = Scripted(*["a"] * 6, "", None, "", *["a"] * 6, *["b"] * 4)
    with watching(observer) as leading:
        deadline = time.monotonic() + 10
        while len(observer.left) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    pause, change = leading.seen()
    assert (pause.before, pause.after) == ("a", "a")
    assert (change.before, change.after) == ("a", "b")
    assert 0.15 < pause.at_most < 5
    assert change.at_most < 5
    assert observer.closed
