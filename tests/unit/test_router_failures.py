"""The table that a drill's ledger depends on: what a failure proves, and what is tried again."""

from collections.abc import Mapping
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo.router.cloak import cloaked
from mongo.router.command import Command
from mongo.router.document import Document
from mongo.router.errors import (
    RESUMABLE_CHANGE_STREAM,
    RETRYABLE_WRITE,
    TRANSIENT_TRANSACTION,
    Code,
)
from mongo.router.failures import (
    DOOR,
    INTERRUPTED,
    MAX_LOST,
    MAX_STALE,
    STALE,
    Attempts,
    Effect,
    Failure,
    Happened,
    Next,
    effect_of,
    error,
    labels,
    refusal,
)
from tests.unit.router_samples import A, command, first_statement, in_transaction, numbered

NOT_SENT = Failure(Happened.NOT_SENT, "nobody")
LOST = Failure(Happened.LOST, "gone")
LATE = Failure(Happened.LATE, "late")
REFUSED = Failure(Happened.REFUSED, "no", Code.NotWritablePrimary)
BEHIND = Failure(Happened.REFUSED, "stale", Code.StaleConfig)
STOPPED = Failure(Happened.REFUSED, "stepped down", Code.InterruptedDueToReplStateChange)
ALL = (NOT_SENT, LOST, LATE, REFUSED, BEHIND, STOPPED)

INSERT = {"insert": "c", "documents": [{"_id": 1}]}


@pytest.mark.parametrize(
    ("checked", "effect"),
    [
        (command({"find": "c"}), Effect.REPEATABLE),
        (command({"listCollections": 1}), Effect.REPEATABLE),
        (command({"aggregate": "c", "pipeline": [], "cursor": {}}), Effect.REPEATABLE),
        (command({"aggregate": "c", "pipeline": [{"$out": "o"}], "cursor": {}}), Effect.BATCH),
        (command(INSERT), Effect.SINGLE),
        (command({"insert": "c"}, documents=[{"_id": 1}]), Effect.SINGLE),
        (command({"insert": "c"}, documents=[{"_id": 1}, {"_id": 2}]), Effect.BATCH),
        (command({"insert": "c", "documents": [{"_id": 1}, {"_id": 2}]}), Effect.BATCH),
        (command({"update": "c"}, updates=[{"q": {}, "u": {}}]), Effect.SINGLE),
        (command({"update": "c"}, updates=[{"q": {}, "u": {}, "multi": True}]), Effect.BATCH),
        (command({"delete": "c"}, deletes=[{"q": {}, "limit": 1}]), Effect.SINGLE),
        (command({"delete": "c"}, deletes=[{"q": {}, "limit": 0}]), Effect.BATCH),
        (command({"findAndModify": "c", "remove": True}), Effect.SINGLE),
        (command({"createIndexes": "c", "indexes": []}), Effect.SINGLE),
        (command({"createUser": "u", "pwd": "p", "roles": []}), Effect.SINGLE),
        (command({"getMore": bson.Int64(1), "collection": "c"}), Effect.BOUND),
        (command({"killCursors": "c", "cursors": []}), Effect.BOUND),
        (numbered(INSERT), Effect.REPEATABLE),
        (numbered({"insert": "c", "documents": [{"_id": 1}, {"_id": 2}]}), Effect.REPEATABLE),
        (first_statement(INSERT), Effect.STATEMENT),
        (in_transaction({"find": "c"}), Effect.STATEMENT),
        (in_transaction({"commitTransaction": 1}, "admin"), Effect.REPEATABLE),
        (in_transaction({"abortTransaction": 1}, "admin"), Effect.REPEATABLE),
    ],
)
def test_what_a_second_time_would_do(checked: Command, effect: Effect) -> None:
    assert effect_of(checked) is effect


R, S, B, T, C = (
    Effect.REPEATABLE,
    Effect.SINGLE,
    Effect.BATCH,
    Effect.STATEMENT,
    Effect.BOUND,
)


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (NOT_SENT, {R, S, B, T}),
        (LOST, {R}),
        (LATE, set()),
        (REFUSED, {R, S}),
        (BEHIND, {R, S, B}),
        (STOPPED, {R}),
    ],
)
def test_what_is_tried_again(failure: Failure, again: set[Effect]) -> None:
    for effect in Effect:
        assert (Attempts(effect).judge(failure) is not Next.REPORT) == (effect in again), effect


