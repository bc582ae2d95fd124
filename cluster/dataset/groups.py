"""Groups of a community, who is in them, and what they have to do."""

from dataclasses import dataclass

import numpy as np

from cluster.dataset.community import DAY, HOUR, Rows, pick_by_language, runs, times
from cluster.dataset.draws import Ints
from cluster.dataset.people import People
from cluster.dataset.sentences import TASKS
from cluster.dataset.skills import LABELS

PEOPLE_PER_GROUP = 50
LARGEST = 40  # members
MOST_TASKS = 9


@dataclass(frozen=True)
class Groups:
    """One entry a group, and one a membership (`of` and `member` are places)."""

    ids: list[str]
    admin: Ints
    created: Ints
    of: Ints
    member: Ints
    joined: Ints
    role: list[str]


def groups(people: People) -> Groups:
    """The groups of a community: each admin is a member, nobody is twice in one."""
    community, draws = people.community, people.community.draws("groups")
    count = community.size // PEOPLE_PER_GROUP
    admin = draws.below(count, max(1, community.size // 2))
    since = people.joined[admin]
    created = since + draws.below(count, community.as_of - HOUR - since)
    sizes = 5 + draws.below(count, LARGEST - 5)
    of, place = runs(sizes)
    # Steps of less than a whole round from the admin: all different.
    stride = 1 + draws.below(count, community.size // LARGEST)
    member = (admin[of] + place * stride[of]) % max(1, community.size)
    since = np.maximum(created[of], people.joined[member])
    later = since + draws.below(len(of), community.as_of - since)
    animates = draws.chance(len(of), 0.06).tolist()
    roles = [
        "ADMIN" if at == 0 else "ANIMATEUR" if animator else "MEMBRE"
        for at, animator in zip(place.tolist(), animates, strict=True)
    ]
    joined = np.where(place == 0, created[of], later)
    return Groups(community.ids("GROUPE", count), admin, created, of, member, joined, roles)


def documents(people: People, groups: Groups) -> dict[str, Rows]:
    """GROUPE, ADHESION_GROUPE and TACHE."""
    draws, count = people.community.draws("group texts"), len(groups.ids)
    french = people.french[groups.admin].tolist()
    skills = pick_by_language(LABELS, french, draws)
    made: Rows = [
        {
            "_id": key,
            "id_groupe": key,
            "id_admin": people.ids[admin],
            "titre": f"{skill} {'à' if is_french else 'in'} {people.city.name}",
            "description": _description(skill, is_french=is_french),
            "visibilite": "PRIVE" if private else "PUBLIC",
            "cree_le": created,
        }
        for key, admin, skill, is_french, private, created in zip(
            groups.ids,
            groups.admin.tolist(),
            skills,
            french,
            draws.chance(count, 0.25).tolist(),
            times(groups.created),
            strict=True,
        )
    ]
    return {
        "GROUPE": made,
        "ADHESION_GROUPE": _memberships(people, groups),
        "TACHE": _tasks(people, groups),
    }


def _description(skill: str, *, is_french: bool) -> str:
    if is_french:
        return f"Pour apprendre et partager ensemble : {skill.lower()}."
    return f"To learn and share together: {skill.lower()}."


def _memberships(people: People, groups: Groups) -> Rows:
    return [
        {
            "_id": key,
            "id_adhesion": key,
            "id_groupe": groups.ids[group],
            "id_utilisateur": people.ids[member],
            "role": role,
            "rejoint_le": joined,
        }
        for key, group, member, role, joined in zip(
            people.community.ids("ADHESION_GROUPE", len(groups.of)),
            groups.of.tolist(),
            groups.member.tolist(),
            groups.role,
            times(groups.joined),
            strict=True,
        )
    ]


def _tasks(people: People, groups: Groups) -> Rows:
    """What was due is finished, or late; what is due later may have been begun."""
    draws, as_of = people.community.draws("tasks"), people.community.as_of
    of, _ = runs(1 + draws.below(len(groups.ids), MOST_TASKS))
    due = as_of - 60 * DAY + draws.below(len(of), 90) * DAY + 18 * HOUR
    begun = draws.unit(len(of)).tolist()
    past = (due < as_of).tolist()
    titles = pick_by_language(TASKS, people.french[groups.admin[of]].tolist(), draws)
    return [
        {
            "_id": key,
            "id_tache": key,
            "id_groupe": groups.ids[group],
            "titre": title,
            "statut": _state(part, was_due=was_due),
            "echeance": moment,
        }
        for key, group, title, part, was_due, moment in zip(
            people.community.ids("TACHE", len(of)),
            of.tolist(),
            titles,
            begun,
            past,
            times(due),
            strict=True,
        )
    ]


def _state(part: float, *, was_due: bool) -> str:
    if was_due:
        return "TERMINEE" if part < 0.9 else "EN_COURS"
    return "EN_COURS" if part < 0.3 else "A_FAIRE"
