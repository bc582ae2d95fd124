"""Many faults under one load: chosen by chance, one after another, each undone before the next."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from cluster.drill.contracts import Round, Rounds
from cluster.drill.events import Phase, RoundBegan

if TYPE_CHECKING:
    from cluster.drill.course import Course


@dataclass(frozen=True)
class Planned:
    """A round to come; `hold` in seconds, `seed` decides the targets."""

    number: int
    what: Round
    hold: float
    seed: int


def plan(rounds: Rounds, chance: Random) -> Iterator[Planned]:
    """Without an end. The same chance plans the same, however the cluster behaves meanwhile."""
    number = 0
    while True:
        number += 1
        what = chance.choice(rounds.pool)
        yield Planned(number, what, chance.uniform(*rounds.hold), chance.getrandbits(32))


def run_rounds(course: "Course", rounds: Rounds, chance: Random) -> None:
    """Rounds until the time is up, or one leaves the cluster or its load unwell: it is the last."""
    until = time.monotonic() + rounds.seconds
    for planned in plan(rounds, chance):
        course.tell(RoundBegan(number=planned.number, name=planned.what.name, hold=planned.hold))
        course.enter(Phase.FAULT)
        targets = Random(planned.seed)  # noqa: S311 - no secret
        course.break_stages(planned.what.stages, targets, f"{planned.number}-")
        course.enter(Phase.RECOVERY)
        course.wait(planned.hold)
        well = course.undo() and course.well_again()
        if not well or time.monotonic() >= until:
            return
