"""A restore where nothing of the cluster is but the topology, secrets and repositories: a pod's.

Every program of the restore is run in a mount namespace in which the cluster's home is empty.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest

from cluster import objects
from cluster.clock import wait_for
from cluster.drill.contracts import DrillSpec
from cluster.drill.report import RunSummary
from cluster.drill.runner import Hooks
from cluster.drill.verdict import Conclusion, Validity
from cluster.inventory import Node
from cluster.layout import PodLayout
from cluster.local.target import LocalTarget
from cluster.local.users import RunAs
from cluster.secrets import MountedSecrets
from cluster.target import ToolResult
from cluster.topology import FolderRepository, ObjectsRepository, S3Repository
from postgres.archive import numbers
from skillswap_ops.bench import bench_at
from skillswap_ops.drill_series import End, Turn, Wishes
from skillswap_ops.drilling import run_drills
from skillswap_ops.restore_drills.checks import PROVED
from skillswap_ops.restore_drills.proof import PROOF, proof_at
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

# A restore of everything takes longer than CI has.
pytestmark = [pytest.mark.servers, pytest.mark.root, pytest.mark.exhaustive]
HIDE = 'mount -t tmpfs none "$0" && exec "$@"'


class Elsewhere(LocalTarget):
    """This machine for who does not see one of its folders."""

    def __init__(self, layout: PodLayout, user: RunAs, hidden: Path) -> None:
        super().__init__(layout, user, "")
        self.hidden = hidden
        self.ran: list[tuple[str, ...]] = []
        self._as_root = LocalTarget(layout, RunAs(None, 0, 0), "")

    def run_tool(
        self,
        node: Node,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> ToolResult:
        self.ran.append(tuple(argv))
        ids = (f"--reuid={self.user.uid}", f"--regid={self.user.gid}", "--clear-groups")
        words = ("unshare", "--mount", "sh", "-c", HIDE, str(self.hidden), "setpriv", *ids, *argv)
        return self._as_root.run_tool(node, words, env=env, seconds=seconds)


class Quiet:
    """An onlooker who says nothing."""

    def begins(self, _turn: Turn) -> Hooks:
        return Hooks()

    def ends(self, end: End) -> None:
        """Nothing."""

    def waits(self, lacks: str) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def backed_up(shared_lab: Lab) -> None:
    """Both engines have a backup: provisioning makes PostgreSQL's alone."""
    shared_lab.run("provision")
    shared_lab.run("backup", "run", seconds=300)


@pytest.fixture
def pod(shared_lab: Lab, backed_up: None) -> Iterator[Path]:
    """Folders as a pod of the restore proof has them: mounts, and an empty volume."""
    wait_for(
        "health", lambda: shared_lab.run("status", code=None).returncode == 0, seconds=120, every=1
    )
    root = Path(mkdtemp(prefix="sso-pod-"))
    root.chmod(0o755)
    (root / "secrets").mkdir()
    (root / "pod" / "backups").mkdir(parents=True)
    shutil.copy(shared_lab.context.layout.authority, root / "ca.crt")
    mount = ("mount", "--bind", str(shared_lab.context.layout.mongo_backups))
    subprocess.run([*mount, str(root / "pod" / "backups")], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root / "pod" / "backups")], check=True)
        shutil.rmtree(root)


def bench(lab: Lab, root: Path) -> LocalContext:
    """The cluster as that pod sees it: its object store is somebody's S3, MongoDB's folder is
    mounted, and secrets are files that somebody else has made.
    """
    context = lab.context
    (number,) = [
        number
        for number in numbers(context)
        if isinstance(context.topology.archive.repositories[number - 1], ObjectsRepository)
    ]
    assert isinstance(context.topology.mongo.backup.repository, FolderRepository)
    there = objects.repository(context, number)
    assert there is not None
    mounted = {
        "archive-repo1-key": there.key.key,
        "archive-repo1-key-secret": there.key.secret,
        "archive-repo1-cipher": context.secrets.find(f"archive-repo{number}-cipher"),
    }
    for path in context.layout.secrets.iterdir():
        if path.is_file() and path.name not in mounted and not path.name.startswith("archive-"):
            shutil.copy(path, root / "secrets")
    for name, secret in mounted.items():
        assert secret is not None
        (root / "secrets" / name).write_text(secret.get_secret_value(), "ascii")
    bucket = S3Repository(
        type="s3",
        endpoint=there.host,
        port=there.port,
        bucket=there.bucket,
        region=there.region,
        ca_file=str(root / "ca.crt"),
    )
    archive = context.topology.archive.model_copy(update={"repositories": (bucket,)})
    made = bench_at(context, PodLayout(root / "state", pod=root / "pod"))
    return replace(
        made,
        topology=context.topology.model_copy(update={"archive": archive}),
        secrets=MountedSecrets(root / "secrets"),
        target=Elsewhere(made.target.layout, made.target.user, lab.home),  # type: ignore[arg-type]
        programs=context.programs,
    )


def prove(lab: Lab, at: LocalContext) -> RunSummary:
    spec: DrillSpec = replace(PROOF, build=lambda context: proof_at(context, at))
    (end,) = run_drills(lab.context, [Turn(spec, 0, 1, "")], Wishes(1), Quiet())
    assert isinstance(end, RunSummary), end
    return end


def test_the_proof_from_a_bench_is_a_proof(shared_lab: Lab, pod: Path) -> None:
    """Restored there, compared with the ledger, in the history; and nothing is left of it."""
    at = bench(shared_lab, pod)
    found = prove(shared_lab, at)
    assert (found.conclusion, found.exit_code) == (Conclusion.PASS, 0), found
    proved = [each for each in found.findings if each.check == PROVED]
    assert {each.validity for each in proved} == {Validity.VALID}
    assert len(proved) == len(found.streams) == 3  # two segments, the payments
    assert isinstance(at.target, Elsewhere)
    ran = " ".join(word for words in at.target.ran for word in words)
    for program in ("restore --repo=1 --set=", "archive-get", "mongo.backup.recover", "/pg_ctl -s"):
        assert program in ran, program
    assert any(shared_lab.home.iterdir())
    node = at.inventory.nodes[0]
    assert not at.target.run_tool(node, ("ls", "-A", str(shared_lab.home))).stdout
    assert not list(at.layout.run(node).glob("proof-*"))
    due = shared_lab.json("drill", "due", "--tag", "proof", code=None)
    assert [(row["drill"], row["overdue"], row["verdict"]) for row in due] == [  # type: ignore[attr-defined]
        ("backup-proof", False, "pass")
    ]


def test_another_key_proves_nothing(shared_lab: Lab, pod: Path) -> None:
    """A pod with a wrong secret says that there is no backup it can open: never a pass."""
    at = bench(shared_lab, pod)
    (pod / "secrets" / "mongo-backup-key").write_text("QUJD" * 86, "ascii")
    found = prove(shared_lab, at)
    assert (found.conclusion, found.exit_code) == (Conclusion.INCONCLUSIVE, 3)
    assert "mongo has no good backup" in str(found)
