"""What drills write through the API: each store is one kind of request, and where its rows are."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from cluster import tls
from cluster.context import Context
from cluster.drill.contracts import OpIds, Writer
from cluster.drill.ledger import SEQUENCE_MASK, op_id
from cluster.drill.outcome import Outcome, Result
from cluster.schema.catalogue import BY_NAME
from cluster.tls_context import client_context
from manifests.services import places
from mongo import guarantees
from mongo.client import Document
from skillswap_ops.services.base.models import derived
from skillswap_ops.traffic import people, reading
from skillswap_ops.traffic.chain_checks import amount_of
from skillswap_ops.traffic.client import Answered, Call, Client
from skillswap_ops.traffic.outcomes import Sent
from skillswap_ops.traffic.people import Passports, Person
from skillswap_ops.traffic.requests import key_of, message_id, op_of_message

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0  # between two tries of one request


@dataclass(frozen=True)
class Way:
    """How a stream's requests are made.

    `label` (letters and digits) keeps the users of a run's streams apart; `within` is the deadline
    of an operation with all its tries, in seconds; `retried`: what is not known to be refused is
    tried again until then, which is for requests that can be repeated.
    """

    label: str
    within: float
    retried: bool = False


class ApiStore:
    """Users of a run's own, `pairs` learners and as many teachers, and what they ask of the API."""

    pairs = 20  # so many that each of them stays below the gateway's limit

    def __init__(self, context: Context, way: Way) -> None:
        self.context, self.way = context, way
        self.run = ""
        self.learners: tuple[Person, ...] = ()
        self.teachers: tuple[Person, ...] = ()
        self._passports = Passports(context)

    def prepare(self, run: str) -> None:
        """Make the users, past the API."""
        self.run = run
        made = [people.person(run, self.way.label, number) for number in range(2 * self.pairs)]
        self.learners, self.teachers = tuple(made[: self.pairs]), tuple(made[self.pairs :])
        people.settle(self.context, made)

    def open_writer(self, worker: int) -> Writer:
        """A writer; half of the workers take the second proxy first."""
        return ApiWriter(self, Client(bases(self.context), first=worker, trust=self.context.trust))

    def call(self, op: int) -> Call:
        """The operation's request, the same whenever it is made."""
        raise NotImplementedError

    def read_back(self) -> Iterable[OpIds]:
        """Every operation whose row is there."""
        raise NotImplementedError

    def discard(self) -> None:
        """Remove the run's users and all that is theirs."""
        if self.run:
            people.remove(self.context, self.run)

    @property
    def askers(self) -> list[str]:
        """The ids of those who ask."""
        return [one.id for one in self.learners]

    def learner(self, op: int) -> Person:
        """Whose request it is."""
        return self.learners[(op & SEQUENCE_MASK) % self.pairs]

    def teacher(self, op: int) -> Person:
        """The other side."""
        return self.teachers[(op & SEQUENCE_MASK) % self.pairs]

    def token(self, who: Person) -> str:
        """Their access token."""
        return self._passports.of(who.id)


def bases(context: Context) -> tuple[str, ...]:
    """Where the API is: each of its proxies."""
    scheme = tls.scheme(context)
    return tuple(f"{scheme}://{node.at(places.PORT)}" for node in places.proxies(context.topology))


def ids(found: Iterable[int]) -> Iterator[OpIds]:
    """As a read-back gives them."""
    yield np.fromiter(found, np.int64)


class ApiWriter:
    """One user agent."""

    def __init__(self, store: ApiStore, client: Client) -> None:
        self._store, self.client = store, client

    def write(self, op: int) -> Result:
        """Ask for the operation; again, where its store's way says so, with the same request."""
        return self.ask(op).result

    def ask(self, op: int) -> Answered:
        """The same, with the answer."""
        call, way = self._store.call(op), self._store.way
        deadline, pause, sent = time.monotonic() + way.within, FIRST_PAUSE, call.sent
        tries = 0
        while True:
            left = max(0.05, deadline - time.monotonic())
            found = self.client.send(call, left, sent)
            outcome = found.result.outcome
            if outcome is Outcome.UNKNOWN:
                sent = Sent.REPEATED
            over = time.monotonic() + pause >= deadline
            if not way.retried or over or outcome is Outcome.ACKED or refused(found):
                return replace(found, result=replace(found.result, retries=tries))
            time.sleep(pause)
            pause, tries = min(2 * pause, LONGEST_PAUSE), tries + 1

    def close(self) -> None:
        """End the connection."""
        self.client.close()


def refused(found: Answered) -> bool:
    """Whether another try would be refused too. 429 passes, but only after a minute."""
    return 400 <= found.status < 500


class SkillStore(ApiStore):
    """What users teach: the segment of users and skills."""

    def call(self, op: int) -> Call:
        """A skill, which carries the operation's id; every request makes another one."""
        body: dict[str, object] = {
            "libelle": "Drill",
            "type": "ENSEIGNE",
            "niveau": "DEBUTANT",
            "disponibilite": str(op),
            "langues": ["fr"],
        }
        return Call("POST", "/skills", self.token(self.learner(op)), body)

    def read_back(self) -> Iterable[OpIds]:
        """The operations whose skill is there."""
        query = {"id_utilisateur": {"$in": self.askers}}
        with people.of_application(self.context, reading.SECONDS) as client:
            rows = reading.documents(client, self.run, "COMPETENCE", query, ["disponibilite"])
        yield from ids(int(row["disponibilite"]) for row in rows)


