"""Dialogues with the AI assistants, and what was thought of them."""

import numpy as np

from cluster.dataset.community import DAY, MINUTE, Rows, pick, pick_by_language, runs, times
from cluster.dataset.draws import Ints
from cluster.dataset.people import People
from cluster.dataset.sentences import QUESTIONS, REPLIES, REVIEWS

PER_PERSON = 0.12
SINCE = 300 * DAY  # the TTL index on their messages removes at 365 days
MOST_EXCHANGES = 3  # a question and an answer each
AGENTS = ("MENTOR", "PROF", "ETUDIANT")


def documents(people: People) -> dict[str, Rows]:
    """SESSION_IA, MESSAGE_IA and AVIS_IA."""
    community, draws = people.community, people.community.draws("assistants")
    who = np.flatnonzero(draws.chance(community.size, PER_PERSON))
    since = np.maximum(people.joined[who], community.as_of - SINCE)
    # The last of its messages comes before the data set's present.
    began = since + draws.below(len(who), community.as_of - 2 * MOST_EXCHANGES * MINUTE - since)
    ended = draws.chance(len(who), 0.9)
    ids = community.ids("SESSION_IA", len(who))
    sessions: Rows = [
        {
            "_id": key,
            "id_session_ia": key,
            "id_utilisateur": people.ids[user],
            "agent": agent,
            "statut": "TERMINEE" if is_over else "ACTIVE",
            "debut": moment,
        }
        for key, user, agent, is_over, moment in zip(
            ids,
            who.tolist(),
            pick(AGENTS, draws, len(who)),
            ended.tolist(),
            times(began),
            strict=True,
        )
    ]
    over = np.flatnonzero(ended & draws.chance(len(who), 0.4))
    return {
        "SESSION_IA": sessions,
        "MESSAGE_IA": _messages(people, ids, who, began),
        "AVIS_IA": _reviews(people, ids, who, began, over),
    }


def _messages(people: People, ids: list[str], who: Ints, began: Ints) -> Rows:
    draws = people.community.draws("assistants' messages")
    session, turn = runs(2 * (1 + draws.below(len(ids), MOST_EXCHANGES)))
    french = people.french[who[session]].tolist()
    asked, answered = (pick_by_language(pool, french, draws) for pool in (QUESTIONS, REPLIES))
    return [
        {
            "_id": key,
            "id_message_ia": key,
            "id_session_ia": ids[of],
            "auteur": "AGENT" if place % 2 else "UTILISATEUR",
            "texte": answer if place % 2 else question,
            "cree_le": moment,
        }
        for key, of, place, question, answer, moment in zip(
            people.community.ids("MESSAGE_IA", len(session)),
            session.tolist(),
            turn.tolist(),
            asked,
            answered,
            times(began[session] + turn * MINUTE),
            strict=True,
        )
    ]


def _reviews(people: People, ids: list[str], who: Ints, began: Ints, over: Ints) -> Rows:
    community, draws = people.community, people.community.draws("assistants' reviews")
    stars = (1 + draws.choose(len(over), (0.03, 0.07, 0.2, 0.4, 0.3))).tolist()
    french = people.french[who[over]].tolist()
    last = began[over] + 2 * MOST_EXCHANGES * MINUTE
    written = last + draws.below(len(over), np.minimum(community.as_of - last, DAY))
    return [
        {
            "_id": key,
            "id_avis_ia": key,
            "id_session_ia": ids[session],
            "id_utilisateur": people.ids[user],
            "note_etoiles": given,
            "commentaire": REVIEWS["fr" if is_french else "en"][given - 1][0],
            "cree_le": moment,
        }
        for key, session, user, given, is_french, moment in zip(
            community.ids("AVIS_IA", len(over)),
            over.tolist(),
            who[over].tolist(),
            stars,
            french,
            times(written),
            strict=True,
        )
    ]
