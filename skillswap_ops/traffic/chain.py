"""The write chain as a stream: what is asked, and which of it three collections hold in the end.

SESSION is written with a majority, MESSAGE with `w: 1`, INTENTION_PAIEMENT on both sides of
PostgreSQL (TP3 §7); docs/decisions/write-chain.md says how they come together.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import OpIds, Stream
from cluster.errors import UnreachableError
from cluster.schema.catalogue import BY_NAME
from mongo import guarantees
from skillswap_ops.traffic import people, reading
from skillswap_ops.traffic.chain_checks import (
    CHAINS_FILE,
    Chains,
    Collected,
    amount_of,
)
from skillswap_ops.traffic.client import Call
from skillswap_ops.traffic.requests import key_of, place_of
from skillswap_ops.traffic.stores import ApiStore, Way, ids

CLOSED_WITHIN = 60.0  # seconds: some rounds of the reconcilers, and a lease that has to run out
OLD = timedelta(seconds=20)  # an open chain of this age is nobody's request any more
BEGIN = timedelta(days=7)  # the sessions are in the future, so that they can be proposed


class ChainStore(ApiStore):
    """A session with a message and a payment intent, each time anew."""

    def __init__(self, context: Context, way: Way) -> None:
        super().__init__(context, way)
        self._begin = datetime.now(UTC)
        self.chains: Chains | None = None

    def prepare(self, run: str) -> None:
        """Make the users; from now on a repeated request has the same body."""
        super().prepare(run)
        self._begin = datetime.now(UTC).replace(microsecond=0) + BEGIN

    def call(self, op: int) -> Call:
        """A proposal; where it takes place says which operation it is."""
        body: dict[str, object] = {
            "id_partenaire": self.teacher(op).id,
            "debut": self._begin.isoformat(),
            "fin": (self._begin + timedelta(hours=1)).isoformat(),
            "mode": "DISTANCIEL",
            "lieu_ou_lien": place_of(self.run, op),
            "message": {"texte": f"drill {op}"},
            "paiement": {"montant": amount_of(op)},
        }
        key = key_of(self.run, op)
        return Call("POST", "/sessions", self.token(self.learner(op)), body, key=key)

    def read_back(self) -> Iterable[OpIds]:
        """The operations whose session is there, once no chain is open or time is up."""
        with suppress(UnreachableError):  # what is open yet is a finding
            wait_for("open chains", self._all_closed, seconds=CLOSED_WITHIN, every=0.5)
        self.chains = self.read()
        yield from ids(row.op for row in self.chains.sessions)

    def read(self) -> Chains:
        """What the stores hold of the run's chains. Raises OpsError."""
        return reading.chains(self.context, self.run, self.askers, lambda op: self.learner(op).id)

    def _all_closed(self) -> bool:
        return not self.open_chains()

    def open_chains(self, age: timedelta = timedelta(0)) -> int:
        """How many of the run's chains are open and at least of that age."""
        if not self.run:
            return 0
        query = {
            "id_apprenant": {"$in": self.askers},
            "chaine_ouverte": {"$lte": datetime.now(UTC) - age},
        }
        with people.of_application(self.context) as client:
            sessions = guarantees.collection(client, BY_NAME["SESSION"])
            return sessions.count_documents(query)


def still_open(streams: Iterable[Stream]) -> str:
    """What a run's chains lack of being closed, those of the last seconds apart; "" for nothing."""
    found = {
        stream.name: stream.store.open_chains(OLD)
        for stream in streams
        if isinstance(stream.store, ChainStore)
    }
    return "; ".join(f"{name}: {count} chains are open" for name, count in found.items() if count)


def collect_chains(streams: Iterable[Stream], folder: Path) -> None:
    """Keep what was read, for the checkers; a stream that could not be read is not in it."""
    read = {
        stream.name: stream.store.chains
        for stream in streams
        if isinstance(stream.store, ChainStore) and stream.store.chains
    }
    collected = Collected(streams=read)
    (folder / CHAINS_FILE).write_text(collected.model_dump_json(indent=1), "utf-8")
