"""What follows from what people did: events, ranks, badges, and what they were told of it."""

from dataclasses import dataclass

import numpy as np

from cluster.badges import BADGES
from cluster.dataset.community import DAY, HOUR, Rows, pick, pick_by_language, times
from cluster.dataset.draws import Bools, Ints
from cluster.dataset.groups import Groups
from cluster.dataset.meetings import Meetings, Reviews
from cluster.dataset.people import People
from cluster.dataset.profiles import POINTS, Numbers
from cluster.dataset.sentences import SUBJECTS

# Younger than what the TTL indexes remove (365 and 90 days), so that the data outlives its making.
EVENTS_SINCE = 180 * DAY
NOTIFICATIONS_SINCE = 60 * DAY
NOTIFICATIONS = 0.8  # a person
RANKED_MONTHS = 3


@dataclass(frozen=True)
class Events:
    """One entry an event: whose, what kind (a place in POINTS), when."""

    who: Ints
    kind: Ints
    when: Ints


def badges() -> Rows:
    """BADGE: the same for every seed."""
    return [{"_id": badge.id, **badge.row} for badge in BADGES]


def events(meetings: Meetings, reviews: Reviews, groups: Groups) -> Events:
    """All that ever gave points."""
    done = meetings.done
    parts = (
        (meetings.teacher[done], meetings.end[done]),
        (meetings.learner[done], meetings.end[done]),
        (reviews.author, reviews.created),
        (groups.member, groups.joined),
    )
    return Events(
        np.concatenate([who for who, _ in parts]),
        np.repeat(np.arange(len(parts)), [len(who) for who, _ in parts]),
        np.concatenate([when for _, when in parts]),
    )


def documents(people: People, events: Events, numbers: Numbers, groups: Groups) -> dict[str, Rows]:
    """EVENEMENT_ACTIVITE, CLASSEMENT, UTILISATEUR_BADGE and JOURNAL_NOTIFICATION."""
    return {
        "UTILISATEUR_BADGE": _awards(people, numbers, groups),
        "CLASSEMENT": _ranks(people, events, numbers),
        "EVENEMENT_ACTIVITE": _events(people, events),
        "JOURNAL_NOTIFICATION": _notifications(people),
    }


def _events(people: People, events: Events) -> Rows:
    recent = np.flatnonzero(events.when >= people.community.as_of - EVENTS_SINCE)
    names, points = tuple(POINTS), tuple(POINTS.values())
    return [
        {
            "_id": key,
            "id_evenement": key,
            "id_utilisateur": people.ids[who],
            "type": names[kind],
            "points": points[kind],
            "cree_le": moment,
        }
        for key, who, kind, moment in zip(
            people.community.ids("EVENEMENT_ACTIVITE", len(recent)),
            events.who[recent].tolist(),
            events.kind[recent].tolist(),
            times(events.when[recent]),
            strict=True,
        )
    ]


def _ranks(people: People, events: Events, numbers: Numbers) -> Rows:
    """The points of each of the last months by role, of those who have any."""
    size = people.community.size
    months = events.when.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    now = np.array(people.community.as_of, "datetime64[s]").astype("datetime64[M]").astype(np.int64)
    roles = (("APPRENANT", (1, 2, 3)), ("ENSEIGNANT", (0,)), ("MENTOR", (0,)))  # kinds of events
    found: list[tuple[int, str, str, int]] = []
    for ago in range(RANKED_MONTHS):
        period = str(np.datetime64(int(now) - ago, "M"))
        for role, kinds in roles:
            mine = (months == now - ago) & np.isin(events.kind, kinds)
            points = np.array(tuple(POINTS.values()))[events.kind[mine]]
            score = np.bincount(events.who[mine], weights=points, minlength=size).astype(np.int64)
            if role == "MENTOR":
                score = score * numbers.mentors
            some = np.flatnonzero(score)
            found += [
                (who, period, role, got)
                for who, got in zip(some.tolist(), score[some].tolist(), strict=True)
            ]
    return [
        {
            "_id": key,
            "id_classement": key,
            "id_utilisateur": people.ids[who],
            "periode": period,
            "role": role,
            "score": score,
        }
        for key, (who, period, role, score) in zip(
            people.community.ids("CLASSEMENT", len(found)), found, strict=True
        )
    ]


def _awards(people: People, numbers: Numbers, groups: Groups) -> Rows:
    """Badges for what the numbers say, since the last thing that changed them."""
    size = people.community.size
    leads = np.zeros(size, np.bool_)
    leads[groups.admin] = True
    held = numbers.given + numbers.taken
    earned: dict[str, Bools] = {
        "PREMIERE_SEANCE": numbers.taken >= 1,
        "PREMIER_COURS": numbers.given >= 1,
        "ASSIDU": numbers.taken >= 3,
        "MENTOR": numbers.mentors,
        "CINQ_ETOILES": (numbers.reviews >= 3) & (numbers.mean >= 4.8),
        "FIABLE": (held >= 3) & (numbers.reliability >= 100),
        "ANIMATEUR": leads,
    }
    keys = [str(badge["_id"]) for badge in badges()]
    pairs = [
        (who, keys[place])
        for place, code in enumerate(badge.code for badge in BADGES)
        for who in np.flatnonzero(earned[code]).tolist()
    ]
    latest = times(numbers.latest)
    return [
        {
            "_id": key,
            "id_utilisateur_badge": key,
            "id_utilisateur": people.ids[who],
            "id_badge": badge,
            "obtenu_le": latest[who],
        }
        for key, (who, badge) in zip(
            people.community.ids("UTILISATEUR_BADGE", len(pairs)), pairs, strict=True
        )
    ]


def _notifications(people: People) -> Rows:
    community, draws = people.community, people.community.draws("notifications")
    count = round(NOTIFICATIONS * community.size)
    who = draws.below(count, community.size)
    since = np.maximum(people.joined[who], community.as_of - NOTIFICATIONS_SINCE)
    sent = since + draws.below(count, community.as_of - since)
    failed = draws.chance(count, 0.03).tolist()
    waits = (sent > community.as_of - HOUR).tolist()
    subjects = pick_by_language(SUBJECTS, people.french[who].tolist(), draws)
    return [
        {
            "_id": key,
            "id_notification": key,
            "id_utilisateur": people.ids[user],
            "canal": channel,
            "sujet": subject,
            "statut": "EN_ATTENTE" if waiting else "ECHEC" if has_failed else "ENVOYEE",
            "envoye_le": moment,
        }
        for key, user, channel, subject, has_failed, waiting, moment in zip(
            community.ids("JOURNAL_NOTIFICATION", count),
            who.tolist(),
            pick(("PUSH", "PUSH", "COURRIEL"), draws, count),
            subjects,
            failed,
            waits,
            times(sent),
            strict=True,
        )
    ]
