"""What is sent and written is what services and collections take, field by field."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from cluster.context import Context
from cluster.drill.ledger import op_id
from cluster.schema.catalogue import BY_NAME
from skillswap_ops.services.auth.models import Login, Registration
from skillswap_ops.services.chat.models import NewMessage
from skillswap_ops.services.payments.models import Confirmation, NewIntent
from skillswap_ops.services.reviews.service import NewReview
from skillswap_ops.services.sessions.models import Change, Proposal
from skillswap_ops.services.sessions.outbox import document, intent_key, plan
from skillswap_ops.services.skills.models import Near, Skill
from skillswap_ops.traffic import people
from skillswap_ops.traffic.chain import ChainStore
from skillswap_ops.traffic.chain_checks import KEY
from skillswap_ops.traffic.client import Call
from skillswap_ops.traffic.journey import STEPS, Journey
from skillswap_ops.traffic.stores import ApiStore, ChatStore, IntentStore, SkillStore, Way
from skillswap_ops.traffic.world import _taught
from tests.unit.mongo_samples import context

RUN, OP = "00c0ffee", op_id(2, 41)
SOME_ID = "5e8a3a0e-8f5c-4d4e-9a51-6f1f5f0d9c55"
MODELS: dict[str, type[BaseModel]] = {
    "register": Registration,
    "log in": Login,
    "skill": Skill,
    "match": Near,
    "propose": Proposal,
    "chat": NewMessage,
    "confirm": Change,
    "meet": Change,
    "review": NewReview,
    "pay": Confirmation,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A context whose stores are never asked."""
    monkeypatch.setattr(people, "settle", lambda *_: None)
    made = context(tmp_path)
    made.layout.secrets.mkdir(parents=True, exist_ok=True)
    return made


def journey() -> Journey:
    teacher = people.person(RUN, "teacher", 1, people.LOAD)
    made = Journey(4, RUN, teacher, lambda: "t", Random(1))
    made.token, made.session, made.intent = "t", SOME_ID, SOME_ID
    return made


@pytest.mark.parametrize("name", [step.name for step in STEPS])
def test_a_step_s_request_is_taken(name: str) -> None:
    call = next(step for step in STEPS if step.name == name).call(journey(), OP)
    MODELS[name].model_validate({**(call.body or {}), **call.query})


def test_the_session_has_begun_when_it_is_proposed_and_not_too_long_ago() -> None:
    call = next(step for step in STEPS if step.name == "propose").call(journey(), OP)
    ago = datetime.now(UTC) - Proposal.model_validate(call.body).debut
    assert 0 < ago.total_seconds() < 300  # services.sessions.routes.PAST


@pytest.mark.parametrize(
    ("store", "model"),
    [
        (ChainStore, Proposal),
        (SkillStore, Skill),
        (ChatStore, NewMessage),
        (IntentStore, NewIntent),
    ],
)
def test_a_drill_s_request_is_taken_and_stays_the_same(
    here: Context, store: type[ApiStore], model: type[BaseModel]
) -> None:
    made = store(here, Way("t", 1.0))
    ApiStore.prepare(made, RUN)
    calls = [made.call(OP) for _ in range(2)]
    model.model_validate(calls[0].body)
    assert without_token(calls[0]) == without_token(calls[1])
    assert calls[0].token.count(".") == 2  # a JWT


def without_token(call: Call) -> tuple[object, ...]:
    return call.method, call.path, call.body, call.key


def test_the_chain_s_parts_find_each_other(here: Context) -> None:
    """What the service will write of a request is what the checkers look for."""
    made = ChainStore(here, Way("t", 1.0))
    made.prepare(RUN)
    call = made.call(OP)
    asked = Proposal.model_validate(call.body)
    row = document(asked, made.learner(OP).id, call.key, datetime.now(UTC))
    due = plan(row)
    assert due.message is not None
    assert due.intent is not None
    assert due.intent.key == KEY + row["id_session"] == intent_key(row["id_session"])
    assert due.intent.amount == 42


def test_learners_and_teachers_are_different_people(here: Context) -> None:
    made = ChainStore(here, Way("t", 1.0))
    made.prepare(RUN)
    everybody = {one.id for one in (*made.learners, *made.teachers)}
    assert len(everybody) == 2 * made.pairs
    other = ChainStore(here, Way("u", 1.0))
    other.prepare(RUN)
    assert not everybody & {one.id for one in other.learners}


def fits(entity: str, row: Mapping[str, Any]) -> None:
    """As the collection's validator asks: every required field, no other one."""
    fields = {field.name: field for field in BY_NAME[entity].fields}
    assert set(row) - {"_id"} <= set(fields)
    assert {name for name, field in fields.items() if field.required} <= set(row)
    for name, value in row.items():
        if name != "_id" and fields[name].values:
            assert {*(value if isinstance(value, list) else [value])} <= {*fields[name].values}


def test_what_is_written_past_the_api_is_what_the_collections_take(here: Context) -> None:
    fits("UTILISATEUR", people._row(people.person(RUN, "t", 1)))
    fits("COMPETENCE", _taught(RUN, SOME_ID))
    made = ChatStore(here, Way("t", 1.0))
    ApiStore.prepare(made, RUN)
    fits("SESSION", made._session(3))
