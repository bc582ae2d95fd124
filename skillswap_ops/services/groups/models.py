"""Requests and answers of groups & tasks."""

from datetime import datetime
from typing import Literal

from skillswap_ops.services.base.models import Answer, Id, Long, Moment, Request, Short

Visibility = Literal["PUBLIC", "PRIVE"]
GroupRole = Literal["MEMBRE", "ANIMATEUR", "ADMIN"]
TaskStatus = Literal["A_FAIRE", "EN_COURS", "TERMINEE"]


class NewGroup(Request):
    """A group that somebody founds."""

    titre: Short
    description: Long | None = None
    visibilite: Visibility = "PUBLIC"


class Group(Answer):
    """A group."""

    id_groupe: Id
    id_admin: Id
    titre: str
    description: str | None = None
    visibilite: Visibility
    cree_le: datetime


class Groups(Answer):
    """A page, newest first."""

    groupes: tuple[Group, ...]
    suivant: str | None


class NewMember(Request):
    """What a member is in the group; only its leaders give another role than MEMBRE."""

    role: GroupRole = "MEMBRE"


class Member(Answer):
    """Somebody in a group."""

    id_utilisateur: Id
    role: GroupRole
    rejoint_le: datetime


class Members(Answer):
    """All members."""

    membres: tuple[Member, ...]


class NewTask(Request):
    """Something to do."""

    titre: Short
    echeance: Moment


class Task(Answer):
    """Something to do."""

    id_tache: Id
    id_groupe: Id
    titre: str
    statut: TaskStatus
    echeance: datetime


class TaskChange(Request):
    """How far it is."""

    statut: TaskStatus


class Tasks(Answer):
    """Tasks in a status, the most urgent first."""

    taches: tuple[Task, ...]