def test_fresh_metadata_is_for_stale_metadata() -> None:
    assert Attempts(Effect.SINGLE).judge(BEHIND) is Next.REFRESH
    assert Attempts(Effect.SINGLE).judge(REFUSED) is Next.AGAIN


def test_only_the_first_statement_of_a_transaction_is_routed_anew() -> None:
    assert Attempts(Effect.STATEMENT).judge(BEHIND) is Next.REPORT
    assert Attempts(Effect.STATEMENT, starts_transaction=True).judge(BEHIND) is Next.REFRESH


def test_losses_are_bounded() -> None:
    attempts = Attempts(Effect.REPEATABLE)
    decisions = [attempts.judge(LOST) for _ in range(MAX_LOST)]
    assert decisions == [Next.AGAIN] * (MAX_LOST - 1) + [Next.REPORT]


def test_stale_metadata_is_bounded() -> None:
    attempts = Attempts(Effect.SINGLE)
    decisions = [attempts.judge(BEHIND) for _ in range(MAX_STALE)]
    assert decisions[-1] is Next.REPORT
    assert set(decisions[:-1]) == {Next.REFRESH}


def _run(effect: Effect, failures: list[Failure]) -> Attempts:
    attempts = Attempts(effect)
    for failure in failures:
        if attempts.judge(failure) is Next.REPORT:
            break
    return attempts


@given(st.sampled_from(list(Effect)), st.lists(st.sampled_from(ALL), min_size=1, max_size=15))
def test_not_executed_is_said_only_where_it_is_certain(
    effect: Effect, failures: list[Failure]
) -> None:
    """Whatever happened in whatever order: 133 means that no server has begun to execute it."""
    attempts = _run(effect, failures)
    told = error(command(INSERT), attempts, change_stream=False)
    sent = any(
        each.happened in {Happened.LOST, Happened.LATE} or each.code in INTERRUPTED
        for each in attempts.failures
    )
    assert (told.code == Code.FailedToSatisfyReadPreference) == (not sent and effect is not C)


@pytest.mark.parametrize(
    ("effect", "failures", "stands"),
    [
        (S, [REFUSED], False),  # certainly not executed: 133 says so
        (R, [REFUSED], False),
        (B, [REFUSED], True),
        (T, [REFUSED], True),
        (S, [BEHIND], True),
        (S, [STOPPED], True),
        (R, [LOST, REFUSED], False),
        (R, [LOST, BEHIND], False),
        (R, [LOST, STOPPED], True),
        (R, [STOPPED, BEHIND], False),
        (R, [STOPPED, REFUSED], False),
        (R, [NOT_SENT], False),
        (R, [LATE], False),
    ],
)
def test_whose_words_the_client_gets(effect: Effect, failures: list[Failure], stands: bool) -> None:
    assert Attempts(effect, failures=failures).answer_stands() is stands


@given(st.sampled_from([S, B, T, C]), st.lists(st.sampled_from(ALL), min_size=1, max_size=15))
def test_what_may_have_been_executed_is_never_sent_again(
    effect: Effect, failures: list[Failure]
) -> None:
    attempts = _run(effect, failures)
    for each in attempts.failures[:-1]:
        assert each.happened is Happened.NOT_SENT or each.code in DOOR | STALE


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=40))
def test_unknown_outcomes_do_not_go_on_for_ever(failures: list[Failure]) -> None:
    attempts = _run(Effect.REPEATABLE, failures)
    unknown = [each for each in attempts.failures if each in {LOST, STOPPED}]
    assert len(unknown) <= MAX_LOST


