"""Reports on MongoDB's segments, computed by a secondary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo.collection import Collection

from cluster.schema.sessions_messages import AVIS, SESSION
from cluster.schema.types import Entity
from cluster.schema.users_skills import UTILISATEUR
from mongo import guarantees
from mongo.client import Client, Document
from mongo.staleness import Choice

GIVEN = "REALISEE"
STATES = SESSION.field("statut").values


@dataclass(frozen=True)
class Teacher:
    """What a teacher's learners think: means of 1 to 5. `name` None: the user is not there."""

    id: str
    name: str | None
    sessions: int
    reviews: int
    stars: float
    punctuality: float
    pedagogy: float
    motivation: float
    communication: float


CRITERIA = {
    "stars": "note_etoiles",
    "punctuality": "ponctualite",
    "pedagogy": "pedagogie",
    "motivation": "motivation",
    "communication": "communication",
}


@dataclass(frozen=True)
class SessionCount:
    """How many sessions that begin in a month ("2026-03", UTC) have a status."""

    month: str
    status: str
    sessions: int


class MongoReports:
    """The reports; `choices` say, by segment, which member answers."""

    def __init__(self, client: Client, choices: Mapping[str, Choice]) -> None:
        self._client, self._choices = client, choices

    def reputation(self, top: int, least: int) -> tuple[Teacher, ...]:
        """The best teachers, of those with at least `least` reviews.

        A review counts where its target gave the session: who learnt in it is reviewed too.
        """
        best = list(self._collection(AVIS).aggregate(_best(top, least), allowDiskUse=True))
        ids = [row["_id"] for row in best]
        sessions, names = self._given(ids), self._names(ids)
        return tuple(
            Teacher(
                row["_id"],
                names.get(row["_id"]),
                sessions.get(row["_id"], 0),
                row["reviews"],
                *(row[name] for name in CRITERIA),
            )
            for row in best
        )

    def sessions(self, since: datetime) -> tuple[SessionCount, ...]:
        """Sessions by the month in which they begin, and by status; oldest first."""
        month = {"$dateToString": {"date": "$debut", "format": "%Y-%m"}}
        pipeline = [
            # By status as well, so that the index (statut, debut) holds all that is asked.
            {"$match": {"statut": {"$in": list(STATES)}, "debut": {"$gte": since}}},
            {"$group": {"_id": {"month": month, "status": "$statut"}, "sessions": {"$sum": 1}}},
        ]
        found = self._collection(SESSION).aggregate(pipeline, allowDiskUse=True)
        counts = [SessionCount(**row["_id"], sessions=row["sessions"]) for row in found]
        return tuple(sorted(counts, key=lambda one: (one.month, STATES.index(one.status))))

    def _given(self, teachers: Sequence[str]) -> dict[str, int]:
        pipeline = [
            {"$match": {"statut": GIVEN, "id_enseignant": {"$in": list(teachers)}}},
            {"$group": {"_id": "$id_enseignant", "sessions": {"$sum": 1}}},
        ]
        found = self._collection(SESSION).aggregate(pipeline)
        return {row["_id"]: row["sessions"] for row in found}

    def _names(self, ids: Sequence[str]) -> dict[str, str]:
        key = UTILISATEUR.key
        found = self._collection(UTILISATEUR).find({key: {"$in": list(ids)}}, {key: 1, "nom": 1})
        return {row[key]: row["nom"] for row in found}

    def _collection(self, entity: Entity) -> Collection[Document]:
        preference = self._choices[entity.home].preference
        return guarantees.reporting(self._client, entity).with_options(read_preference=preference)


def _best(top: int, least: int) -> list[Document]:
    means = {name: {"$avg": f"${field}"} for name, field in CRITERIA.items()}
    return [
        {
            "$lookup": {
                "from": SESSION.name,
                "localField": "id_session",
                "foreignField": SESSION.key,
                "as": "session",
            }
        },
        {"$match": {"$expr": {"$in": ["$id_cible", "$session.id_enseignant"]}}},
        {"$group": {"_id": "$id_cible", "reviews": {"$sum": 1}, **means}},
        {"$match": {"reviews": {"$gte": least}}},
        {"$sort": {"stars": -1, "reviews": -1, "_id": 1}},
        {"$limit": top},
    ]
