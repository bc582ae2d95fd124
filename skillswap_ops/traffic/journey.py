"""The user journey of phase 1 (TP1 §5: inscription → mise en relation → chat → session → retour
d'expérience), with the payment of TP3 §7: its steps as data, and one user's way through them.

A step is due at a fixed time after the one before it, whatever became of that: who is kept waiting
is late, and who was turned away never comes to the next step. That counts as down, for it is.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from skillswap_ops.services.payments.card import APPROVED
from skillswap_ops.traffic.chain_checks import amount_of
from skillswap_ops.traffic.client import Call, Client, Json
from skillswap_ops.traffic.people import LOAD, Person, courriel
from skillswap_ops.traffic.requests import key_of, message_id, place_of

LABEL = "learner"
PASSWORD = "a-drill-has-no-secrets"  # noqa: S105 - of users that live for minutes
GAP = 1.0  # seconds between two steps of a journey: what a person takes for a look and a tap
AGO = timedelta(minutes=1)  # the session has begun when it is proposed, so that it can take place
STARS = ("note_etoiles", "ponctualite", "pedagogie", "motivation", "communication")


@dataclass
class Journey:
    """One user's way: what they have learned, and how far they came. `ended` names the step that
    turned them away.
    """

    number: int
    run: str
    teacher: Person
    teachers_token: Callable[[], str]
    chance: Random
    token: str = ""
    user: str = ""
    session: str = ""
    intent: str = ""
    ended: str = ""
    done: int = 0  # steps that are behind them
    client: Client | None = None
    moved: threading.Condition = field(default_factory=threading.Condition)

    def advance(self, ended: str = "") -> None:
        """A step is behind them, or has turned them away."""
        with self.moved:
            self.done += not ended
            self.ended = self.ended or ended
            self.moved.notify_all()

    def reached(self, step: int, seconds: float) -> bool:
        """Whether so many steps are behind them; waits for the one that is under way."""
        with self.moved:
            self.moved.wait_for(lambda: self.done >= step or bool(self.ended), seconds)
            return self.done >= step


@dataclass(frozen=True)
class Step:
    """A step. `call` is its request; `learn` takes what the answer tells, and whether that will do.

    `entity` is what an acknowledgement has stored, "" for a step that stores nothing.
    """

    name: str
    call: Callable[[Journey, int], Call]
    learn: Callable[[Journey, Json], bool] = lambda _journey, _body: True
    entity: str = ""


def _register(at: Journey, _op: int) -> Call:
    body: Json = {
        "nom": f"Drill {at.number}",
        "courriel": courriel(at.run, LABEL, at.number, LOAD),
        "mot_de_passe": PASSWORD,
        "consentement": True,
    }
    return Call("POST", "/auth/register", body=body)


def _log_in(at: Journey, _op: int) -> Call:
    body: Json = {"courriel": courriel(at.run, LABEL, at.number, LOAD), "mot_de_passe": PASSWORD}
    return Call("POST", "/auth/login", body=body)


def _take_token(at: Journey, body: Json) -> bool:
    at.token, at.user = str(body.get("access_token", "")), str(body.get("id_utilisateur", ""))
    return bool(at.token and at.user)


def _offer(at: Journey, _op: int) -> Call:
    body: Json = {
        "libelle": at.chance.choice(("Cuisine", "Guitare", "Jardinage", "Python")),
        "type": "APPREND",
        "niveau": "DEBUTANT",
        "disponibilite": "le soir",
        "langues": ["fr"],
    }
    return Call("POST", "/skills", at.token, body)


def _match(at: Journey, _op: int) -> Call:
    return Call("GET", "/matches", at.token, query={"mots": skill_of(at.run), "limite": "100"})


def skill_of(run: str) -> str:
    """What the teachers of a run teach: a word that nobody else has."""
    return f"drill{run}"


def _is_found(at: Journey, body: Json) -> bool:
    found = body.get("correspondances")
    rows = found if isinstance(found, list) else []
    return at.teacher.id in {row["competence"]["id_utilisateur"] for row in rows}


def _propose(at: Journey, op: int) -> Call:
    begin = datetime.now(UTC) - AGO
    body: Json = {
        "id_partenaire": at.teacher.id,
        "debut": begin.isoformat(),
        "fin": (begin + timedelta(hours=1)).isoformat(),
        "mode": "DISTANCIEL",
        "lieu_ou_lien": place_of(at.run, op),
        "message": {"texte": "Bonjour, auriez-vous un moment ?"},
        "paiement": {"montant": amount_of(op)},
    }
    return Call("POST", "/sessions", at.token, body, key=key_of(at.run, op))


def _take_session(at: Journey, body: Json) -> bool:
    at.session, at.intent = str(body.get("id_session", "")), str(body.get("id_intention", ""))
    return bool(at.session and at.intent)


def _chat(at: Journey, op: int) -> Call:
    body: Json = {"id_message": message_id(at.run, op), "texte": "À tout de suite."}
    return Call("POST", f"/chat/sessions/{at.session}/messages", at.token, body)


def _confirm(at: Journey, _op: int) -> Call:
    return _status(at, "CONFIRMEE")


def _meet(at: Journey, _op: int) -> Call:
    return _status(at, "REALISEE")


def _status(at: Journey, status: str) -> Call:
    path = f"/sessions/{at.session}/statut"
    return Call("PUT", path, at.teachers_token(), {"statut": status})


def _review(at: Journey, _op: int) -> Call:
    body: Json = {name: at.chance.randint(3, 5) for name in STARS}
    return Call("POST", "/reviews", at.token, {**body, "id_session": at.session})


def _pay(at: Journey, _op: int) -> Call:
    path = f"/payments/intents/{at.intent}/confirm"
    return Call("POST", path, at.token, {"jeton_carte": APPROVED})


STEPS = (
    Step("register", _register, entity="UTILISATEUR"),
    Step("log in", _log_in, _take_token, entity="JETON_RAFRAICHISSEMENT"),
    Step("skill", _offer, entity="COMPETENCE"),
    Step("match", _match, _is_found),
    Step("propose", _propose, _take_session, entity="SESSION"),
    Step("chat", _chat, entity="MESSAGE"),
    Step("confirm", _confirm, entity="SESSION"),
    Step("meet", _meet, entity="SESSION"),
    Step("review", _review, entity="AVIS"),
    Step("pay", _pay, entity="FACTURE"),
)