# Answers


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"ok": 1.0, "n": 1}, None),
        ({"ok": 0.0, "code": 10107, "errmsg": "x"}, 10107),
        ({"ok": 0.0, "code": 13435, "errmsg": "x"}, 13435),
        ({"ok": 0.0, "code": 13388, "errmsg": "x"}, 13388),
        ({"ok": 0.0, "code": 249, "errmsg": "x"}, 249),
        ({"ok": 0.0, "code": 11602, "errmsg": "x"}, 11602),
        ({"ok": 0.0, "code": 189, "errmsg": "x"}, 189),
        ({"ok": 0.0, "code": 11000, "errmsg": "x"}, None),
        ({"ok": 0.0, "errmsg": "x"}, None),
        ({"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 13388, "errmsg": "x"}]}, 13388),
        ({"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 249, "errmsg": "x"}]}, 249),
        ({"ok": 1.0, "n": 1, "writeErrors": [{"index": 1, "code": 13388, "errmsg": "x"}]}, None),
        ({"ok": 1.0, "n": 0, "writeErrors": [{"index": 1, "code": 13388, "errmsg": "x"}]}, None),
        ({"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "x"}]}, None),
        (
            {
                "ok": 1.0,
                "n": 0,
                "writeErrors": [
                    {"index": 0, "code": 13388, "errmsg": "x"},
                    {"index": 1, "code": 11000, "errmsg": "x"},
                ],
            },
            None,
        ),
        (
            {
                "ok": 1.0,
                "n": 0,
                "upserted": [{"index": 1, "_id": 1}],
                "writeErrors": [{"index": 0, "code": 13388, "errmsg": "x"}],
            },
            None,
        ),
        ({"ok": 1.0, "n": 1, "writeConcernError": {"code": 11602, "errmsg": "x"}}, None),
    ],
)
def test_refusals_in_answers(answer: Mapping[str, Any], code: int | None) -> None:
    found = refusal(Document(bson.encode(answer)))
    assert (found[0] if found else None) == code


# What drivers are told


@pytest.mark.parametrize(
    ("checked", "code", "change_stream", "wanted"),
    [
        (command(INSERT), Code.HostUnreachable, False, ()),
        (numbered(INSERT), Code.HostUnreachable, False, (RETRYABLE_WRITE,)),
        (numbered(INSERT), Code.NetworkTimeout, False, (RETRYABLE_WRITE,)),
        (numbered(INSERT), Code.FailedToSatisfyReadPreference, False, ()),
        (in_transaction(INSERT), Code.HostUnreachable, False, (TRANSIENT_TRANSACTION,)),
        (
            in_transaction({"commitTransaction": 1}, "admin"),
            Code.HostUnreachable,
            False,
            (RETRYABLE_WRITE,),
        ),
        (
            command({"getMore": bson.Int64(1), "collection": "c"}),
            Code.HostUnreachable,
            True,
            (RESUMABLE_CHANGE_STREAM,),
        ),
        (command({"find": "c"}, A), Code.HostUnreachable, False, ()),
    ],
)
def test_labels(checked: Command, code: Code, change_stream: bool, wanted: tuple[str, ...]) -> None:
    assert labels(checked, code, change_stream=change_stream) == wanted


def test_errors_say_what_is_known() -> None:
    def told(*failures: Failure) -> tuple[int, str]:
        found = error(command(INSERT), _run(Effect.REPEATABLE, [*failures]), change_stream=False)
        return found.code, found.message

    assert told(NOT_SENT) == (133, "not executed: nobody")
    assert told(LOST, NOT_SENT) == (6, "connection lost; the outcome is unknown: nobody")
    assert told(LATE) == (89, "no answer in time; the outcome is unknown: late")


# A shard's state


@pytest.mark.parametrize("code", sorted(DOOR | INTERRUPTED))
def test_a_shards_state_is_not_the_routers(code: int) -> None:
    error_fields = {"code": code, "codeName": "X", "errmsg": "not master: node is recovering"}
    answers: list[dict[str, Any]] = [
        {"ok": 0.0, **error_fields, "errorLabels": ["RetryableWriteError"]},
        {"ok": 1.0, "n": 1, "writeConcernError": error_fields},
        {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, **error_fields}]},
    ]
    for answer in answers:
        told = cloaked(Document(bson.encode(answer))).decoded()
        inner = told.get("writeConcernError") or told.get("writeErrors", [told])[0]
        assert (inner["code"], inner["codeName"]) == (6, "HostUnreachable")
        assert Code(code).name in inner["errmsg"]
        assert "not master" not in inner["errmsg"]
        assert "node is recovering" not in inner["errmsg"]
        assert told.get("errorLabels") == answer.get("errorLabels")


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": 1.0, "n": 1},
        {"ok": 0.0, "code": 11000, "errmsg": "x"},
        {"ok": 0.0, "errmsg": "x"},
        {"ok": 1.0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "x"}]},
        {"ok": 1.0, "writeConcernError": {"code": 64, "errmsg": "x"}},
        {"ok": 1.0, "code": 10107},
    ],
)
def test_other_answers_stay_as_they_are(answer: Mapping[str, Any]) -> None:
    document = Document(bson.encode(answer))
    assert cloaked(document) is document
