"""Who met whom, when, how it ended, and what they say of it."""

from dataclasses import dataclass

import numpy as np

from cluster.dataset.community import DAY, HOUR, MINUTE
from cluster.dataset.draws import Bools, Draws, Ints
from cluster.dataset.people import People

PER_PERSON = 1.0
STATUSES = ("PROPOSEE", "CONFIRMEE", "REALISEE", "ANNULEE", "ABSENCE")
PROPOSED, CONFIRMED, DONE, CANCELLED, MISSED = range(5)
PAST = (0.0, 0.0, 0.81, 0.14, 0.05)
AHEAD = (0.30, 0.60, 0.0, 0.10, 0.0)
LENGTHS = (30, 45, 60, 90, 120)  # minutes
REVIEWED_BY_LEARNER, REVIEWED_BY_TEACHER = 0.7, 0.35
REVIEW_WITHIN = 7 * DAY
WORST = 0.02  # one star, whoever it is


@dataclass(frozen=True)
class Meetings:
    """One entry a session: two different people by their place, times in seconds since 1970."""

    ids: list[str]
    learner: Ints
    teacher: Ints
    by_teacher: Bools
    remote: Bools
    created: Ints
    start: Ints
    end: Ints
    status: Ints

    @property
    def done(self) -> Bools:
        """Which ones took place."""
        found: Bools = self.status == DONE
        return found


@dataclass(frozen=True)
class Reviews:
    """One entry a review: of a session, by one of the two, about the other."""

    session: Ints
    author: Ints
    target: Ints
    stars: Ints
    created: Ints


def meetings(people: People) -> Meetings:
    """The sessions of a community."""
    community, draws = people.community, people.community.draws("meetings")
    count = round(PER_PERSON * community.size) if community.size > 1 else 0
    learner, teacher = _pairs(people, draws, count)
    both = np.maximum(people.joined[learner], people.joined[teacher])
    created = both + draws.below(count, community.as_of - HOUR - both)
    # The day after, at the earliest, at a quarter of an hour between 8:00 and 20:45.
    day = created - created % DAY + (1 + draws.below(count, 21)) * DAY
    start = day + (8 + draws.below(count, 13)) * HOUR + draws.below(count, 4) * 15 * MINUTE
    end = start + np.array(LENGTHS)[draws.below(count, len(LENGTHS))] * MINUTE
    status = np.where(end <= community.as_of, draws.choose(count, PAST), draws.choose(count, AHEAD))
    return Meetings(
        community.ids("SESSION", count),
        learner,
        teacher,
        draws.chance(count, 0.15),
        draws.chance(count, 0.55),
        created,
        start,
        end,
        status,
    )


def _pairs(people: People, draws: Draws, count: int) -> tuple[Ints, Ints]:
    """Learners and teachers; those who are here longer, and the first teachers, meet more."""
    learner = (draws.unit(count) ** 1.3 * people.community.size).astype(np.int64)
    teachers = np.flatnonzero(people.teaches)
    place = (draws.unit(count) ** 1.7 * len(teachers)).astype(np.int64)
    teacher = teachers[place]
    another = teachers[(place + 1) % len(teachers)]
    return learner, np.where(teacher == learner, another, teacher)


def reviews(people: People, meetings: Meetings) -> Reviews:
    """What was said of the sessions that took place, at most once by each of the two."""
    draws = people.community.draws("reviews")
    done = np.flatnonzero(meetings.done)
    by_learner = done[draws.chance(len(done), REVIEWED_BY_LEARNER)]
    by_teacher = done[draws.chance(len(done), REVIEWED_BY_TEACHER)]
    session = np.concatenate((by_learner, by_teacher))
    author = np.concatenate((meetings.learner[by_learner], meetings.teacher[by_teacher]))
    target = np.concatenate((meetings.teacher[by_learner], meetings.learner[by_teacher]))
    count = len(session)
    stars = np.rint(people.quality[target] + 0.5 * draws.bell(count))
    stars = np.where(draws.chance(count, WORST), 1, stars)
    end = meetings.end[session]
    left = np.minimum(people.community.as_of - end, REVIEW_WITHIN)
    return Reviews(
        session,
        author,
        target,
        np.clip(stars, 1, 5).astype(np.int64),
        end + draws.below(count, left),
    )
