"""A whole run on a cluster in memory: what it keeps, and that no secret is in it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from cluster.drill.contracts import Drill, Stage
from cluster.drill.evidence import REPORT, load_run
from cluster.drill.publish import configuration
from cluster.drill.publish.excerpts import shown
from cluster.drill.publish.folder import WRITERS, publish
from cluster.drill.report import RunSummary
from cluster.drill.runner import Hooks, Options, conclude, conclude_whole, run_drill
from cluster.drill.verdict import Conclusion
from tests.unit.drill_fakes import RULES, FakeCluster, FakeFault, drill, quicken

SECRET = "planted-pass/word+1"
FORMS = (
    SECRET,
    quote(SECRET, safe=""),
    base64.b64encode(f"app:{SECRET}".encode()).decode(),
)
OPTIONS = Options(
    seed=7, tool="0.1.0", rules=RULES, cluster="ev", secrets=lambda: iter([SECRET, "other-secret"])
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def go(plan: Drill, drills: Path) -> RunSummary:
    return run_drill(plan, drills, OPTIONS, Hooks())


class Talkative(FakeFault):
    """Breaks a1, and a log says so with every password there is."""

    def inject(self) -> object:  # type: ignore[override]
        hit = super().inject()
        with LOG.open("a") as file:
            file.write(f"a1 dies, {' '.join(FORMS)}\n")
        return hit


LOG = Path()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a1.log"
    path.write_text("long ago\n")
    monkeypatch.setattr(f"{__name__}.LOG", path)
    return path


def leaky(cluster: FakeCluster, log: Path, **more: object) -> Drill:
    """Every way out that a drill has, with a secret in each."""
    reads: Iterator[int] = iter(range(9))

    def read() -> dict[str, str]:
        log.open("a").write(f"configuration read with {SECRET}\n")
        return {"a1/conf": f"password = {SECRET}\nread {next(reads)}\n"}

    def collect(folder: Path) -> None:
        (folder / "dump.bin").write_bytes(b"\x00\xff" + SECRET.encode() + b"\x00")
        raise RuntimeError(f"could not log in with {SECRET}")

    def settings() -> dict[str, str]:
        return {"uri": f"mongodb://app:{quote(SECRET, safe='')}@h"}

    options = {
        "logs": {"a1": log},
        "configuration": read,
        "collect": collect,
        "settings": settings,
        "hypothesis": f"{SECRET} stays ours",
        "stages": (Stage(lambda *_: Talkative(cluster)),),
    }
    return drill(cluster, **(options | more))


def test_no_planted_secret_is_anywhere_in_the_folder(tmp_path: Path, log: Path) -> None:
    summary = go(leaky(FakeCluster(), log), tmp_path)
    assert "could not log in with ***" in " ".join(summary.reasons)
    written = [path for path in summary.folder.rglob("*") if path.is_file()]
    for path in written:
        data = path.read_bytes()
        for form in FORMS:
            assert form.encode() not in data, path.name
    assert (summary.folder / "collected" / "dump.bin").read_bytes() == b"\x00\xff***\x00"
    assert "a secret was masked in collected/dump.bin" in summary.notes
    assert any("harness-error.txt" in note for note in summary.notes)


def test_logs_and_configuration_are_kept(tmp_path: Path, log: Path) -> None:
    summary = go(leaky(FakeCluster(), log), tmp_path)
    (kept,) = shown(summary.folder)
    assert kept.before == ("configuration read with ***",)
    (line,) = kept.after
    assert line.startswith("a1 dies, *** *** ")
    (change,) = configuration.changes(summary.folder)
    assert change.name == "a1/conf"
    assert {"-read 0", "+read 1"} <= set(change.diff)
    versions = summary.folder / configuration.FOLDER / configuration.VERSIONS
    assert versions.read_text() == "fake 1\n"


def test_a_run_says_where_it_ran(tmp_path: Path, log: Path) -> None:
    summary = go(leaky(FakeCluster(), log, collect=lambda _: None), tmp_path)
    assert summary.conclusion is Conclusion.PASS, summary.reasons
    config = load_run(summary.folder).config
    assert config.cluster == "ev"
    journal = json.loads((summary.folder / "journal.json").read_text())
    assert (journal["node"], journal["platform"]) == (config.node, config.platform)
    assert journal["node"]
    assert "cluster ev" in (summary.folder / REPORT).read_text()


def test_what_cannot_be_kept_or_written_changes_no_verdict(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("no")

    def unread() -> dict[str, str]:
        raise RuntimeError("a1 is silent")

    monkeypatch.setitem(WRITERS, REPORT, broken)  # type: ignore[arg-type]
    plan = leaky(FakeCluster(), log, configuration=unread, collect=lambda _: None)
    summary = go(plan, tmp_path)
    assert summary.conclusion is Conclusion.PASS
    assert {
        "configuration before the fault not kept: RuntimeError: a1 is silent",
        "configuration after the fault not kept: RuntimeError: a1 is silent",
        "report.html not written: ZeroDivisionError: no",
    } <= set(summary.notes)
    assert conclude(summary.folder) == summary


def test_a_report_that_is_written_again_is_the_same(tmp_path: Path, log: Path) -> None:
    summary = go(leaky(FakeCluster(lose=3), log, collect=lambda _: None), tmp_path)
    assert summary.conclusion is Conclusion.FAIL
    before = {name: (summary.folder / name).read_bytes() for name in WRITERS}
    assert publish(conclude_whole(summary.folder)) == ()
    assert {name: (summary.folder / name).read_bytes() for name in WRITERS} == before
