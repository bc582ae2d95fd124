"""`drill report --html`, as a person runs it, on a run that lies on disk."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster.drill.evidence import JOURNAL, REPORT
from cluster.drill.runner import conclude
from skillswap_ops.commands.drill.report import report
from tests.conftest import SHIPPED
from tests.unit.drill_samples import MadeUp

RUN = "20260301T120000Z-mongo-primary-kill-0123abcd"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    cluster = tmp_path / "skillswap"
    cluster.mkdir()
    shutil.copy(SHIPPED, cluster / "topology.yaml")
    MadeUp().write(cluster / "drills" / "runs" / RUN)
    return tmp_path


def test_it_writes_the_files_again_and_prints_where(home: Path) -> None:
    folder = home / "skillswap" / "drills" / "runs" / RUN
    ended = CliRunner().invoke(report, ["0123abcd", "--html", "--home", str(home)])
    assert (ended.exit_code, ended.stdout) == (0, f"{folder / REPORT}\n"), ended.output
    assert "Every promise held." in (folder / REPORT).read_text()
    assert json.loads((folder / JOURNAL).read_text())["status"] == "completed"


def test_what_it_could_not_write_is_said(home: Path) -> None:
    folder = home / "skillswap" / "drills" / "runs" / RUN
    (folder / JOURNAL).mkdir()
    ended = CliRunner().invoke(report, ["--html", "-o", "json", "--home", str(home)])
    assert json.loads(ended.stdout) == {"report": str(folder / REPORT)}
    assert "journal.json not written" in ended.stderr
    assert conclude(folder).exit_code == 0


def test_a_secret_of_the_cluster_is_masked_again(home: Path) -> None:
    secrets = home / "skillswap" / "secrets"
    secrets.mkdir()
    (secrets / "mongo-app").write_text("majority acks survive")  # as it happens, the hypothesis
    CliRunner().invoke(report, ["--html", "--home", str(home)], catch_exceptions=False)
    html = (home / "skillswap" / "drills" / "runs" / RUN / REPORT).read_text()
    assert "majority acks survive" not in html
    assert "***" in html
