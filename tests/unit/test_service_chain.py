"""The write chain's decisions, and who may change a session to what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cluster.schema.catalogue import BY_NAME
from skillswap_ops.services.base.models import derived
from skillswap_ops.services.sessions import outbox
from skillswap_ops.services.sessions.models import Proposal
from skillswap_ops.services.sessions.outbox import CARRIED, closing, plan
from skillswap_ops.services.sessions.states import Verdict, verdict

LEARNER = "11111111-1111-4111-8111-111111111111"
TEACHER = "22222222-2222-4222-8222-222222222222"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
KEY = "key-00001"


def proposal(**changes: Any) -> Proposal:
    data: dict[str, Any] = {
        "id_partenaire": TEACHER,
        "debut": NOW,
        "fin": NOW + timedelta(hours=1),
        "mode": "DISTANCIEL",
        "lieu_ou_lien": "https://meet.example.org/x",
        "message": {"texte": "Bonjour", "langue": "fr"},
        "paiement": {"montant": 1500, "devise": "EUR"},
    }
    return Proposal.model_validate(data | changes)


def row(**changes: Any) -> dict[str, Any]:
    return outbox.document(proposal(**changes), LEARNER, KEY, NOW)


def test_the_session_carries_what_follows() -> None:
    made = row()
    own_id = derived("session", LEARNER, KEY)
    assert made["id_session"] == own_id
    assert made["chaine_ouverte"] == NOW
    due = plan(made)
    assert due.message == {
        "id_message": derived("message", own_id),
        "id_session": own_id,
        "id_expediteur": LEARNER,
        "texte": "Bonjour",
        "langue": "fr",
        "cree_le": NOW,
    }
    assert due.intent is not None
    assert (due.intent.id, due.intent.key) == (
        derived("intention", own_id),
        f"session:{own_id}",
    )
    assert (due.intent.user, due.intent.amount, due.intent.currency) == (LEARNER, 1500, "EUR")
    assert due.cancel is None


def test_the_same_request_is_the_same_documents() -> None:
    assert row() == row()
    again = outbox.document(proposal(), LEARNER, "key-00002", NOW)
    assert not {again[n] for n in ("id_session", "id_message", "id_intention")} & {
        row()[n] for n in ("id_session", "id_message", "id_intention")
    }
    other = outbox.document(proposal(id_partenaire=LEARNER), TEACHER, KEY, NOW)
    assert other["id_session"] != row()["id_session"]


def test_a_key_that_comes_with_another_request_is_seen() -> None:
    base = row()["empreinte_demande"]
    for changes in (
        {"mode": "PRESENTIEL"},
        {"paiement": {"montant": 1501}},
        {"message": {"texte": "Bonsoir"}},
        {"debut": NOW + timedelta(minutes=1)},
    ):
        assert row(**changes)["empreinte_demande"] != base


def test_a_plain_session_has_no_chain() -> None:
    made = row(message=None, paiement=None)
    assert not {*made} & {*CARRIED, "id_message", "id_intention"}
    assert plan(made) == outbox.Plan(None, None, None)


def test_a_closed_chain_has_nothing_left_to_do() -> None:
    made = row()
    query, update = closing(made)
    assert query == {"id_session": made["id_session"], "chaine_ouverte": NOW}
    closed = {name: value for name, value in made.items() if name not in update["$unset"]}
    assert plan(closed) == outbox.Plan(None, None, None)
    assert {"id_message", "id_intention", "empreinte_demande"} <= {*closed}


def test_a_cancelled_session_s_intent_is_put_first_and_then_cancelled() -> None:
    """A late writer of the same chain then meets it, and cannot make it anew."""
    due = plan(row() | {"statut": "ANNULEE"})
    assert due.intent is not None
    assert due.cancel == due.intent.id


def test_what_is_stored_is_declared() -> None:
    declared = {field.name for field in BY_NAME["SESSION"].fields}
    assert {*row(point_lieu={"longitude": 2.3, "latitude": 48.8})} <= declared
    assert {*CARRIED} <= declared
    assert {*(plan(row()).message or {})} <= {f.name for f in BY_NAME["MESSAGE"].fields}


@pytest.mark.parametrize(
    "changes",
    [
        {"fin": NOW},
        {"fin": NOW + timedelta(hours=25)},
        {"role": "ENSEIGNANT"},
        {"paiement": {"montant": 0}},
        {"unknown": 1},
        {"message": {"texte": "\x00"}},
        {"message": {"texte": "   "}},
        {"lieu_ou_lien": "x" * 501},
        {"debut": "2026-06-01T12:00:00"},
    ],
)
def test_proposals_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        proposal(**changes)


# States

STATES = ("PROPOSEE", "CONFIRMEE", "REALISEE", "ANNULEE", "ABSENCE")
LEGAL = {
    ("PROPOSEE", "CONFIRMEE"),
    ("PROPOSEE", "ANNULEE"),
    ("CONFIRMEE", "REALISEE"),
    ("CONFIRMEE", "ANNULEE"),
    ("CONFIRMEE", "ABSENCE"),
}


@pytest.mark.parametrize("begin", STATES)
@pytest.mark.parametrize("wanted", STATES[1:])
@pytest.mark.parametrize("user", [LEARNER, TEACHER])
def test_every_change_of_status(begin: str, wanted: str, user: str) -> None:
    found = verdict(row() | {"statut": begin}, user, wanted, NOW)
    if begin == wanted:
        assert found is Verdict.ALREADY
    elif (begin, wanted) not in LEGAL:
        assert found is Verdict.WRONG_STATE
    elif (wanted, user) in {("CONFIRMEE", LEARNER), ("REALISEE", LEARNER)}:
        assert found is Verdict.FORBIDDEN
    else:
        assert found is Verdict.CHANGE


@pytest.mark.parametrize("wanted", ["REALISEE", "ABSENCE"])
def test_nothing_took_place_before_it_began(wanted: str) -> None:
    early = NOW - timedelta(seconds=1)
    confirmed = row() | {"statut": "CONFIRMEE"}
    assert verdict(confirmed, TEACHER, wanted, early) is Verdict.TOO_EARLY
    assert verdict(confirmed, TEACHER, "ANNULEE", early) is Verdict.CHANGE