class ChatStore(ApiStore):
    """Messages in sessions that are there from the beginning: the other segment."""

    def prepare(self, run: str) -> None:
        """Make the users, and a session for each pair."""
        super().prepare(run)
        with people.of_application(self.context) as client:
            sessions = guarantees.collection(client, BY_NAME["SESSION"])
            for number in range(self.pairs):
                row = self._session(number)
                sessions.replace_one({"id_session": row["id_session"]}, row, upsert=True)

    def conversation(self, op: int) -> str:
        """The session of the operation's pair."""
        return self._session_id((op & SEQUENCE_MASK) % self.pairs)

    def _session_id(self, number: int) -> str:
        return derived("drill session", self.learners[number].id)

    def _session(self, number: int) -> Document:
        own_id, begin = self._session_id(number), datetime.now(UTC) + timedelta(days=1)
        return {
            "_id": own_id,
            "id_session": own_id,
            "id_apprenant": self.learners[number].id,
            "id_enseignant": self.teachers[number].id,
            "cree_par": self.learners[number].id,
            "debut": begin,
            "fin": begin + timedelta(hours=1),
            "mode": "DISTANCIEL",
            "statut": "CONFIRMEE",
            "lieu_ou_lien": f"https://{people.DOMAIN}/drill/{self.run}",
            "cree_le": datetime.now(UTC),
        }

    def call(self, op: int) -> Call:
        """A message whose id says which operation it is."""
        path = f"/chat/sessions/{self.conversation(op)}/messages"
        body: dict[str, object] = {"id_message": message_id(self.run, op), "texte": f"drill {op}"}
        return Call("POST", path, self.token(self.learner(op)), body)

    def read_back(self) -> Iterable[OpIds]:
        """The operations whose message is there."""
        query = {"id_expediteur": {"$in": self.askers}}
        with people.of_application(self.context, reading.SECONDS) as client:
            rows = reading.documents(client, self.run, "MESSAGE", query, ["id_message"])
        yield from ids(op_of_message(row["id_message"]) for row in rows)


class DeliveredStore(ChatStore):
    """The same, acknowledged only when the other participant has it, through the other proxy."""

    pairs = 4  # each worker has a connection to each conversation

    def open_writer(self, worker: int) -> Writer:
        """A writer, and the other side's ears."""
        return DeliveryWriter(
            self, Client(bases(self.context), first=worker, trust=self.context.trust), worker
        )

    def listen(self, op: int, turn: int) -> ClientConnection:
        """The other participant's WebSocket. Raises OSError, WebSocketException."""
        base = bases(self.context)[turn % places.PROXIES].replace("http", "ws", 1)
        token = self.token(self.teacher(op))
        socket = connect(
            f"{base}/chat/sessions/{self.conversation(op)}/ws",
            additional_headers={"Authorization": f"Bearer {token}"},
            open_timeout=self.way.within,
            close_timeout=0.2,
            ssl=client_context(self.context.trust) if self.context.trust else None,
            proxy=None,
        )
        socket.recv(self.way.within)  # ready
        return socket


class DeliveryWriter(ApiWriter):
    """One conversation a worker: what one side says, and the other side hears."""

    def __init__(self, store: DeliveredStore, client: Client, worker: int) -> None:
        super().__init__(store, client)
        self._deliveries, self._worker = store, worker
        self._ears: dict[str, ClientConnection] = {}

    def write(self, op: int) -> Result:
        """Say it, and wait until it is heard."""
        deadline = time.monotonic() + self._deliveries.way.within
        try:
            ears = self._ears_of(op)
        except (OSError, WebSocketException, EOFError):
            return Result(Outcome.FAILED, "not sent: nobody to hear it", reopen=True)
        said = super().write(op)
        if said.outcome is not Outcome.ACKED:
            return said
        wanted = message_id(self._deliveries.run, op)
        try:
            while (
                json.loads(ears.recv(max(0.0, deadline - time.monotonic())))
                .get("message", {})
                .get("id_message")
                != wanted
            ):
                continue
        except TimeoutError:
            return Result(Outcome.UNKNOWN, "kept, not delivered in time", reopen=True)
        except (OSError, WebSocketException, EOFError):
            return Result(Outcome.UNKNOWN, "kept; the hearer's connection was lost", reopen=True)
        return said

    def _ears_of(self, op: int) -> ClientConnection:
        conversation = self._deliveries.conversation(op)
        if conversation not in self._ears:
            self._ears[conversation] = self._deliveries.listen(op, self._worker + 1)
        return self._ears[conversation]

    def close(self) -> None:
        """End all connections."""
        for socket in self._ears.values():
            socket.close()
        self._ears.clear()
        super().close()


class IntentStore(ApiStore):
    """Payment intents: PostgreSQL, synchronous."""

    def __init__(self, context: Context, way: Way) -> None:
        super().__init__(context, way)
        self._stream = 0

    def call(self, op: int) -> Call:
        """An intent whose amount is the operation's number."""
        self._stream = op >> SEQUENCE_MASK.bit_length()
        body: dict[str, object] = {"montant": amount_of(op)}
        return Call(
            "POST",
            "/payments/intents",
            self.token(self.learner(op)),
            body,
            key=key_of(self.run, op),
        )

    def read_back(self) -> Iterable[OpIds]:
        """The operations whose intent is there; one that is not as asked reads as nobody's."""
        found = reading.intents(self.context, self.askers)
        yield from ids(self._op(row.id, row.amount) for row in found)

    def _op(self, own_id: str, amount: int) -> int:
        op = op_id(self._stream, amount - 1)
        asked = derived("intention", self.learner(op).id, key_of(self.run, op))
        return op if asked == own_id else -1
