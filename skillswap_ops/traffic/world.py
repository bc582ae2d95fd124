"""The journeys of a load as streams, one a step, and what of them is in the stores afterwards."""

import threading
from collections.abc import Iterable, Mapping
from random import Random
from typing import LiteralString

from cluster.context import Context
from cluster.drill.contracts import Availability, OpIds, Promise, Stream, Writer
from cluster.drill.ledger import SEQUENCE_MASK, op_id
from cluster.drill.outcome import Outcome, Result
from cluster.schema.catalogue import BY_NAME
from mongo import guarantees
from mongo.client import Client as MongoClient
from mongo.client import Document
from skillswap_ops.services.base.models import derived
from skillswap_ops.traffic import people, reading
from skillswap_ops.traffic.chain_checks import Chains
from skillswap_ops.traffic.client import Client
from skillswap_ops.traffic.journey import GAP, LABEL, STEPS, Journey, Step, skill_of
from skillswap_ops.traffic.people import Passports
from skillswap_ops.traffic.requests import op_of_message
from skillswap_ops.traffic.stores import bases, ids

WITHIN = 12.0  # seconds: longer than the services' own deadline, which says what is known
GOOD_WITHIN = 3.0
LEAST_WORKERS, MOST_WORKERS = 4, 64
TEACHERS_RATE = 0.5  # journeys a second that one teacher is there for: far below the edge's limit
PAID: LiteralString = (
    "SELECT i.id_utilisateur FROM facture AS f JOIN intention_paiement AS i"
    " ON i.id = f.id_intention_paiement"
    " WHERE f.statut = 'PAYEE' AND i.id_utilisateur = ANY(%s)"
)


class World:
    """Everybody who is on a journey of this load, and the teachers whom they find."""

    def __init__(self, context: Context, rate: float, seed: int) -> None:
        self.context, self.rate, self.run = context, rate, ""
        self._seed, self._passports = seed, Passports(context)
        self._teachers = [*range(max(2, round(rate / TEACHERS_RATE)))]
        self._journeys: dict[int, Journey] = {}
        self._lock = threading.Lock()
        self._read: dict[str, list[int]] = {}
        self.chains: Chains | None = None

    def prepare(self, run: str) -> None:
        """Make the teachers, past the API. Idempotent."""
        if self.run == run:
            return
        self.run = run
        teachers = [people.person(run, "teacher", number, people.LOAD) for number in self._teachers]
        people.settle(self.context, teachers)
        with people.of_application(self.context) as client:
            skills = guarantees.collection(client, BY_NAME["COMPETENCE"])
            for teacher in teachers:
                row = _taught(run, teacher.id)
                skills.replace_one({"id_competence": row["id_competence"]}, row, upsert=True)

    def journey(self, number: int) -> Journey:
        """The journey of that number; it begins when it is first asked for."""
        with self._lock:
            if number not in self._journeys:
                self._journeys[number] = self._begun(number)
            return self._journeys[number]

    def _begun(self, number: int) -> Journey:
        chance = Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        teacher = people.person(self.run, "teacher", chance.choice(self._teachers), people.LOAD)
        return Journey(number, self.run, teacher, lambda: self._passports.of(teacher.id), chance)

    def client(self, journey: Journey) -> Client:
        """The journey's own client, from an address of its own: the edge counts by address."""
        if journey.client is None:
            number = journey.number
            address = f"127.254.{number // 250 % 250}.{number % 250 + 1}"
            journey.client = Client(bases(self.context), number, address, trust=self.context.trust)
        return journey.client

    def close(self) -> None:
        """End every connection."""
        for journey in self._journeys.values():
            if journey.client:
                journey.client.close()

    def streams(self) -> tuple[Stream, ...]:
        """A stream a step, each a gap behind the one before it."""
        workers = min(MOST_WORKERS, max(LEAST_WORKERS, round(self.rate * WITHIN)))
        rpo = self.context.topology.sla.mongo.rpo  # of messages, which one member acknowledges
        return tuple(
            Stream(
                name=step.name,
                group="services",
                store=StepStore(self, place, step),
                rate=self.rate,
                workers=workers,
                good_within=GOOD_WITHIN,
                write_within=WITHIN,
                promise=Promise(Availability.UNJUDGED, rpo=rpo if step.entity == "MESSAGE" else 0),
                delay=place * GAP,
            )
            for place, step in enumerate(STEPS)
        )

    def open_chains(self) -> int:
        """How many of the run's sessions have a chain that is not finished."""
        learners = list(_learners(self.context, self.run))
        with people.of_application(self.context) as client:
            query = {"id_apprenant": {"$in": learners}, "chaine_ouverte": {"$exists": True}}
            return guarantees.collection(client, BY_NAME["SESSION"]).count_documents(query)

    def read(self) -> None:
        """Read what is there of every step; once for all of them."""
        if not self._read:
            self._read = _steps_done(self.context, self.run)
            learners = _learners(self.context, self.run)
            by_number = {number: user for user, number in learners.items()}
            self.chains = reading.chains(
                self.context,
                self.run,
                [*learners],
                lambda op: by_number.get(op & SEQUENCE_MASK, ""),
            )

    def done(self, step: str) -> list[int]:
        """The numbers of the journeys that the stores say to have made that step."""
        self.read()
        return self._read[step]


