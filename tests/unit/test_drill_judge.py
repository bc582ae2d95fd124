"""From a run's folder to its verdict: what is planted must be found, and nothing else."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.drill.contracts import Availability, Effect, Promise
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Converged,
    Happening,
    Interrupted,
    Note,
    Overload,
    ReasonSeen,
    Stall,
    Trouble,
    Unmet,
)
from cluster.drill.evidence import CONFIG, LEDGER, load_run
from cluster.drill.judge import recheck
from cluster.drill.ledger import HEADER_BYTES, op_id
from cluster.drill.measures import Measures
from cluster.drill.outcome import Outcome
from cluster.drill.report import as_json
from cluster.drill.runner import conclude
from cluster.drill.verdict import (
    Conclusion,
    Finding,
    Validity,
    invalid,
    unknown,
    valid,
)
from cluster.drill.verdict import (
    conclude as combine,
)
from cluster.errors import InconclusiveError, InvalidInputError
from tests.unit.drill_samples import (
    BACK,
    BEGAN,
    ELECTED,
    FAULT,
    RATE,
    MadeUp,
    Op,
    ns,
    observed,
    sample,
    served,
)

FIRST = op_id(1, 0)


def bad(made_up: MadeUp, folder: Path) -> list[tuple[Validity, str, str]]:
    verdict = recheck(made_up.write(folder / "run"))
    return [
        (finding.validity, finding.check, finding.message)
        for finding in verdict.findings
        if finding.validity is not Validity.VALID
    ]


def test_a_clean_run_passes(tmp_path: Path) -> None:
    verdict = recheck(MadeUp().write(tmp_path / "run"))
    assert verdict.conclusion is Conclusion.PASS
    assert verdict.exit_code == 0
    assert verdict.reasons == ()
    assert [(finding.check, finding.message) for finding in verdict.findings] == [
        ("ledger", "600 operations, every record whole"),
        ("fault", "SIGKILL a1: pid 7 is gone"),
        ("effect", "another leader in a higher epoch"),
        ("baseline", "50 of 50 operations acknowledged just before the fault"),
        ("loss", "none of 550 acknowledged writes lost"),
        ("strangers", "no phantom, duplicate or resurrected write; 0 unknown were kept"),
        ("RTO", "restored 5.0 s after the fault (promised 30 s)"),
        ("split brain", "never more than one leader"),
        ("harness", "never stood still for more than 1 s"),
        ("settings", "1 effective settings did not change"),
        ("convergence", "the cluster is whole again"),
    ]


def drop(*sequences: int) -> Callable[[list[int]], Iterable[int]]:
    return lambda stored: [op for op in stored if op - FIRST not in sequences]


def add(*ops: int) -> Callable[[list[int]], Iterable[int]]:
    return lambda stored: [*stored, *ops]


def failed_at_30(due: float) -> Op:
    return Op(due, Outcome.FAILED) if due == 30 else served(due)


def slow_after(due: float) -> Op:
    return Op(due, done=due + 1.2) if due >= FAULT else served(due)


def mostly_failing(due: float) -> Op:
    """Two of three from 30 to 38."""
    fails = 30 <= due < 38 and round(due * RATE) % 3
    return Op(due, Outcome.FAILED) if fails else Op(due)


def now_and_then_late(due: float) -> Op:
    """One of ten from 30 to 50, as on a machine that others load."""
    late = 30 <= due < 50 and round(due * RATE) % 10 == 0
    return Op(due, done=due + 1.2) if late else Op(due)


def test_an_untouched_stream_may_be_late_now_and_then(tmp_path: Path) -> None:
    promise = Promise(Availability.UNTOUCHED, rto=2)
    verdict = recheck(MadeUp(promise=promise, op=now_and_then_late).write(tmp_path / "run"))
    assert verdict.reasons == ()
    assert recheck(
        MadeUp(promise=Promise(rto=8), op=now_and_then_late).write(tmp_path / "other")
    ).reasons == ("majority: down for 18.1 s, allowed 8 s",)


def failed_thrice(due: float) -> Op:
    return Op(due, Outcome.FAILED) if 30 <= due <= 30.2 else Op(due)


FLAWLESS = Promise(rto=30, flawless=True)
NOT_MASTER = (30.0, ReasonSeen(code=1, text="NotWritablePrimary"))


PLANTED: dict[str, tuple[MadeUp, Validity, str, str]] = {
    "lost": (
        MadeUp(read=drop(150, 151, 199)),
        Validity.INVALID,
        "loss",
        "3 acknowledged writes lost, over 5.0 s"
        f" ({op_id(1, 150)}, {op_id(1, 151)}, {op_id(1, 199)}), promised none",
    ),
    "duplicate": (
        MadeUp(read=add(op_id(1, 150))),
        Validity.INVALID,
        "duplicate",
        f"1 writes applied more than once ({op_id(1, 150)})",
    ),
    "phantom": (
        MadeUp(read=add(op_id(1, 5000))),
        Validity.INVALID,
        "phantom",
        f"1 writes read that were never attempted ({op_id(1, 5000)})",
    ),
    "resurrected": (
        MadeUp(op=failed_at_30, read=add(op_id(1, 300))),
        Validity.INVALID,
        "resurrected",
        f"1 writes read although they provably did not execute ({op_id(1, 300)})",
    ),
    "two primaries": (
        MadeUp(samples=[*observed(), *(sample(a, "a1", "a2", epoch=2) for a in (26, 26.1))]),
        Validity.INVALID,
        "split brain",
        "a1 and a2 led at once, 6.0 s after the fault",
    ),
    "two primaries seen once": (
        MadeUp(samples=[*observed(), sample(26, "a1", "a2", epoch=2)]),
        Validity.UNKNOWN,
        "split brain",
        "a1 and a2 seen to lead in one sample, 6.0 s after the fault, and not in the next",
    ),
    "too late": (
        MadeUp(promise=Promise(rto=4)),
        Validity.INVALID,
        "RTO",
        "restored 5.0 s after the fault, promised 4 s",
    ),
    "never restored": (
        MadeUp(op=lambda due: Op(due, Outcome.FAILED) if due >= FAULT else Op(due)),
        Validity.UNKNOWN,
        "RTO",
        "not restored when the load ended, 40.0 s after the fault",
    ),
    "never restored in a load that was long enough": (
        MadeUp(
            op=lambda due: Op(due, Outcome.FAILED) if due >= FAULT else Op(due),
            promise=Promise(rto=29),
        ),
        Validity.INVALID,
        "RTO",
        "not restored within 29 s",
    ),
    "late answers are no service": (
        MadeUp(op=slow_after, promise=Promise(rto=29)),
        Validity.INVALID,
        "RTO",
        "not restored within 29 s",
    ),
    "down again for longer than promised": (
        MadeUp(
            op=lambda due: Op(due, Outcome.FAILED) if 36 <= due < 46 else served(due),
            promise=Promise(rto=8),
        ),
        Validity.INVALID,
        "outage",
        "down for 10.0 s, allowed 8 s",
    ),
    "down again at the end": (
        MadeUp(op=lambda due: Op(due, Outcome.FAILED) if due >= 57 else served(due)),
        Validity.UNKNOWN,
        "outage",
        "down again when the load ended",
    ),
    "an outage where there should be none": (
        MadeUp(promise=Promise(Availability.UNTOUCHED, rto=2)),
        Validity.INVALID,
        "outage",
        "down for 5.0 s, allowed 2 s",
    ),
    "most of an untouched stream fails for long": (
        MadeUp(promise=Promise(Availability.UNTOUCHED, rto=6), op=mostly_failing),
        Validity.INVALID,
        "outage",
        "down for 7.1 s, allowed 6 s",
    ),
    "acks that should have been refused": (
        MadeUp(promise=Promise(Availability.REFUSED)),
        Validity.INVALID,
        "refusal",
        "140 writes acknowledged while the fault was in place",
    ),
    "a slow election": (
        MadeUp(promise=Promise(rto=30, election=3)),
        Validity.INVALID,
        "election",
        "4.0 s, promised 3 s",
    ),
    "nothing read": (
        MadeUp(read=lambda _: []),
        Validity.UNKNOWN,
        "loss",
        "nothing was read back",
    ),
    "not read": (MadeUp(read=None), Validity.UNKNOWN, "loss", "not read back"),
    "too few acks before": (
        MadeUp(op=lambda due: Op(due, Outcome.UNKNOWN) if 13 <= due < 18.8 else served(due)),
        Validity.UNKNOWN,
        "baseline",
        "only 1 of 50 operations acknowledged just before the fault",
    ),
    "a control that lost nothing": (
        MadeUp(promise=Promise(rto=30, rpo=300, must_lose=True)),
        Validity.INVALID,
        "loss",
        "a control that lost none of 550 acknowledged",
    ),
    "a fault without effect": (
        MadeUp(samples=observed()[:2]),
        Validity.UNKNOWN,
        "effect",
        "the fault did not have its effect: no other leader than a1 was seen in a higher epoch",
    ),
    "a leader that should have stayed": (
        MadeUp(effect=Effect.SAME_LEADER),
        Validity.UNKNOWN,
        "effect",
        "the fault did not have its effect: a2 led in epoch 2, where the leader should have stayed",
    ),
    "settings that changed": (
        MadeUp(settings=({"w": "majority"}, {"w": "1"})),
        Validity.UNKNOWN,
        "settings",
        "w was majority, during the fault 1",
    ),
    "a cluster that does not converge": (
        MadeUp(converged=Converged(missing="a1 is not a secondary")),
        Validity.INVALID,
        "convergence",
        "not whole 180 s after the undo: a1 is not a secondary",
    ),
    "a stall": (
        MadeUp(more=[(33, Stall(source="ticker", seconds=1.4))]),
        Validity.UNKNOWN,
        "harness",
        "stood still for 1.4 s (ticker)",
    ),
    "an error where there should be none": (
        MadeUp(promise=FLAWLESS, op=failed_thrice, more=[NOT_MASTER]),
        Validity.INVALID,
        "errors",
        "3 of 600 operations not acknowledged: NotWritablePrimary (3);"
        " the driver tried again 0 times",
    ),
    "one operation that was not sent where none may be missing": (
        MadeUp(promise=FLAWLESS, op=lambda due: Op(due, Outcome.UNSENT) if due == 3 else Op(due)),
        Validity.INVALID,
        "errors",
        "1 of 600 operations not acknowledged: reason 1 (1); the driver tried again 0 times",
    ),
    "an outcome that was never written down where no error may be": (
        MadeUp(promise=FLAWLESS, op=lambda due: Op(due, None) if due == 3 else Op(due)),
        Validity.UNKNOWN,
        "errors",
        "1 of 600 operations were not sent, or not written down: the harness's own doing",
    ),
    "an interruption": (
        MadeUp(more=[(33, Interrupted(by="SIGTERM"))]),
        Validity.UNKNOWN,
        "course",
        "interrupted by SIGTERM",
    ),
    "trouble": (
        MadeUp(more=[(33, Trouble(what="a1 does not answer"))]),
        Validity.UNKNOWN,
        "course",
        "a1 does not answer",
    ),
    "cut off": (
        MadeUp(stopped=False),
        Validity.UNKNOWN,
        "course",
        "the run was cut off: its load was never stopped",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_and_nothing_else(tmp_path: Path, name: str) -> None:
    made_up, *finding = PLANTED[name]
    assert bad(made_up, tmp_path) == [tuple(finding)]


@pytest.mark.parametrize("name", PLANTED)
def test_invalid_is_a_fail_and_unknown_inconclusive(tmp_path: Path, name: str) -> None:
    made_up, validity, _, message = PLANTED[name]
    verdict = recheck(made_up.write(tmp_path / "run"))
    fail = validity is Validity.INVALID
    assert verdict.conclusion is (Conclusion.FAIL if fail else Conclusion.INCONCLUSIVE)
    assert verdict.exit_code == (1 if fail else 3)
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].endswith(message)


def test_a_stall_excuses_time_but_never_a_loss(tmp_path: Path) -> None:
    stall = [(22.0, Stall(source="ledger", seconds=2.0))]
    promise = Promise(rto=4, election=3)
    assert bad(MadeUp(promise=promise, more=stall, read=drop(150)), tmp_path) == [
        (
            Validity.INVALID,
            "loss",
            f"1 acknowledged writes lost, over 5.0 s ({op_id(1, 150)}), promised none",
        ),
        (
            Validity.UNKNOWN,
            "RTO",
            "restored 5.0 s after the fault, promised 4 s; but the harness stalled",
        ),
        (Validity.UNKNOWN, "election", "4.0 s, but the harness stalled"),
        (Validity.UNKNOWN, "harness", "stood still for 2.0 s (ledger)"),
    ]


def test_an_overloaded_machine_excuses_time_but_never_a_loss(tmp_path: Path) -> None:
    overload = [(22.0, Overload(share=0.94, seconds=5.0))]
    promise = Promise(rto=4, election=3)
    doubt = "but this machine was overloaded (up to 94% of the time)"
    assert bad(MadeUp(promise=promise, more=overload, read=drop(150)), tmp_path) == [
        (
            Validity.INVALID,
            "loss",
            f"1 acknowledged writes lost, over 5.0 s ({op_id(1, 150)}), promised none",
        ),
        (Validity.UNKNOWN, "RTO", f"restored 5.0 s after the fault, promised 4 s; {doubt}"),
        (Validity.UNKNOWN, "election", f"4.0 s, {doubt}"),
    ]
    assert bad(MadeUp(more=overload), tmp_path / "kept") == []


def test_short_stalls_do_not_matter(tmp_path: Path) -> None:
    assert bad(MadeUp(more=[(22.0, Stall(source="ticker", seconds=0.9))]), tmp_path) == []


@pytest.mark.parametrize(
    ("promise", "validity", "message"),
    [
        (Promise(rpo=300), Validity.VALID, "promised at most 300 s"),
        (Promise(rpo=4.9), Validity.INVALID, "promised at most 4.9 s"),
        (Promise(rpo=5.1, must_lose=True), Validity.VALID, "promised at most 5.1 s"),
        (Promise(rpo=4.9, must_lose=True), Validity.INVALID, "promised at most 4.9 s"),
        (Promise(must_lose=True), Validity.VALID, "as a control must"),
        (Promise(), Validity.INVALID, "promised none"),
    ],
)
def test_a_loss_is_held_against_its_rpo(
    tmp_path: Path, promise: Promise, validity: Validity, message: str
) -> None:
    made_up = MadeUp(promise=promise, read=drop(150, 180))
    verdict = recheck(made_up.write(tmp_path / "run"))
    (finding,) = [finding for finding in verdict.findings if finding.check == "loss"]
    assert finding.validity is validity
    assert finding.message.endswith(message)


def errors(folder: Path) -> list[tuple[Validity, str]]:
    verdict = recheck(folder)
    return [(f.validity, f.message) for f in verdict.findings if f.check == "errors"]


def test_a_flawless_stream_says_how_often_the_driver_tried_again(tmp_path: Path) -> None:
    folder = MadeUp(promise=FLAWLESS, op=lambda due: Op(due, retries=int(due == 3) * 2)).write(
        tmp_path / "run"
    )
    assert errors(folder) == [
        (Validity.VALID, "none in 600 operations; the driver tried again 2 times")
    ]


def test_only_a_promise_makes_an_error_a_finding(tmp_path: Path) -> None:
    assert errors(MadeUp().write(tmp_path / "run")) == []


def test_the_most_frequent_errors_are_named_first(tmp_path: Path) -> None:
    def op(due: float) -> Op:
        many = {3.0: 1, 4.0: 2, 4.1: 2, 5.0: 3, 6.0: 4, 6.1: 4, 6.2: 4}
        return Op(due, Outcome.UNKNOWN, reason=many[due]) if due in many else Op(due)

    texts = [(0.0, ReasonSeen(code=code, text=f"error {code}")) for code in (1, 2, 3, 4)]
    folder = MadeUp(promise=FLAWLESS, op=op, more=texts).write(tmp_path / "run")
    assert errors(folder) == [
        (
            Validity.INVALID,
            "7 of 600 operations not acknowledged: error 4 (3), error 2 (2), error 1 (1), …;"
            " the driver tried again 0 times",
        )
    ]


def test_a_stall_excuses_what_was_not_sent_and_nothing_else(tmp_path: Path) -> None:
    stall = [(22.0, Stall(source="ticker", seconds=2.0))]

    def unsent(due: float) -> Op:
        return Op(due, Outcome.UNSENT) if 20 <= due < 22 else Op(due)

    def and_one_failed(due: float) -> Op:
        return Op(due, Outcome.FAILED) if due == 23 else unsent(due)

    excused = MadeUp(promise=FLAWLESS, op=unsent, more=stall).write(tmp_path / "run")
    assert [validity for validity, _ in errors(excused)] == [Validity.UNKNOWN]
    broken = MadeUp(promise=FLAWLESS, op=and_one_failed, more=stall).write(tmp_path / "other")
    assert [validity for validity, _ in errors(broken)] == [Validity.INVALID]


def unprotected_from(at: float) -> list:
    before = replace(observed()[0], observation=replace(observed()[0].observation, protected=True))
    return [before, sample(at, "a1", epoch=1, protected=False), *observed()[1:]]


def test_a_loss_without_a_standby_is_not_promised_but_not_a_pass(tmp_path: Path) -> None:
    made_up = MadeUp(samples=unprotected_from(14.5), read=drop(150))
    assert bad(made_up, tmp_path) == [
        (
            Validity.UNKNOWN,
            "loss",
            f"1 acknowledged writes lost, over 5.0 s ({op_id(1, 150)}),"
            " all while no synchronous standby was attached: not promised",
        )
    ]


def test_one_protected_loss_among_unprotected_ones_is_a_fail(tmp_path: Path) -> None:
    made_up = MadeUp(samples=unprotected_from(14.5), read=drop(100, 150))
    assert [(row[0], row[1]) for row in bad(made_up, tmp_path)] == [(Validity.INVALID, "loss")]


def test_unmet_preconditions_break_nothing_and_say_so(tmp_path: Path) -> None:
    folder = MadeUp().write(tmp_path / "run")
    (folder / "events.jsonl").unlink()
    (folder / LEDGER).unlink()
    (folder / "read-back-1.npy").unlink()
    log: list[tuple[float, Happening]] = [(0, Unmet(precondition="two leaders"))]
    rewrite_events(folder, log)
    verdict = recheck(folder)
    assert [finding.message for finding in verdict.findings] == [
        "two leaders",
        "no fault was proved to have hit",
    ]
    assert verdict.exit_code == 3


def rewrite_events(folder: Path, events: list[tuple[float, Happening]]) -> None:
    log = EventLog(folder / "events.jsonl", lambda: ns(0), BEGAN, lambda _: None)
    for at, what in events:
        log.add(what, ns(at))
    log.close()


def test_a_fault_that_was_not_undone_is_exit_code_4(tmp_path: Path) -> None:
    verdict = recheck(MadeUp(undone=False).write(tmp_path / "run"))
    assert verdict.not_undone == ("SIGKILL a1",)
    assert verdict.exit_code == 4
    failed = MadeUp(undone=False, read=drop(150)).write(tmp_path / "failed")
    assert recheck(failed).conclusion is Conclusion.FAIL
    assert recheck(failed).exit_code == 4


def test_restored_after_undo_counts_from_the_undo(tmp_path: Path) -> None:
    made_up = MadeUp(
        op=lambda due: Op(due, Outcome.FAILED) if FAULT <= due < 43 else Op(due),
        promise=Promise(Availability.RESTORED_AFTER_UNDO, rto=4, refuses=True),
        effect=Effect.ANY,
    )
    summary = conclude(made_up.write(tmp_path / "run"))
    assert summary.conclusion is Conclusion.PASS
    assert summary.streams[0].after_undo
    assert summary.streams[0].sustained == pytest.approx(2.5, abs=0.51)


def test_a_late_outage_counts_up_to_its_end(tmp_path: Path) -> None:
    """The lease ran out 12 s after the fault; only then was the service down."""
    made_up = MadeUp(
        op=lambda due: Op(due, Outcome.FAILED) if 32 <= due < 37 else Op(due),
        samples=[observed()[0], sample(34, "a2", epoch=2)],
        promise=Promise(rto=16),
    )
    summary = conclude(made_up.write(tmp_path / "run"))
    assert summary.stamps.elected == 14
    assert summary.stamps.sustained == pytest.approx(17)
    assert summary.reasons == ("majority: restored 17.0 s after the fault, promised 16 s",)


def test_a_damaged_ledger_decides_nothing(tmp_path: Path) -> None:
    folder = MadeUp().write(tmp_path / "run")
    broken = bytearray((folder / LEDGER).read_bytes())
    broken[HEADER_BYTES + 100] ^= 1
    (folder / LEDGER).write_bytes(broken)
    summary = conclude(folder)
    assert summary.reasons == ("record 3 is damaged",)
    assert summary.streams[0].compared is None


def test_a_torn_ledger_after_a_clean_stop_is_suspect(tmp_path: Path) -> None:
    folder = MadeUp().write(tmp_path / "run")
    with (folder / LEDGER).open("ab") as file:
        file.write(b"\0" * 7)
    assert recheck(folder).reasons == ("torn at its end (7 bytes) after a clean stop",)


def test_a_crashing_checker_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("cluster.drill.measures.sets.compare", crash)
    assert bad(MadeUp(), tmp_path) == [
        (Validity.UNKNOWN, "loss", "the checker failed: ZeroDivisionError: oops"),
        (Validity.UNKNOWN, "strangers", "the checker failed: ZeroDivisionError: oops"),
    ]


def test_an_engines_own_checkers_are_called_by_name(tmp_path: Path) -> None:
    folder = MadeUp(checks=("rollback", "strange")).write(tmp_path / "run")

    def rollback(measures: Measures) -> Iterable[Finding]:
        yield invalid("rollback", f"not explained: {measures.run.folder.name}")

    verdict = recheck(folder, {"rollback": rollback})
    assert verdict.findings[-2:] == (
        invalid("rollback", "not explained: run"),
        unknown("strange", "this checker is not known here"),
    )


def test_how_findings_combine() -> None:
    good, unsure, broken = valid("a", "x"), unknown("b", "y"), invalid("c", "z", "s")
    assert combine([]).conclusion is Conclusion.INCONCLUSIVE
    assert combine([good]).conclusion is Conclusion.PASS
    assert combine([good, unsure]).conclusion is Conclusion.INCONCLUSIVE
    assert combine([broken, unsure, good]).conclusion is Conclusion.FAIL
    assert combine([broken, unsure, good]).reasons == ("s: z",)
    assert combine([good], ["f"]).exit_code == 4


def test_the_summary(tmp_path: Path) -> None:
    made_up = MadeUp(
        op=lambda due: Op(due, Outcome.FAILED) if due == 21 else served(due),
        more=[(30.0, Note(text="a note"))],
    )
    summary = conclude(made_up.write(tmp_path / "run"))
    stream = summary.streams[0]
    assert (stream.intended, stream.acked, stream.failed, stream.unknown) == (600, 550, 1, 49)
    assert stream.compared
    assert (stream.compared.read, stream.compared.lost, stream.compared.rpo) == (550, 0, 0)
    assert summary.stamps.detected == 1
    assert summary.stamps.elected == ELECTED - FAULT
    assert summary.stamps.first_success == pytest.approx(BACK - FAULT + 0.01)
    assert summary.stamps.sustained == pytest.approx(BACK - FAULT + 0.01)  # a client's first answer
    assert [(down.since, down.until) for down in stream.outages] == [(0, 5)]
    assert stream.latency_before
    assert stream.latency_before.median == pytest.approx(0.01)
    assert stream.errors == (("reason 1", 50),)
    assert summary.notes == ("a note",)
    told = json.loads(as_json(summary))
    assert told["conclusion"] == "pass"
    assert told["streams"][0]["compared"]["lost"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1}', "run: Field required"),
        ("", "Invalid JSON"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match="no drill run"):
        load_run(tmp_path)
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load_run(tmp_path)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    folder = MadeUp().write(tmp_path / "run")
    config = json.loads((folder / CONFIG).read_text()) | {"format": 2}
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(InvalidInputError, match="format 2 is not known here"):
        load_run(folder)


def test_a_broken_read_back_is_inconclusive(tmp_path: Path) -> None:
    folder = MadeUp().write(tmp_path / "run")
    (folder / "read-back-1.npy").write_bytes(b"torn")
    with pytest.raises(InconclusiveError, match=r"read-back-1\.npy cannot be read"):
        load_run(folder)


# Borders: a promise that is met exactly is met


def failing(since: float, until: float) -> Callable[[float], Op]:
    return lambda due: Op(due, Outcome.FAILED) if since <= due < until else served(due)


BORDERS: dict[str, tuple[MadeUp, str]] = {
    "half of the operations before the fault": (MadeUp(op=failing(13, 16.4)), ""),
    "less than half of them": (
        MadeUp(op=failing(13, 16.5)),
        "majority: only 24 of 50 operations acknowledged just before the fault",
    ),
    "an election as long as promised": (MadeUp(promise=Promise(rto=30, election=4)), ""),
    "one that is longer": (
        MadeUp(promise=Promise(rto=30, election=3.99)),
        "shard-a: 4.0 s, promised 3.99 s",
    ),
    "service restored when promised": (MadeUp(promise=Promise(rto=5.01)), ""),
    "restored later": (
        MadeUp(promise=Promise(rto=5.009)),
        "majority: restored 5.0 s after the fault, promised 5.009 s",
    ),
    "an outage as long as allowed": (MadeUp(promise=Promise(Availability.UNTOUCHED, rto=5)), ""),
    "a stall as long as allowed": (MadeUp(more=[(33, Stall(source="ticker", seconds=1.0))]), ""),
    "a longer stall": (
        MadeUp(more=[(33, Stall(source="ticker", seconds=1.01))]),
        "stood still for 1.0 s (ticker)",
    ),
    "settings that differ after the fault alone": (
        MadeUp(settings=({"w": "majority"}, {"w": "majority"}, {"w": "1"})),
        "",
    ),
}


@pytest.mark.parametrize("name", BORDERS)
def test_borders(tmp_path: Path, name: str) -> None:
    made_up, reason = BORDERS[name]
    assert recheck(made_up.write(tmp_path / "run")).reasons == ((reason,) if reason else ())


@pytest.mark.parametrize(("rpo", "validity"), [(4.99, Validity.VALID), (4.98, Validity.INVALID)])
def test_a_loss_over_as_many_seconds_as_promised(
    tmp_path: Path, rpo: float, validity: Validity
) -> None:
    """The oldest lost one was acknowledged at 15.01 s, the fault came at 20 s."""
    verdict = recheck(MadeUp(promise=Promise(rpo=rpo), read=drop(150)).write(tmp_path / "run"))
    assert [f.validity for f in verdict.findings if f.check == "loss"] == [validity]


@pytest.mark.parametrize("promised", [(3, 9), (9, 3), (None, 3)])
def test_the_shortest_promise_of_an_election_counts(
    tmp_path: Path, promised: tuple[float | None, float]
) -> None:
    folder = MadeUp().write(tmp_path / "run")
    config = json.loads((folder / CONFIG).read_text())
    [stream] = config["streams"]
    config["streams"] = [
        stream | {"number": number, "promise": stream["promise"] | {"election": election}}
        for number, election in enumerate(promised, start=1)
    ]
    (folder / CONFIG).write_text(json.dumps(config))
    elections = [f.message for f in recheck(folder).findings if f.check == "election"]
    assert elections == ["4.0 s, promised 3 s"]


def test_only_what_has_no_outcome_is_unrecorded(tmp_path: Path) -> None:
    """Not what ended as unknown, and not what was never sent."""

    def op(due: float) -> Op:
        ends = {3.0: None, 4.0: Outcome.UNKNOWN, 5.0: Outcome.UNSENT, 6.0: Outcome.FAILED}
        return Op(due, ends.get(due, Outcome.ACKED))

    measures = Measures(load_run(MadeUp(op=op).write(tmp_path / "run")))
    assert [stream.unrecorded for stream in measures.streams] == [1]
