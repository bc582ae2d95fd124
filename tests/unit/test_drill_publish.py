"""What a run leaves for people and other tools: right, whole, safe, computed from its folder."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cluster.drill.contracts import Prediction, Promise, Range
from cluster.drill.events import (
    Interrupted,
    Phase,
    PhaseBegan,
    Trouble,
    UndoFailed,
    Unmet,
    Versions,
)
from cluster.drill.evidence import (
    CONFIG,
    JOURNAL,
    JUNIT,
    LEDGER,
    METRICS,
    REPORT,
    RunConfig,
    write_config,
    write_read_back,
)
from cluster.drill.ledger import LedgerWriter, op_id
from cluster.drill.outcome import Outcome
from cluster.drill.publish.folder import WRITERS, publish
from cluster.drill.publish.page import view
from cluster.drill.publish.series import Span, bins
from cluster.drill.runner import conclude, conclude_whole
from cluster.drill.verdict import Conclusion
from tests.unit.drill_samples import FAULT, UNDO, MadeUp, Op, ns, sample

NAMES = {JOURNAL, JUNIT, METRICS, REPORT}


VERSIONS = Versions(versions={"mongod": "6.0.5"})


def phases() -> list[tuple[float, PhaseBegan]]:
    begins = {Phase.PREFLIGHT: -3.0, Phase.BASELINE: 0.0, Phase.FAULT: FAULT - 0.2, Phase.END: 61.0}
    return [(at, PhaseBegan(phase=phase)) for phase, at in begins.items()]


def made(tmp_path: Path, run: MadeUp | None = None) -> Path:
    run = run or MadeUp()
    run = replace(run, more=[*run.more, *phases(), (-2.0, VERSIONS)])
    return run.write(tmp_path / "runs" / "20260301T120000Z-mongo-primary-kill-0123abcd")


def change_config(folder: Path, **fields: object) -> None:
    config = RunConfig.model_validate_json((folder / CONFIG).read_bytes())
    write_config(folder, config.model_copy(update=fields))


def published(folder: Path) -> dict[str, str]:
    assert publish(conclude_whole(folder)) == ()
    return {name: (folder / name).read_text("utf-8") for name in NAMES}


def lossy(ids: list[int]) -> Iterable[int]:
    return [op for op in ids if op not in {op_id(1, 150), op_id(1, 151)}]


def test_everything_can_be_computed_again_from_the_folder(tmp_path: Path) -> None:
    folder = made(tmp_path)
    first = published(folder)
    copy = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, copy)
    for name in NAMES:
        (copy / name).unlink()
    again = published(copy)
    assert again[JOURNAL].replace(str(copy), str(folder)) == first[JOURNAL]
    assert {name: again[name] for name in NAMES - {JOURNAL}} == {
        name: first[name] for name in NAMES - {JOURNAL}
    }


def test_a_report_that_cannot_be_written_is_a_note_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("no")

    monkeypatch.setitem(WRITERS, JUNIT, broken)  # type: ignore[arg-type]
    folder = made(tmp_path)
    assert publish(conclude_whole(folder)) == ("junit.xml not written: ZeroDivisionError: no",)
    assert {path.name for path in folder.iterdir()} >= NAMES - {JUNIT}
    assert conclude(folder).conclusion is Conclusion.PASS


# Chaos Toolkit's journal


def journal(folder: Path) -> Any:
    return json.loads(published(folder)[JOURNAL])


def test_the_journal_has_chaos_toolkits_keys_and_ours_under_one_more(tmp_path: Path) -> None:
    found = journal(made(tmp_path))
    assert set(found) == {
        "chaoslib-version", "platform", "node", "experiment", "start", "status", "deviated",
        "steady_states", "run", "rollbacks", "end", "duration", "skillswap-ops",
    }  # fmt: skip
    assert (found["status"], found["deviated"]) == ("completed", False)
    [action] = found["run"]
    assert action["activity"]["name"] == "SIGKILL a1"
    assert action["activity"]["provider"]["arguments"] == {"kind": "start", "targets": ["a1"]}
    assert (action["status"], action["output"]) == ("succeeded", "pid 7 is gone")
    assert action["start"] == "2026-03-01T12:00:19.900000"
    assert action["duration"] == pytest.approx(0.1)
    [rollback] = found["rollbacks"]
    assert (rollback["status"], rollback["duration"]) == ("succeeded", 1.0)
    assert found["end"] == "2026-03-01T12:01:01"
    assert found["duration"] == 61.0
    assert found["steady_states"]["after"]["steady_state_met"] is True
    assert found["skillswap-ops"]["conclusion"] == "pass"


@pytest.mark.parametrize(
    ("run", "status", "deviated"),
    [
        (MadeUp(read=lossy), "failed", True),
        (MadeUp(more=[(30.0, Interrupted(by="SIGINT"))]), "interrupted", False),
        (MadeUp(more=[(-1.0, Unmet(precondition="a2 is down"))]), "failed", False),
        (MadeUp(more=[(30.0, Trouble(what="the disk is full"))]), "aborted", False),
    ],
)
def test_the_journals_status_is_one_that_chaos_toolkit_knows(
    tmp_path: Path, run: MadeUp, status: str, deviated: bool
) -> None:
    found = journal(made(tmp_path, run))
    assert (found["status"], found["deviated"]) == (status, deviated)


def test_an_undo_that_failed_is_a_failed_rollback(tmp_path: Path) -> None:
    error = UndoFailed(entry="e", fault="SIGKILL a1", error="a1 does not start")
    found = journal(made(tmp_path, MadeUp(undone=False, more=[(UNDO, error)])))
    [rollback] = found["rollbacks"]
    assert (rollback["status"], rollback["exception"]) == ("failed", ["a1 does not start"])


# JUnit


def suite(folder: Path) -> ET.Element:
    root = ET.fromstring(published(folder)[JUNIT])  # noqa: S314 - our own
    (found,) = root
    assert root.tag == "testsuites"
    assert root.get("tests") == found.get("tests") == str(len(found.findall("testcase")))
    return found


def test_each_finding_is_a_test_case_with_a_name_of_its_own(tmp_path: Path) -> None:
    folder = made(tmp_path)
    found = suite(folder)
    names = [case.get("name") for case in found.findall("testcase")]
    assert len(names) == len(set(names)) == len(conclude(folder).findings)
    assert "loss: majority" in names
    assert (found.get("failures"), found.get("errors")) == ("0", "0")


def test_a_broken_promise_is_a_failure_and_what_is_not_known_an_error(tmp_path: Path) -> None:
    more = [(30.0, Trouble(what="bell \x07 & <tag>"))]
    found = suite(made(tmp_path, MadeUp(read=lossy, more=more)))
    assert (found.get("failures"), found.get("errors")) == ("1", "1")
    (failure,) = found.iter("failure")
    assert "2 acknowledged writes lost" in failure.get("message", "")
    (error,) = found.iter("error")
    assert error.get("message") == "bell \ufffd & <tag>"


# Prometheus


def metrics(folder: Path) -> dict[str, float]:
    text = published(folder)[METRICS]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_the_metrics_say_verdict_losses_and_stamps(tmp_path: Path) -> None:
    folder = made(tmp_path, MadeUp(read=lossy))
    change_config(folder, cluster="ev", prediction=Prediction(elected=Range(3, 6, 4.5)))
    found = metrics(folder)
    labels = 'drill="mongo-primary-kill",cluster="ev"'
    stream = f'{labels},stream="majority",group="shard-a"'
    assert found[f'skillswap_drill_verdict{{{labels},verdict="fail"}}'] == 1
    assert found[f'skillswap_drill_verdict{{{labels},verdict="pass"}}'] == 0
    assert found[f"skillswap_drill_lost_writes{{{stream}}}"] == 2
    assert found[f"skillswap_drill_unknown_writes{{{stream}}}"] == 50
    assert found[f'skillswap_drill_rto_seconds{{{labels},stamp="elected"}}'] == pytest.approx(4)
    predicted = f'skillswap_drill_rto_predicted_seconds{{{labels},stamp="elected",bound="median"}}'
    assert found[predicted] == 4.5
    assert found[f"skillswap_drill_duration_seconds{{{labels}}}"] == 64.0


def test_what_never_came_is_no_number(tmp_path: Path) -> None:
    found = metrics(made(tmp_path, MadeUp(faults=False, read=None)))
    assert not any("_rto_seconds" in name or "lost_writes" in name for name in found)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    folder = made(tmp_path, MadeUp(read=lossy))
    change_config(folder, cluster='a "quoted" \\ name', prediction=Prediction(elected=Range(3, 6)))
    text = published(folder)[METRICS]
    ended = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


# The report


def words_of(html: str) -> str:
    """What a person reads, without the drawing."""
    html = re.sub(r"<(style|svg)\b.*?</\1>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_report_asks_nothing_of_any_network(tmp_path: Path) -> None:
    html = published(made(tmp_path))[REPORT]
    assert "default-src 'none'" in html
    assert not re.search(r"\b(src|href|srcset|action|data)\s*=|@import|<script|<link|<iframe", html)
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#none-{s}1" for s in ("wide", "narrow")}
    assert "http" not in html.replace("http-equiv", "")


def test_the_verdict_comes_first_and_in_words(tmp_path: Path) -> None:
    text = words_of(published(made(tmp_path))[REPORT]).partition("What was broken")[0]
    assert "Passed · mongo-primary-kill" in text
    assert "550 writes were acknowledged, and every one of them was read back." in text
    assert "Service was back 5.0 s after the fault; 30 s were promised." in text


def test_a_failed_run_lists_what_was_lost_and_when(tmp_path: Path) -> None:
    folder = made(tmp_path, MadeUp(read=lossy))
    text = words_of(published(folder)[REPORT])
    assert "Failed · mongo-primary-kill A promise was broken. Of 550 acknowledged" in text
    concluded = conclude_whole(folder)
    lost = view(concluded.measures, concluded.summary).defects
    assert [(one.kind, one.op, one.due, one.acked) for one in lost] == [
        ("lost", op_id(1, 150), pytest.approx(-5.0), pytest.approx(-4.99)),
        ("lost", op_id(1, 151), pytest.approx(-4.9), pytest.approx(-4.89)),
    ]
    assert lost[0].utc is not None
    assert lost[0].utc.isoformat() == "2026-03-01T12:00:15+00:00"
    assert str(op_id(1, 150)) in text


def test_a_thousand_losses_are_listed_and_all_counted(tmp_path: Path) -> None:
    run = MadeUp(seconds=200, read=lambda ids: ids[:20], promise=Promise(rto=600))
    folder = made(tmp_path, run)
    text = words_of(published(folder)[REPORT])
    lost = 200 * 10 - 50 - 20
    assert f"{lost:,} writes are not as acknowledged. The first 1,000 are listed." in text


def test_an_inconclusive_run_says_that_it_proves_nothing(tmp_path: Path) -> None:
    more = [(30.0, Interrupted(by="SIGINT"))]
    text = words_of(published(made(tmp_path, MadeUp(more=more)))[REPORT])
    assert "This run proves nothing, neither good nor bad: it was stopped." in text


def test_a_run_that_never_began_has_a_report(tmp_path: Path) -> None:
    folder = made(tmp_path, MadeUp(faults=False, more=[(-1.0, Unmet(precondition="a2 is down"))]))
    events = folder / "events.jsonl"
    kept = [line for line in events.read_text().splitlines() if '"load' not in line]
    events.write_text("\n".join(kept) + "\n")
    (folder / LEDGER).unlink()
    text = words_of(published(folder)[REPORT])
    assert "Inconclusive · mongo-primary-kill" in text
    assert "Nothing was written. No fault was injected." in text
    assert "a2 is down" in text


def test_a_fault_that_is_still_in_place_is_shouted(tmp_path: Path) -> None:
    text = words_of(published(made(tmp_path, MadeUp(undone=False)))[REPORT])
    assert (
        text.partition("Inconclusive ·")[0]
        .rstrip()
        .endswith(
            "A fault may still be in place: SIGKILL a1. Undo it with skillswap-ops drill heal ."
        )
    )


def test_names_from_outside_are_text_and_not_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    samples = [sample(-1, evil, epoch=1), sample(24, "a2", epoch=2, detail=evil)]
    folder = made(tmp_path, MadeUp(samples=samples, more=[(30.0, Trouble(what=evil))]))
    change_config(folder, hypothesis=evil)
    html = published(folder)[REPORT]
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_two_leaders_and_a_missing_standby_are_in_the_strips(tmp_path: Path) -> None:
    samples = [
        sample(-1, "a1", epoch=1, protected=True),
        sample(22, "a1", "a2", epoch=2, protected=False),
        sample(26, "a2", epoch=2, protected=True),
    ]
    html = published(made(tmp_path, MadeUp(samples=samples)))[REPORT]
    assert 'class="piece two"' in html
    assert "a1 and a2, epoch 2" in html
    assert 'class="piece unprotected"' in html


def test_an_outage_in_a_long_run_is_drawn_close_up_as_well(tmp_path: Path) -> None:
    concluded = conclude_whole(made(tmp_path, MadeUp(seconds=300)))
    close, whole = view(concluded.measures, concluded.summary).plots
    assert close[0].title == "Around the fault"
    labels = [tick.label for tick in close[0].ticks]
    assert labels == ["−10", "−5", "0", "+5", "+10", "+15", "+20", "+25"]
    assert [mark.number for mark in whole[0].marks] == [1, 2, 3, 4]


def test_stamps_too_close_stand_side_by_side_in_the_order_of_time(tmp_path: Path) -> None:
    """A client may be served before the observers see who serves it."""
    samples = [sample(-1, "a1", epoch=1), sample(25.06, "a2", epoch=2)]
    concluded = conclude_whole(made(tmp_path, MadeUp(samples=samples)))
    marks = view(concluded.measures, concluded.summary).plots[0][0].marks
    assert marks[0].number == 3  # first success
    assert marks[0].badge == marks[0].x
    assert len(marks) == 4
    assert all(one.x <= two.x and two.badge - one.badge >= 16 for one, two in pairwise(marks))


@pytest.mark.parametrize("most", [20, 60, 200])
def test_a_steady_stream_is_drawn_as_a_flat_line(tmp_path: Path, most: int) -> None:
    """What is due on the border of two bins must not make one high and the next low."""

    def op(due: float) -> Op:
        """A hair early, every other time, as rounding makes it."""
        return Op(due - 1e-6 if round(due * 10) % 2 else due)

    concluded = conclude_whole(made(tmp_path, MadeUp(op=op)))
    (stream,) = concluded.measures.streams
    data = bins(stream, Span(ns(0), ns(60)), most)
    assert len(data.edges) - 1 <= most
    assert data.edges[-1] == 60
    assert data.good.tolist() == pytest.approx([10] * (len(data.edges) - 1), rel=1e-4)
    assert data.median.tolist() == pytest.approx([0.01] * (len(data.edges) - 1))
    assert not (data.lost + data.late + data.unknown + data.failed + data.unsent).any()


def test_bins_sort_every_operation_by_what_became_of_it(tmp_path: Path) -> None:
    outcomes = [Outcome.ACKED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNSENT]

    def op(due: float) -> Op:
        slow = due + 3 if 30 <= due < 40 else None
        return Op(due, outcomes[round(due * 10) % 4], done=slow)

    run = MadeUp(op=op, read=lambda ids: ids[25:])
    (stream,) = conclude_whole(made(tmp_path, run)).measures.streams
    data = bins(stream, Span(ns(0), ns(60)), 6)
    assert data.lost.tolist() == [2.5, 0, 0, 0, 0, 0]
    assert data.good.tolist() == [0, 2.5, 2.5, 0, 2.5, 2.5]
    assert data.late.tolist() == [0, 0, 0, 2.5, 0, 0]
    assert data.failed.tolist() == data.unknown.tolist() == data.unsent.tolist() == [2.5] * 6
    assert data.longest[3] == pytest.approx(3.0)


def test_ten_streams_for_ten_minutes_make_a_small_report(tmp_path: Path) -> None:
    """Under 1 MB, whatever the rate: the plots are made of bins."""
    folder = made(tmp_path, MadeUp(seconds=30))
    config = RunConfig.model_validate_json((folder / CONFIG).read_bytes())
    (one,) = config.streams
    streams = tuple(
        one.model_copy(update={"number": n, "name": f"stream {n} majority"}) for n in range(1, 11)
    )
    change_config(folder, streams=streams)
    chance = np.random.default_rng(1)
    (folder / LEDGER).unlink()
    ledger = LedgerWriter(folder / LEDGER, "0123abcd")
    for stream in streams:
        rows = []
        for n in range(6000):
            op = Op(n / 10, Outcome(int(chance.integers(2, 6))), done=n / 10 + chance.exponential())
            rows += op.rows(n, stream.number)
        ledger.append(*rows)
        write_read_back(folder, stream.number, [np.empty(0, np.int64)])
    ledger.close()
    html = published(folder)[REPORT]
    assert html.count('class="unknown"') == 40  # ten streams, two shapes, close-up and whole
    assert len(html.encode()) < 1_000_000
