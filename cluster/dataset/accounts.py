"""What keeps accounts safe: credentials, log-ins that go on, what moderators did."""

import numpy as np

from cluster.dataset.community import DAY, Rows, pick, times
from cluster.dataset.people import People

NO_PASSWORD = "!"  # noqa: S105 - as in shadow(5): no password fits, so nobody can log in as them
LOGGED_IN = 0.1
LOGIN_DAYS = 30
ACTS = ("BANNIR", "LEVER_BANNISSEMENT", "CHANGER_ROLES", "TRAITER_SIGNALEMENT")
JUDGED = 0.01


def documents(people: People) -> dict[str, Rows]:
    """IDENTIFIANT, JETON_RAFRAICHISSEMENT and JOURNAL_AUDIT."""
    return {
        "IDENTIFIANT": _credentials(people),
        "JETON_RAFRAICHISSEMENT": _logins(people),
        "JOURNAL_AUDIT": _audits(people),
    }


def _credentials(people: People) -> Rows:
    return [
        {"_id": key, "id_utilisateur": key, "empreinte": NO_PASSWORD, "maj_le": joined}
        for key, joined in zip(people.ids, times(people.joined), strict=True)
    ]


def _logins(people: People) -> Rows:
    community, draws = people.community, people.community.draws("log-ins")
    owner = np.flatnonzero(draws.chance(community.size, LOGGED_IN))
    turned = community.as_of - draws.below(len(owner), DAY)
    return [
        {
            "_id": key,
            "id_jeton": key,
            "id_utilisateur": people.ids[user],
            "empreinte": NO_PASSWORD,
            "tourne_le": at,
            "expire_le": until,
        }
        for key, user, at, until in zip(
            community.ids("JETON_RAFRAICHISSEMENT", len(owner)),
            owner.tolist(),
            times(turned),
            times(turned + LOGIN_DAYS * DAY),
            strict=True,
        )
    ]


def _audits(people: People) -> Rows:
    """The one who has been here longest moderates the others."""
    community, draws = people.community, people.community.draws("audits")
    target = np.flatnonzero(draws.chance(community.size, JUDGED))
    target = target[target > 0]
    at = people.joined[target] + draws.below(
        len(target), np.maximum(community.as_of - people.joined[target], 1)
    )
    return [
        {
            "_id": key,
            "id_audit": key,
            "id_acteur": people.ids[0],
            "action": act,
            "id_cible": people.ids[user],
            "abouti": True,
            "cree_le": moment,
        }
        for key, act, user, moment in zip(
            community.ids("JOURNAL_AUDIT", len(target)),
            pick(ACTS, draws, len(target)),
            target.tolist(),
            times(at),
            strict=True,
        )
    ]
