"""`render`: files for GitOps, what differs from them, what is never written, and no engine."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from pulumi.automation import EngineEvent

from cluster.errors import InvalidInputError
from manifests.kubernetes.component import Idea
from manifests.kubernetes.render import KUSTOMIZATION, compared, differences, texts
from manifests.kubernetes.volumes import claims
from manifests.pulumi.changes import Change, Verb, change_of
from manifests.pulumi.stack import NoEngineError
from skillswap_ops.kubernetes.provisioning import finished, steps_of
from skillswap_ops.main import cli
from tests.conftest import ROOT
from tests.unit.kubernetes_samples import everything, parts


@cache
def files() -> dict[str, str]:
    return texts(parts("tp3"))


def written(folder: Path) -> Path:
    for name, text in files().items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_files_hold_every_object_once_and_in_order(tmp_path: Path) -> None:
    names = sorted(name for name in files() if name != KUSTOMIZATION)
    found = [
        (each["kind"], each["metadata"]["name"])
        for name in names
        for each in yaml.safe_load_all(files()[name])
    ]
    wanted = [(each.kind, each.name) for each in everything("tp3") if not each.secret]
    assert sorted(found) == sorted(wanted)
    assert yaml.safe_load(files()[KUSTOMIZATION])["resources"] == names
    order = [int(name.partition("-")[0]) for name in names]
    assert order == sorted(order)
    assert max(order) == len(Idea) - 1


def test_no_difference_right_after_writing(tmp_path: Path) -> None:
    assert differences(written(tmp_path), files()) == ()


def test_differences_are_named_to_the_field(tmp_path: Path) -> None:
    folder = written(tmp_path)
    shard = folder / "04-shard-a.yaml"
    shard.write_text(
        shard.read_text()
        .replace("replicas: 3", "replicas: 5")
        .replace("storage: 50Gi", "storage: 60Gi")
    )
    (folder / "02-archive.yaml").unlink()
    (folder / "04-shard-z.yaml").write_text((folder / "04-shard-b.yaml").read_text())
    (folder / "mine.yaml").write_text("a: person's own\n")
    rows = [(row.file, row.object, row.field, row.what) for row in differences(folder, files())]
    key = "StatefulSet/skillswap/shard-a"
    claim = "spec.volumeClaimTemplates[0].spec.resources.requests.storage"
    assert rows == [
        ("02-archive.yaml", "", "", "is missing"),
        ("04-shard-a.yaml", key, "spec.replicas", "is 5, should be 3"),
        ("04-shard-a.yaml", key, claim, "is 60Gi, should be 50Gi"),
        ("04-shard-z.yaml", "", "", "is not rendered any more"),
    ]


def test_another_order_or_spelling_is_told_apart() -> None:
    assert list(compared("", {"a": [1, {"b": None}]}, {"a": [1, {}]})) == []
    assert list(compared("", {"a": [1]}, {"a": [1, 2]})) == [("a", "is [1], should be [1, 2]")]


def run(*words: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT)} | ({"PATH": path} if path is not None else {})
    return subprocess.run(
        [sys.executable, "-m", "skillswap_ops.main", *words],
        capture_output=True,
        text=True,
        env=env,
        check=False,
        timeout=60,
    )


def called(*words: str) -> Result:
    """The same, in this process: it has imported everything already."""
    return CliRunner().invoke(cli, words)


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    folder, home = tmp_path / "out", tmp_path / "home"
    made = called("render", "--target", "kubernetes", "-o", str(folder), "--home", str(home))
    assert made.exit_code == 0, made.output
    assert "secrets are left out" in made.stderr
    assert not home.exists(), "rendering makes no passwords"
    assert called("render", "--check", str(folder), "--home", str(home)).exit_code == 0
    file = folder / "05-routers.yaml"
    file.write_text(file.read_text().replace("replicas: 2", "replicas: 1"))
    differs = run("render", "--check", str(folder), "--home", str(home))
    assert differs.returncode == 1
    assert "Deployment/skillswap/routers: spec.replicas: is 1, should be 2" in differs.stdout


def test_without_pulumi_it_says_how_to_get_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ended = run("plan", "--target", "kubernetes", "--home", str(home), path="/nonexistent")
    assert ended.returncode == 2, ended.stderr
    assert "pulumi.com/docs/install" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not home.exists()


@pytest.mark.parametrize("words", [["provision"], ["provision", "--dry-run"], ["destroy", "--yes"]])
def test_so_do_the_other_commands(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    home = tmp_path / "home"
    ended = called(*words, "--target", "kubernetes", "--home", str(home))
    assert isinstance(ended.exception, NoEngineError)
    assert ended.exception.exit_code == 2
    assert not home.exists()


def test_the_other_commands_say_that_they_do_not_know_it(tmp_path: Path) -> None:
    ended = called("stop", "--target", "kubernetes", "--home", str(tmp_path))
    assert isinstance(ended.exception, InvalidInputError)
    assert "--target kubernetes" in ended.exception.message


def test_destroy_names_every_volume() -> None:
    names = claims(parts("tp3"))
    assert {"data-shard-a-1", "data-config-3", "data-pg1-0", "data-redis-1"} <= {*names}
    assert {"archive", "backups", "tool-state"} <= {*names}
    assert len(names) == 9 + 3 + 1 + 3


# What the engine says, as its events come


def event(
    op: str, name: str, kind: str = "kubernetes:apps/v1:StatefulSet", **more: object
) -> EngineEvent:
    metadata = {
        "op": op,
        "urn": f"urn:pulumi:skillswap::ops::skillswap:kubernetes:MongoShard${kind}::{name}",
        "type": kind,
        "provider": "",
        **more,
    }
    return EngineEvent.from_json(
        {"sequence": 1, "timestamp": 1, "resourcePreEvent": {"metadata": metadata}}
    )


def test_events_become_lines_of_a_plan() -> None:
    steps = steps_of(parts("tp3"))
    key = "StatefulSet/skillswap/shard-a"
    diff = {"spec.replicas": {"diffKind": "update", "inputDiff": True}}
    change = change_of(event("update", key, detailedDiff=diff))
    assert change is not None
    assert (change.key, change.verb, change.fields) == (key, Verb.UPDATE, ("spec.replicas",))
    row = finished(steps, change, preview=True)
    assert (row.step.component, row.step.what) == ("MongoShard shard-a", "StatefulSet shard-a")
    assert (row.outcome, row.why) == ("would change", "differs in spec.replicas")


def test_what_is_no_object_or_no_change_is_no_line() -> None:
    assert change_of(event("create", "x", "skillswap:kubernetes:MongoShard")) is None
    assert change_of(event("refresh", "StatefulSet/skillswap/shard-a")) is None
    assert change_of(EngineEvent(1, 1)) is None


def test_what_left_the_topology_is_shown_too() -> None:
    change = Change("urn::gone", "StatefulSet/skillswap/shard-z", Verb.DELETE)
    row = finished(steps_of(parts("tp3")), change, preview=True)
    assert row.step.component == "Not in the topology any more"
    assert row.why == "not in the topology any more"
