"""Sessions with what was written about them: messages and their files, reviews, complaints."""

import numpy as np

from cluster.dataset.community import (
    DAY,
    HOUR,
    Rows,
    pick,
    pick_by_language,
    runs,
    times,
    without_none,
)
from cluster.dataset.draws import Ints
from cluster.dataset.meetings import STATUSES, Meetings, Reviews
from cluster.dataset.people import People
from cluster.dataset.sentences import ANSWERS, COMPLAINTS, OPENINGS, REVIEWS, STREETS

MOST_MESSAGES = 3  # of a session
ATTACHED = 0.04
ASPECTS = ("ponctualite", "pedagogie", "motivation", "communication")
REASONS = ("SPAM", "HARCELEMENT", "FRAUDE", "CONTENU_INAPPROPRIE", "AUTRE")
CATEGORIES = ("INSULTE", "SPAM", "FRAUDE", "CONTENU_ADULTE")
FILES = ("IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
SUFFIXES = {"IMAGE": "jpg", "VIDEO": "mp4", "AUDIO": "ogg", "DOCUMENT": "pdf"}
LARGEST = {"IMAGE": 4e6, "VIDEO": 80e6, "AUDIO": 6e6, "DOCUMENT": 2e6}  # bytes


def documents(people: People, meetings: Meetings, reviews: Reviews) -> dict[str, Rows]:
    """SESSION, MESSAGE, MEDIA, AVIS, SIGNALEMENT and ALERTE_MODERATION."""
    messages, media = _messages(people, meetings)
    return {
        "MEDIA": media,
        "SESSION": _sessions(people, meetings),
        "MESSAGE": messages,
        "AVIS": _reviews(people, meetings, reviews),
        "SIGNALEMENT": _complaints(people, meetings),
        "ALERTE_MODERATION": _alerts(people, messages),
    }


def _sessions(people: People, meetings: Meetings) -> Rows:
    count, draws = len(meetings.ids), people.community.draws("sessions")
    east = np.round(people.city.longitude + 0.03 * draws.bell(count), 5).tolist()
    north = np.round(people.city.latitude + 0.02 * draws.bell(count), 5).tolist()
    streets = pick_by_language(STREETS, people.french[meetings.teacher].tolist(), draws)
    house = (1 + draws.below(count, 120)).tolist()
    city, ids = people.city.name, people.ids
    rows: Rows = []
    for (
        key, learner, teacher, by_teacher, remote, x, y, number, street, start, end, status, created
    ) in zip(
        meetings.ids, meetings.learner.tolist(), meetings.teacher.tolist(),
        meetings.by_teacher.tolist(), meetings.remote.tolist(), east, north, house, streets,
        times(meetings.start), times(meetings.end), meetings.status.tolist(),
        times(meetings.created), strict=True,
    ):  # fmt: skip
        row = {
            "_id": key,
            "id_session": key,
            "id_apprenant": ids[learner],
            "id_enseignant": ids[teacher],
            "cree_par": ids[teacher if by_teacher else learner],
            "debut": start,
            "fin": end,
            "mode": "DISTANCIEL" if remote else "PRESENTIEL",
            "statut": STATUSES[status],
            "lieu_ou_lien": f"https://meet.example.org/{key[:13]}"
            if remote
            else f"{number} {street}, {city}",
            "cree_le": created,
        }
        if not remote:
            row["point_lieu"] = {"type": "Point", "coordinates": [x, y]}
        rows.append(row)
    return rows


def _messages(people: People, meetings: Meetings) -> tuple[Rows, Rows]:
    """What the two write to each other in turns before they meet, and the files that they send."""
    community, draws = people.community, people.community.draws("messages")
    session, turn = runs(1 + draws.below(len(meetings.ids), MOST_MESSAGES))
    count = len(session)
    sender = np.where(turn % 2, meetings.teacher[session], meetings.learner[session])
    since = meetings.created[session]
    until = np.minimum(meetings.start[session], community.as_of)
    share = (turn + draws.unit(count)) / MOST_MESSAGES
    sent = since + (share * (until - since)).astype(np.int64)
    french = people.french[meetings.teacher[session]].tolist()
    openings, answers = (pick_by_language(pool, french, draws) for pool in (OPENINGS, ANSWERS))
    keys = community.ids("MESSAGE", count)
    rows: Rows = [
        {
            "_id": key,
            "id_message": key,
            "id_session": meetings.ids[of],
            "id_expediteur": people.ids[author],
            "texte": answer if later else opening,
            "langue": "fr" if is_french else "en",
            "cree_le": moment,
        }
        for key, of, author, later, opening, answer, is_french, moment in zip(
            keys, session.tolist(), sender.tolist(), turn.tolist(), openings, answers, french,
            times(sent), strict=True,
        )
    ]  # fmt: skip
    attached = np.flatnonzero(draws.chance(count, ATTACHED))
    media, sent_files = _media(people, sender[attached], sent[attached])
    for at, key in zip(attached.tolist(), sent_files, strict=True):
        rows[at]["pieces_jointes"] = [key]
    return rows, media


def _media(people: People, sender: Ints, sent: Ints) -> tuple[Rows, list[str]]:
    """The files that were sent, found clean before, and others that were only uploaded.

    Returns all of them, and the keys of those that were sent.
    """
    community, draws = people.community, people.community.draws("media")
    alone = np.flatnonzero(draws.chance(community.size, 0.1))
    left = community.as_of - people.joined[alone]
    owner = np.concatenate((sender, alone))
    uploaded = np.concatenate((sent, people.joined[alone] + draws.below(len(alone), left)))
    count = len(owner)
    scans = draws.choose(count, (0.97, 0.03))
    scans[: len(sender)] = 0
    waiting = (uploaded > community.as_of - HOUR) & (np.arange(count) >= len(sender))
    keys = community.ids("MEDIA", count)
    rows: Rows = []
    for key, user, kind, infected, waits, size, length, moment in zip(
        keys, owner.tolist(), pick(FILES, draws, count), scans.tolist(), waiting.tolist(),
        draws.unit(count).tolist(), draws.unit(count).tolist(), times(uploaded), strict=True,
    ):  # fmt: skip
        scan = "EN_ATTENTE" if waits else "INFECTE" if infected else "SAIN"
        row = {
            "_id": key,
            "id_media": key,
            "id_utilisateur": people.ids[user],
            "type": kind,
            "cle_objet": f"media/{key[:2]}/{key}.{SUFFIXES[kind]}",
            "taille_octets": 20_000 + int(size * LARGEST[kind]),
            "analyse_antivirus": scan,
            "cree_le": moment,
        }
        if kind in {"VIDEO", "AUDIO"}:
            row["duree_s"] = round(3 + 300 * length, 1)
        rows.append(row)
    return rows, keys[: len(sender)]


def _reviews(people: People, meetings: Meetings, reviews: Reviews) -> Rows:
    community, draws = people.community, people.community.draws("review texts")
    count = len(reviews.session)
    aspects = [np.clip(reviews.stars + draws.below(count, 3) - 1, 1, 5).tolist() for _ in ASPECTS]
    rows: Rows = []
    for key, session, author, target, stars, *marks, told, chance, is_french, created in zip(
        community.ids("AVIS", count), reviews.session.tolist(), reviews.author.tolist(),
        reviews.target.tolist(), reviews.stars.tolist(), *aspects,
        draws.chance(count, 0.65).tolist(), draws.unit(count).tolist(),
        people.french[reviews.author].tolist(), times(reviews.created), strict=True,
    ):  # fmt: skip
        row = {
            "_id": key,
            "id_avis": key,
            "id_session": meetings.ids[session],
            "id_emetteur": people.ids[author],
            "id_cible": people.ids[target],
            "note_etoiles": stars,
            "cree_le": created,
        }
        row.update(zip(ASPECTS, marks, strict=True))
        if told:
            pool = REVIEWS["fr" if is_french else "en"][stars - 1]
            row["commentaire"] = pool[int(chance * len(pool))]
        rows.append(row)
    return rows


def _complaints(people: People, meetings: Meetings) -> Rows:
    """Of learners about teachers that they have met; the old ones are settled."""
    community, draws = people.community, people.community.draws("complaints")
    done = np.flatnonzero(meetings.done)
    of = done[draws.chance(len(done), 0.012)]
    made = meetings.end[of] + draws.below(len(of), community.as_of - meetings.end[of])
    old = (made < community.as_of - 14 * DAY).tolist()
    texts = pick_by_language(COMPLAINTS, people.french[meetings.learner[of]].tolist(), draws)
    rows: Rows = [
        {
            "_id": key,
            "id_signalement": key,
            "id_auteur": people.ids[author],
            "id_cible": people.ids[target],
            "motif": reason,
            "description": text if told else None,
            "statut": ("TRAITE" if part < 0.6 else "REJETE")
            if settled
            else ("OUVERT" if part < 0.6 else "EN_COURS"),
            "cree_le": moment,
        }
        for key, author, target, reason, text, told, part, settled, moment in zip(
            community.ids("SIGNALEMENT", len(of)), meetings.learner[of].tolist(),
            meetings.teacher[of].tolist(), pick(REASONS, draws, len(of)), texts,
            draws.chance(len(of), 0.7).tolist(), draws.unit(len(of)).tolist(), old, times(made),
            strict=True,
        )
    ]  # fmt: skip
    return without_none(rows)


def _alerts(people: People, messages: Rows) -> Rows:
    """Messages that the automatic moderation, or a person, has objected to."""
    community, draws = people.community, people.community.draws("alerts")
    at = np.flatnonzero(draws.chance(len(messages), 0.004))
    count = len(at)
    rows: Rows = []
    for key, message, category, score, automatic, end in zip(
        community.ids("ALERTE_MODERATION", count),
        at.tolist(),
        pick(CATEGORIES, draws, count),
        np.round(0.5 + 0.5 * draws.unit(count), 3).tolist(),
        draws.chance(count, 0.9).tolist(),
        pick(("OUVERTE", "CONFIRMEE", "REJETEE"), draws, count),
        strict=True,
    ):
        written = messages[message]
        rows.append(
            {
                "_id": key,
                "id_alerte": key,
                "id_message": written["_id"],
                "categorie": category,
                "score": score,
                "automatique": automatic,
                "statut": end,
                "cree_le": written["cree_le"],
            }
        )
    return rows
