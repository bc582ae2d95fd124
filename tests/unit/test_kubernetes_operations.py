"""What the tool is told to do in the cluster: commands that exist, and can be done there."""

from pathlib import Path
from typing import Any, cast

import click
import pytest

from cluster.clock import SYSTEM_CLOCK
from cluster.drill.contracts import DrillSpec
from cluster.kubernetes.api import Api
from cluster.kubernetes.target import KubernetesTarget
from cluster.layout import Layout
from cluster.local.target import LocalTarget
from cluster.local.users import RunAs
from cluster.target import CanRestore, CanRestoreBeside
from manifests.kubernetes.build import objects
from manifests.kubernetes.operations import BENCH, CONSOLE, PROOF_JOB
from manifests.kubernetes.programs import LAYOUT
from manifests.kubernetes.rbac import PROVER
from skillswap_ops.catalogue import all_drills
from skillswap_ops.drilling import tagged
from skillswap_ops.main import cli
from skillswap_ops.options import INSIDE
from skillswap_ops.restore_drills.proof import PROOF
from tests.unit.kubernetes_samples import NAMES, edited, everything, one, parts, plan, shipped
from tests.unit.test_kubernetes_objects import pod

CALENDAR = {
    "backup": ["backup", "run", "--kind", "full"],
    "backup-verify": ["backup", "verify"],
    "restore-proof": ["backup", "prove"],
    "drills": ["drill", "run", "--tag", "quarterly", "--yes"],
}


def told(data: Any) -> list[str]:
    """The tool's words in a Job or CronJob."""
    (container,) = pod(data)["spec"]["containers"]
    program, *words = container["command"]
    assert program == "skillswap-ops"
    return list(words)


def parse(words: list[str]) -> None:
    """As click does it, without running anything. Raises UsageError for what does not exist."""
    left, command = list(words), cli
    context = click.Context(cli)
    found: click.Command | None = command
    while isinstance(found, click.Group):
        name = left.pop(0)
        found = found.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
    assert found is not None
    found.make_context(found.name, left)


@pytest.mark.parametrize("name", NAMES)
def test_every_job_calls_a_command_that_exists_and_works_inside(name: str) -> None:
    jobs = [each for each in everything(name) if each.kind in {"Job", "CronJob"}]
    assert len(jobs) == 5
    for each in jobs:
        words = told(each.data)
        parse(words)
        assert words[-2:] == ["--target", "kubernetes"]
        assert words[0] in INSIDE | {"provision"}, each.key


def test_a_wrong_word_would_be_noticed() -> None:
    for wrong in (
        ["backup", "proove"],
        ["backup", "run", "--kinds", "full"],
        ["backup", "run", "--kind", "all"],
    ):
        with pytest.raises(click.UsageError):
            parse(wrong)


def test_the_calendar() -> None:
    found = {
        each.name: told(each.data)[:-2] for each in everything("tp3") if each.kind == "CronJob"
    }
    assert found == CALENDAR


def test_backups_that_are_a_folder_are_mounted_where_they_are_written_and_read() -> None:
    """By the archiver, and by every pod of the tool; S3 needs no volume."""
    for key in (
        "StatefulSet/archiver",
        f"Deployment/{CONSOLE}",
        "CronJob/backup",
        "CronJob/drills",
    ):
        spec = pod(one(parts("tp3"), key))["spec"]
        (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "backups"]
        assert mount["mountPath"] == "/skillswap/backups"
        (volume,) = [v for v in spec["volumes"] if v["name"] == "backups"]
        assert volume["persistentVolumeClaim"] == {"claimName": "backups"}
    claim = one(parts("tp3"), "PersistentVolumeClaim/backups")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert not [each for each in everything("large") if each.name in {"backups", "archive"}]


def lacking(spec: DrillSpec, *, has_bench: bool = False) -> str:
    """Why the target cannot do a drill."""
    target = KubernetesTarget(cast("Api", None), SYSTEM_CLOCK, has_bench=has_bench)
    return next(filter(None, map(target.lacks, spec.needs)), "")


def test_the_quarter_has_drills_that_can_be_done_here() -> None:
    quarter = tagged(["quarterly"])
    assert {spec.name for spec in quarter if not lacking(spec)} >= {
        "mongo-primary-kill",
        "mongo-primary-isolated",
        "pg-node-kill",
    }


def test_what_restores_is_skipped_with_its_reason() -> None:
    """They work in the servers' folders, which are other machines' here."""
    restoring = {spec.name for spec in all_drills() if "restore" in spec.tags} | {"pg-dr-promote"}
    skipped = {spec.name for spec in all_drills() if CanRestore in spec.needs}
    assert restoring - {PROOF.name} <= skipped
    for spec in all_drills():
        if spec.name in skipped:
            assert "docs/kubernetes.md" in lacking(spec) or "fault" in lacking(spec)


def test_the_proof_is_had_in_its_own_pod_alone() -> None:
    """Elsewhere it is skipped as a drill, and `drill due` says how it is done."""
    assert "`backup prove`" in lacking(PROOF)
    assert not lacking(PROOF, has_bench=True)
    assert not LocalTarget(Layout(Path("x")), RunAs(None, 0, 0), "").lacks(CanRestoreBeside)


def test_the_proof_s_pod_has_its_image_its_room_and_both_repositories() -> None:
    """A volume of the class that encrypts, which ends with the pod, where copies are made."""
    made = one(parts("tp3"), f"CronJob/{PROOF_JOB}")
    spec, tool = pod(made)["spec"], pod(made)["spec"]["containers"][0]
    settings = shipped("tp3").kubernetes
    assert tool["image"] == settings.images.proof
    assert {"name": BENCH, "value": "1"} in tool["env"]
    assert spec["shareProcessNamespace"] is True
    assert spec["serviceAccountName"] == PROVER
    mounts = {each["name"]: each["mountPath"] for each in tool["volumeMounts"]}
    volumes = {each["name"]: each for each in spec["volumes"]}
    assert set(mounts) == set(volumes)
    claim = volumes["bench"]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == settings.storage.name
    assert claim["resources"]["requests"]["storage"] == f"{settings.sizes.proof.volume}Gi"
    node = plan("tp3").inventory.nodes[0]
    layout = LAYOUT
    assert mounts["bench"] == str(layout.run(node))
    assert mounts["conf"] == str(layout.conf(node))
    assert mounts["archive"] == str(layout.archive)
    assert mounts["backups"] == str(layout.mongo_backups)
    assert volumes["conf"]["emptyDir"]["medium"] == "Memory", "it holds passwords"


def test_without_backups_of_mongo_there_is_no_proof() -> None:
    found = edited({"mongo.backup": {"enabled": False}})
    assert not [each for each in objects(found) if each.name == PROOF_JOB]


def test_the_prover_may_run_programs_in_named_pods_and_change_nothing() -> None:
    (role,) = [o for o in everything("tp3") if o.kind == "Role" and o.name == PROVER]
    looked, run = cast("list[dict[str, Any]]", role.data["rules"])
    assert looked == {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    assert run["resources"] == ["pods/exec"]
    assert run["resourceNames"] == ["pg1-0", "pgsync1-0", "archiver-1"]
    assert not [o for o in everything("tp3") if o.kind == "ClusterRole" and PROVER in o.name]
