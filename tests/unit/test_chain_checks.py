"""The write chain's checkers: literal stores, one exact finding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.evidence import COLLECTED, load_run
from cluster.drill.history import History, empty
from cluster.drill.ledger import op_id
from cluster.drill.measures import Measures
from cluster.drill.outcome import Outcome
from cluster.drill.selftest.genuine import write_genuine
from cluster.drill.timeline import Injection
from cluster.drill.verdict import Finding, Validity, invalid, unknown, valid
from skillswap_ops.service_drills.checks import _under_way, both_changed, in_flight
from skillswap_ops.traffic.chain_checks import (
    CHAINS_FILE,
    Chains,
    Collected,
    IntentRow,
    MessageRow,
    SessionRow,
    chains,
    duplicates,
    lost_messages,
    orphans,
    still_open,
)

S1 = SessionRow(id="s1", op=op_id(1, 0), asked="s1", open=False, message="m1", intent="i1")
S2 = SessionRow(id="s2", op=op_id(1, 1), asked="s2", open=False, message="m2", intent="i2")
M1, M2 = MessageRow(id="m1", session="s1"), MessageRow(id="m2", session="s2")
I1 = IntentRow(id="i1", key="session:s1", amount=1)
I2 = IntentRow(id="i2", key="session:s2", amount=2)
WHOLE = Chains(sessions=(S1, S2), messages=(M1, M2), intents=(I1, I2))


def having(**changes: object) -> Chains:
    return WHOLE.model_copy(update=changes)


def altered(row: SessionRow, **changes: object) -> SessionRow:
    return row.model_copy(update=changes)


def test_whole_chains_have_nothing_wrong() -> None:
    for check in (orphans, duplicates, still_open, lost_messages):
        assert check(WHOLE) == ()


@pytest.mark.parametrize(
    ("found", "orphan"),
    [
        (having(sessions=(S2,), messages=(M2,)), ("intent i1 has no session",)),
        (having(sessions=(S2,), intents=(I2,)), ("message m1 has no session",)),
        (having(intents=(I2,)), ("session s1 has no intent",)),
        (
            having(intents=(I1, IntentRow(id="i2", key="session:s2", amount=3))),
            ("intent i2 is not what its session asked for",),
        ),
        (
            having(intents=(I1, I2, IntentRow(id="i9", key="session:s2", amount=2))),
            ("intent i9 is not what its session asked for",),
        ),
        (
            having(messages=(M1, M2, MessageRow(id="m9", session="s2"))),
            ("message m9 is not the one of its session",),
        ),
    ],
)
def test_an_orphan_is_found(found: Chains, orphan: tuple[str, ...]) -> None:
    assert orphans(found) == orphan


def test_a_session_whose_chain_is_open_may_wait_for_its_intent_and_message() -> None:
    found = having(sessions=(altered(S1, open=True), S2), messages=(M2,), intents=(I2,))
    assert (orphans(found), lost_messages(found)) == ((), ())
    assert still_open(found) == ("session s1",)


def test_a_session_that_asked_for_nothing_lacks_nothing() -> None:
    bare = altered(S1, message="", intent="")
    found = Chains(sessions=(bare,), messages=(), intents=())
    assert (orphans(found), lost_messages(found)) == ((), ())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (having(sessions=(S1, S1, S2)), {"2 sessions of request 1099511627776", "2 sessions s1"}),
        (
            having(sessions=(S1, S2, altered(S1, id="s9"))),
            {
                "2 sessions of request 1099511627776",
                "session s9 is not the one of its request 1099511627776",
            },
        ),
        (having(intents=(I1, I2, I2)), {"2 intents of session s2", "2 intents i2"}),
        (
            having(intents=(I1, I2, IntentRow(id="i9", key="session:s1", amount=1))),
            {"2 intents of session s1"},
        ),
        (having(messages=(M1, M1, M2)), {"2 messages of session s1", "2 messages m1"}),
        (
            having(sessions=(S1, S1, S1, S2)),
            {"3 sessions of request 1099511627776", "3 sessions s1"},
        ),
    ],
)
def test_a_duplicate_is_found(found: Chains, expected: set[str]) -> None:
    assert set(duplicates(found)) == expected


def test_a_lost_message_is_counted_and_is_no_orphan() -> None:
    found = having(messages=(M2,))
    assert (orphans(found), lost_messages(found)) == ((), ("message m1",))


# Over a run's folder

NAME, ELSEWHERE = "promised", "elsewhere"  # of `genuine`: set-a fails over, set-b does not


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    write_genuine(folder)
    (folder / COLLECTED).mkdir()
    return folder


def judged(run: Path, **streams: Chains) -> list[Finding]:
    text = Collected(streams=streams).model_dump_json()
    (run / COLLECTED / CHAINS_FILE).write_text(text)
    return list(chains(Measures(load_run(run))))


def test_a_whole_run_is_valid(run: Path) -> None:
    assert judged(run, promised=WHOLE) == [
        valid("open chains", "all 2 chains are closed", NAME),
        valid("orphans", "none in 2 chains", NAME),
        valid("duplicates", "none in 2 chains", NAME),
        valid("chain messages", "every closed chain has its message", NAME),
    ]


def bad(run: Path, **streams: Chains) -> list[Finding]:
    return [one for one in judged(run, **streams) if one.validity is not Validity.VALID]


def test_each_planted_defect_is_the_one_finding(run: Path) -> None:
    planted = {
        "orphans": having(intents=(I2,)),
        "open chains": having(sessions=(altered(S1, open=True), S2)),
        "duplicates": having(sessions=(S1, S1, S2)),
        "chain messages": having(messages=(M1,)),
    }
    for check, found in planted.items():
        [finding] = bad(run, promised=found)
        assert (finding.check, finding.validity) == (check, Validity.INVALID)
        assert finding.subject == NAME


@pytest.mark.parametrize("stream", [NAME, ELSEWHERE])
def test_a_closed_chain_without_its_message_is_invalid_failover_or_not(
    run: Path, stream: str
) -> None:
    """`genuine` saw set-a fail over: a chain is closed only when a majority has its message."""
    assert bad(run, **{stream: having(messages=(M2,))}) == [
        invalid("chain messages", "1: message m1", stream)
    ]


def test_what_was_not_read_is_unknown(run: Path) -> None:
    measures = Measures(load_run(run))
    assert list(chains(measures)) == [unknown("chains", "what the stores hold was not collected")]
    assert judged(run) == [unknown("chains", "no chain was read back")]
    nothing = Chains(sessions=(), messages=(), intents=())
    assert judged(run, promised=nothing) == [unknown("chains", "no chain is in the stores", NAME)]


def test_only_three_are_named(run: Path) -> None:
    rows = tuple(
        altered(S1, id=f"s{n}", asked=f"s{n}", op=op_id(1, n), intent="", message="", open=True)
        for n in range(4)
    )
    [finding] = bad(run, promised=Chains(sessions=rows, messages=(), intents=()))
    assert finding.message == "4: session s0, session s1, session s2, …"
    [finding] = bad(run, promised=Chains(sessions=rows[:3], messages=(), intents=()))
    assert finding.message == "3: session s0, session s1, session s2"


# In flight

KILL = Injection(
    "e", "SIGKILL sessions-1", began_ns=100, at_ns=200, proof="", undoing_ns=None, undone_ns=None
)


def history(*rows: tuple[int, int, Outcome]) -> History:
    made = empty(1, len(rows))
    return replace(
        made,
        sent=np.array([row[0] for row in rows], np.int64),
        done=np.array([row[1] for row in rows], np.int64),
        outcome=np.array([row[2] for row in rows], np.uint8),
    )


@pytest.mark.parametrize(
    ("sent", "done", "under_way"),
    [
        (50, 99, False),  # over before the kill began
        (50, 100, True),
        (200, 300, True),  # sent in the moment of the proof
        (201, 300, False),  # it was known to be dead
    ],
)
def test_under_way(sent: int, done: int, under_way: bool) -> None:
    assert _under_way(history((sent, done, Outcome.UNKNOWN)), (KILL,)).tolist() == [under_way]


def test_what_fails_after_a_kill_is_not_excused(run: Path) -> None:
    """`genuine` fails long after its fault, which no client of an instance should feel."""
    found = {one.subject: one for one in in_flight(Measures(load_run(run)))}
    # 50 fail; the first was sent in the moment of the proof.
    text = "49 operations failed that no killed instance had"
    assert found[NAME] == invalid("in flight", text, NAME)
    text = "0 failed, all under way at a kill"
    assert found[ELSEWHERE] == valid("in flight", text, ELSEWHERE)


def test_a_group_that_did_not_fail_over_leaves_the_question_open(run: Path) -> None:
    assert list(both_changed(Measures(load_run(run)))) == [
        unknown("both failed over", "no other leader was seen", "set-b")
    ]
