"""Policy linters, where they are on PATH: Checkov over every object, hadolint over the recipes."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from manifests.kubernetes.build import objects
from manifests.kubernetes.objects import Manifest, to_yaml
from tests.conftest import ROOT
from tests.unit.kubernetes_samples import NAMES, one, parts

# What is not as Checkov would have it, and why.
ACCEPTED = {
    "CKV_K8S_43": "digests are the user's registry's: `kubernetes.images` takes them",
    "CKV_K8S_15": "a registry that is away must not keep a database from starting again",
    "CKV_K8S_38": "Patroni and the tool talk to Kubernetes; nobody else has a token",
    "CKV_K8S_35": "exporters read their password from the environment, and from nothing else",
    "CKV_DOCKER_2": "Kubernetes asks the probes, and no HEALTHCHECK",
}
TALKERS = {
    "pg1",
    "pgsync1",
    "pgsync2",
    "pgdr1",
    "pgdr2",
    "console",
    "backup",
    "backup-verify",
    "drills",
    "restore-proof",
}
TALKING = "CKV_K8S_38"

needs_checkov = pytest.mark.skipif(not shutil.which("checkov"), reason="checkov is not on PATH")
needs_hadolint = pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not on PATH")


def checkov(folder: Path) -> dict[str, Any]:
    """Its findings over the YAML in a folder; it asks nobody outside."""
    command = ["checkov", "-d", str(folder), "--framework", "kubernetes", "-o", "json"]
    ended = subprocess.run(
        [*command, "--compact", "--quiet"], capture_output=True, text=True, check=False, timeout=600
    )
    found = json.loads(ended.stdout[ended.stdout.index("{") :])
    assert isinstance(found, dict)
    return found


@needs_checkov
def test_objects_are_clean(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.yaml").write_text(to_yaml(objects(parts(name))), "utf-8")
    found = checkov(tmp_path)
    failed = found["results"]["failed_checks"]
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 4000
    unexpected = Counter(
        (row["check_id"], row["resource"]) for row in failed if row["check_id"] not in ACCEPTED
    )
    assert not unexpected
    talkers = {row["resource"].rpartition(".")[2] for row in failed if row["check_id"] == TALKING}
    assert {name for name in talkers if not name.startswith("provision-")} == TALKERS


@needs_checkov
def test_a_careless_pod_is_found(tmp_path: Path) -> None:
    """The linter is not blind: the same object with a right too many."""
    data = json.loads(json.dumps(one(parts("tp3"), "StatefulSet/shard-a")))
    rights = data["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    rights["privileged"] = rights["allowPrivilegeEscalation"] = True
    (tmp_path / "pod.yaml").write_text(to_yaml([Manifest(data)]), "utf-8")
    failed = {row["check_id"] for row in checkov(tmp_path)["results"]["failed_checks"]}
    assert {"CKV_K8S_16", "CKV_K8S_20"} <= failed - set(ACCEPTED)


@needs_hadolint
def test_recipes_are_clean() -> None:
    recipes = sorted(map(str, (ROOT / "manifests" / "images").glob("*/Dockerfile")))
    assert len(recipes) == 3
    ended = subprocess.run(["hadolint", *recipes], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