class StepStore:
    """One step of all journeys."""

    def __init__(self, world: World, place: int, step: Step) -> None:
        self._world, self._place, self._step = world, place, step

    def prepare(self, run: str) -> None:
        """Make what the journeys need."""
        self._world.prepare(run)

    def open_writer(self, worker: int) -> Writer:  # noqa: ARG002 - they are all alike
        """A writer; the connections are the journeys'."""
        return StepWriter(self._world, self._place, self._step)

    def read_back(self) -> Iterable[OpIds]:
        """The step's operations that the stores hold."""
        number = self._place + 1
        yield from ids(op_id(number, each) if each >= 0 else each for each in self._found())

    def _found(self) -> list[int]:
        return self._world.done(self._step.name)

    def discard(self) -> None:
        """Remove all that the run has written."""
        people.remove(self._world.context, self._world.run)


class StepWriter:
    """Lets one journey after another make a step."""

    def __init__(self, world: World, place: int, step: Step) -> None:
        self._world, self._place, self._step = world, place, step

    def write(self, op: int) -> Result:
        """Make the step, if the journey has come so far."""
        journey, name = self._world.journey(op & SEQUENCE_MASK), self._step.name
        if not journey.reached(self._place, GOOD_WITHIN):
            why = f"turned away at: {journey.ended}" if journey.ended else "still at a step before"
            journey.advance(ended=name)
            return Result(Outcome.UNSENT, why)
        found = self._world.client(journey).send(self._step.call(journey, op), WITHIN)
        result = found.result
        if result.outcome is Outcome.ACKED and not self._step.learn(journey, found.body):
            result = Result(Outcome.UNKNOWN, f"{found.status} without what was asked for")
        journey.advance(ended="" if result.outcome is Outcome.ACKED else name)
        return result

    def close(self) -> None:
        """Nothing to release: a step has its deadline."""


def _taught(run: str, teacher: str) -> Document:
    own_id = derived("drill skill", teacher)
    return {
        "_id": own_id,
        "id_competence": own_id,
        "id_utilisateur": teacher,
        "libelle": skill_of(run),
        "type": "ENSEIGNE",
        "niveau": "AVANCE",
        "disponibilite": "toujours",
        "langues": ["fr"],
    }


def _learners(context: Context, run: str) -> dict[str, int]:
    """The numbers of the journeys, by the users who registered for them."""
    with people.of_administrator(context, reading.SECONDS) as client:
        query = {"courriel": {"$regex": f"^{people.LOAD}-{run}-{LABEL}-"}}
        rows = reading.documents(client, run, "UTILISATEUR", query, ("id_utilisateur", "courriel"))
    return {
        row["id_utilisateur"]: int(row["courriel"].partition("@")[0].rpartition("-")[2])
        for row in rows
    }


def _steps_done(context: Context, run: str) -> dict[str, list[int]]:
    """The journeys by the steps that the stores hold of them, with repeats; -1 is nobody's."""
    learners = _learners(context, run)
    paid = [str(row[0]) for row in reading.rows(context, PAID, [*learners])]
    with people.of_administrator(context, reading.SECONDS) as client:
        said = _of_users(client, run, "MESSAGE", "id_expediteur", learners, "id_message")
        sessions = _of_users(client, run, "SESSION", "id_apprenant", learners, "statut")
        found: dict[str, Iterable[str]] = {
            "register": learners,
            "log in": _users(client, run, "JETON_RAFRAICHISSEMENT", "id_utilisateur", learners),
            "skill": _users(client, run, "COMPETENCE", "id_utilisateur", learners),
            "propose": [user for user, _ in sessions],
            "confirm": [user for user, status in sessions if status in {"CONFIRMEE", "REALISEE"}],
            "meet": [user for user, status in sessions if status == "REALISEE"],
            "review": _users(client, run, "AVIS", "id_emetteur", learners),
            "pay": paid,
        }
    numbers = {name: [learners.get(user, -1) for user in users] for name, users in found.items()}
    chat = [op_of_message(own_id) & SEQUENCE_MASK for _, own_id in said if own_id.startswith(run)]
    return {**numbers, "chat": chat}


def _users(
    client: MongoClient, run: str, entity: str, field: str, learners: Mapping[str, int]
) -> list[str]:
    return [user for user, _ in _of_users(client, run, entity, field, learners, field)]


def _of_users(
    client: MongoClient, run: str, entity: str, field: str, learners: Mapping[str, int], also: str
) -> list[tuple[str, str]]:
    query = {field: {"$in": [*learners]}}
    rows = reading.documents(client, run, entity, query, (field, also))
    return [(row[field], row[also]) for row in rows]
