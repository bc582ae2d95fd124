"""What a profile shows: the person, their skills, their proofs of identity, their numbers."""

from dataclasses import dataclass

import numpy as np

from cluster.dataset.community import DAY, Rows, pick, pick_by_language, times, without_none
from cluster.dataset.draws import Bools, Floats, Ints
from cluster.dataset.groups import Groups
from cluster.dataset.meetings import MISSED, Meetings, Reviews
from cluster.dataset.people import People
from cluster.dataset.sentences import BIOGRAPHIES
from cluster.dataset.skills import LABELS, SKILLS, WHEN

POINTS = {"SESSION_DONNEE": 20, "SESSION_SUIVIE": 10, "AVIS_LAISSE": 5, "GROUPE_REJOINT": 2}
MENTOR_FROM = 8  # sessions given
LEVELS = ("DEBUTANT", "INTERMEDIAIRE", "AVANCE")
PROVIDERS = ("GOOGLE", "APPLE", "FACEBOOK", "MICROSOFT")
# An unassigned country code (ITU-T E.164), so that no number is anybody's.
PHONE_PREFIX = "+999"


@dataclass(frozen=True)
class Numbers:
    """What the people's meetings add up to, one entry a person."""

    given: Ints
    taken: Ints
    reviews: Ints
    mean: Floats  # of the stars that they got; 0 without any
    reliability: Floats  # per cent of the sessions that were to take place and did
    points: Ints
    latest: Ints  # when something of theirs last changed, seconds since 1970

    @property
    def mentors(self) -> Bools:
        """Who has given many sessions."""
        return self.given >= MENTOR_FROM


def numbers(people: People, meetings: Meetings, reviews: Reviews, groups: Groups) -> Numbers:
    """The sums, of exactly the sessions and reviews that are stored."""
    size = people.community.size

    def count(of: Ints) -> Ints:
        return np.bincount(of, minlength=size)

    done, missed = meetings.done, meetings.status == MISSED
    given, taken = count(meetings.teacher[done]), count(meetings.learner[done])
    absent = count(meetings.teacher[missed]) + count(meetings.learner[missed])
    got = count(reviews.target)
    stars = np.bincount(reviews.target, weights=reviews.stars, minlength=size).astype(np.float64)
    points = (
        POINTS["SESSION_DONNEE"] * given
        + POINTS["SESSION_SUIVIE"] * taken
        + POINTS["AVIS_LAISSE"] * count(reviews.author)
        + POINTS["GROUPE_REJOINT"] * count(groups.member)
    )
    latest = people.joined.copy()
    for who, when in (
        (meetings.teacher[done], meetings.end[done]),
        (meetings.learner[done], meetings.end[done]),
        (reviews.target, reviews.created),
        (reviews.author, reviews.created),
        (groups.member, groups.joined),
    ):
        np.maximum.at(latest, who, when)
    held = given + taken
    mean: Floats = np.round(stars / np.maximum(got, 1), 2)
    kept: Floats = np.where(held + absent > 0, 100.0 * held / np.maximum(held + absent, 1), 100.0)
    reliability: Floats = np.round(kept, 1)
    return Numbers(
        given,
        taken,
        got,
        mean,
        reliability,
        points,
        latest,
    )


def documents(people: People, numbers: Numbers, groups: Groups) -> dict[str, Rows]:
    """UTILISATEUR, COMPETENCE, LIEN_IDENTITE, VERIF_TELEPHONE and STATISTIQUE_UTILISATEUR."""
    return {
        "UTILISATEUR": _users(people, numbers, groups),
        "COMPETENCE": _skills(people),
        "LIEN_IDENTITE": _identities(people),
        "VERIF_TELEPHONE": _telephones(people),
        "STATISTIQUE_UTILISATEUR": _statistics(people, numbers),
    }


def _users(people: People, numbers: Numbers, groups: Groups) -> Rows:
    community, draws = people.community, people.community.draws("users")
    size, french = community.size, people.french.tolist()
    photo, told, placed, proved = (
        draws.chance(size, probability).tolist() for probability in (0.6, 0.5, 0.85, 0.7)
    )
    biographies = pick_by_language(BIOGRAPHIES, french, draws)
    east = np.round(people.city.longitude + 0.06 * draws.bell(size), 5).tolist()
    north = np.round(people.city.latitude + 0.04 * draws.bell(size), 5).tolist()
    emails, roles = _emails(people), _roles(people, numbers, groups)
    made: Rows = [
        {
            "_id": key,
            "id_utilisateur": key,
            "nom": f"{first} {last}",
            "courriel": email,
            "url_photo": f"https://media.example.org/photos/{key}.jpg" if has_photo else None,
            "biographie": biography if tells else None,
            "langue_preferee": "fr" if is_french else "en",
            "identite_verifiee": verified,
            "reputation": mean,
            "score_fiabilite": reliability,
            "roles": role,
            "localisation": {"type": "Point", "coordinates": [x, y]} if is_placed else None,
            "cree_le": joined,
        }
        for (
            key, first, last, email, has_photo, biography, tells, is_french, verified, mean,
            reliability, role, x, y, is_placed, joined,
        ) in zip(
            people.ids, people.first_names, people.surnames, emails, photo, biographies, told,
            french, proved, numbers.mean.tolist(), numbers.reliability.tolist(), roles, east,
            north, placed, times(people.joined), strict=True,
        )
    ]  # fmt: skip
    return without_none(made)


