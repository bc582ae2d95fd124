"""Many faults under one load: chosen by chance, one after another, each undone before the next."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from cluster.drill.contracts import Round, Rounds, Step
from cluster.drill.events import Phase, RoundBegan, RoundMissed
from cluster.errors import InconclusiveError, UnreachableError

if TYPE_CHECKING:
    from cluster.drill.course import Course


@dataclass(frozen=True)
class Planned:
    """A round to come; `hold` in seconds (0: it is over once done), `seed` decides the targets."""

    number: int
    what: Round
    hold: float
    seed: int


def plan(rounds: Rounds, chance: Random) -> Iterator[Planned]:
    """Its steps, or rounds by chance without an end.

    The same chance plans the same, however the cluster behaves meanwhile. Raises KeyError for a
    step whose name is not in the pool.
    """
    pool = {each.name: each for each in rounds.pool}
    for number, step in enumerate(rounds.steps or _drawn(rounds, chance), start=1):
        what = pool[step.name]
        yield Planned(number, what, step.hold if what.lasts else 0.0, step.seed)


def _drawn(rounds: Rounds, chance: Random) -> Iterator[Step]:
    while True:
        what = chance.choice(rounds.pool)
        yield Step(what.name, chance.uniform(*rounds.hold), chance.getrandbits(32))


def run_rounds(course: "Course", rounds: Rounds, chance: Random) -> None:
    """Rounds until the time is up, or one leaves the cluster or its load unwell: it is the last.

    Given steps have no time but their own. A fault that finds no target, or was not proved to
    have hit, is told of, undone as any other, and the soak goes on: its round showed nothing.
    """
    until = time.monotonic() + rounds.seconds
    for planned in plan(rounds, chance):
        course.tell(
            RoundBegan(
                number=planned.number,
                name=planned.what.name,
                hold=planned.hold,
                seed=planned.seed,
            )
        )
        course.enter(Phase.FAULT)
        targets = Random(planned.seed)  # noqa: S311 - no secret
        try:
            course.break_stages(planned.what.stages, targets, f"{planned.number}-")
        except (InconclusiveError, UnreachableError) as error:
            course.tell(RoundMissed(why=error.message))
        course.enter(Phase.RECOVERY)
        course.wait(planned.hold)
        well = course.undo() and course.well_again()
        if not well or (not rounds.steps and time.monotonic() >= until):
            return