def _emails(people: People) -> list[str]:
    """Different for every person of every seed, at a domain that is nobody's (RFC 2606)."""
    community = people.community
    names = (
        f"{first}.{last}".lower().translate(_PLAIN)
        for first, last in zip(people.first_names, people.surnames, strict=True)
    )
    return [
        f"{name}.{number}@seed{community.seed}.example.org"
        for number, name in enumerate(names, start=community.first)
    ]


_PLAIN = str.maketrans("àâäéèêëîïôöùûüç", "aaaeeeeiioouuuc", "'’")


def _roles(people: People, numbers: Numbers, groups: Groups) -> list[list[str]]:
    size, draws = people.community.size, people.community.draws("roles")
    leads = np.zeros(size, np.bool_)
    leads[groups.admin] = True
    may = {
        "APPRENANT": np.ones(size, np.bool_),
        "ENSEIGNANT": people.teaches,
        "MENTOR": numbers.mentors,
        "ADMIN_GROUPE": leads,
        "MODERATEUR": draws.chance(size, 0.003),
        "ADMIN": draws.chance(size, 0.0005),
    }
    columns = zip(*(has.tolist() for has in may.values()), strict=True)
    return [[name for name, has in zip(may, row, strict=True) if has] for row in columns]


def _skills(people: People) -> Rows:
    """Whoever teaches has what they teach first; most want to learn something else as well."""
    community, draws = people.community, people.community.draws("skills")
    everybody = np.arange(community.size)
    wishes = draws.chance(community.size, np.where(people.teaches, 0.7, 0.6))
    seconds = people.teaches & draws.chance(community.size, 0.3)
    owner = np.concatenate((everybody, everybody[wishes], everybody[seconds]))
    teaches = np.concatenate(
        (people.teaches, np.zeros(wishes.sum(), np.bool_), np.ones(seconds.sum(), np.bool_))
    ).tolist()
    count = len(owner)
    others = 1 + draws.below(count, len(SKILLS) - 1)
    others[: community.size] = 0
    skill = ((people.skill[owner] + others) % len(SKILLS)).tolist()
    french = people.french[owner].tolist()
    both = draws.chance(count, 0.25).tolist()
    level = draws.below(count, len(LEVELS)).tolist()
    when = pick_by_language(WHEN, french, draws)
    return [
        {
            "_id": key,
            "id_competence": key,
            "id_utilisateur": people.ids[user],
            "libelle": LABELS["fr" if is_french else "en"][what],
            "type": "ENSEIGNE" if gives else "APPREND",
            "niveau": LEVELS[high if gives else high // 2],
            "disponibilite": free,
            "langues": ["fr", "en"] if bilingual else ["fr" if is_french else "en"],
        }
        for key, user, is_french, what, gives, high, free, bilingual in zip(
            community.ids("COMPETENCE", count),
            owner.tolist(),
            french,
            skill,
            teaches,
            level,
            when,
            both,
            strict=True,
        )
    ]


def _identities(people: People) -> Rows:
    community, draws = people.community, people.community.draws("identities")
    owner = np.flatnonzero(draws.chance(community.size, 0.45))
    keys = community.ids("LIEN_IDENTITE", len(owner))
    linked = people.joined[owner] + draws.below(len(owner), community.as_of - people.joined[owner])
    return [
        {
            "_id": key,
            "id_lien_identite": key,
            "id_utilisateur": people.ids[user],
            "fournisseur": provider,
            "identifiant_fournisseur": str(int(key[:8] + key[-12:], 16)),
            "lie_le": moment,
        }
        for key, user, provider, moment in zip(
            keys, owner.tolist(), pick(PROVIDERS, draws, len(owner)), times(linked), strict=True
        )
    ]


def _telephones(people: People) -> Rows:
    community, draws = people.community, people.community.draws("telephones")
    owner = np.flatnonzero(draws.chance(community.size, 0.5))
    asked = np.minimum(people.joined[owner] + draws.below(len(owner), 3 * DAY), community.as_of)
    verified = draws.chance(len(owner), 0.9).tolist()
    return [
        {
            "_id": key,
            "id_verif_telephone": key,
            "id_utilisateur": people.ids[user],
            "numero": f"{PHONE_PREFIX}{community.seed:04d}{community.first + user:08d}",
            "verifie": is_verified,
            "demande_le": moment,
        }
        for key, user, is_verified, moment in zip(
            community.ids("VERIF_TELEPHONE", len(owner)),
            owner.tolist(),
            verified,
            times(asked),
            strict=True,
        )
    ]


def _statistics(people: People, numbers: Numbers) -> Rows:
    return [
        {
            "_id": key,
            "id_utilisateur": key,
            "points": points,
            "sessions_donnees": given,
            "sessions_suivies": taken,
            "avis_recus": got,
            "note_moyenne": mean,
            "maj_le": latest,
        }
        for key, points, given, taken, got, mean, latest in zip(
            people.ids,
            numbers.points.tolist(),
            numbers.given.tolist(),
            numbers.taken.tolist(),
            numbers.reviews.tolist(),
            numbers.mean.tolist(),
            times(numbers.latest),
            strict=True,
        )
    ]
