"""Fixtures of all tests: a throwaway home, and one provisioned cluster for those that need it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings

from cluster.clock import SYSTEM_CLOCK
from cluster.inventory import Kind
from cluster.local import processes
from skillswap_ops.options import Selection
from skillswap_ops.wiring import LocalContext, local_context

# A machine that others load may be slow to think of an example; that says nothing of the code.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "cluster" / "tp3.yaml"
SHARED_NETWORK = "127.90.0.0/16"
COMPLAINT = re.compile("ALERT|FATAL|ERROR|CRITICAL|Traceback|Error")
LINES = 8


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests without the shared cluster first: it need not run beside them on two processors."""
    items.sort(key=lambda item: "shared_lab" in getattr(item, "fixturenames", ()))


@dataclass(frozen=True)
class Lab:
    """A home with a topology file, and the command line run on it."""

    home: Path
    topology: Path

    @property
    def selection(self) -> Selection:
        return Selection(self.topology, self.home, None, "local", "table")

    @property
    def context(self) -> LocalContext:
        return local_context(self.selection)

    def command(self, *words: str) -> list[str]:
        """The command line as an argument list."""
        options = ["--home", str(self.home), "--topology", str(self.topology)]
        return [sys.executable, "-m", "skillswap_ops.main", *words, *options]

    def run(
        self, *words: str, code: int | None = 0, seconds: float = 300
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command line; asserts its exit code unless `code` is None."""
        ended = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        shown = f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert code is None or ended.returncode == code, shown
        assert "Traceback" not in ended.stderr, shown
        return ended

    def memory(self) -> int:
        """Bytes that the cluster takes now, without the store, which the default topology lacks."""
        seen = self.json("status", code=None)
        assert isinstance(seen, dict)
        store = sum(node["memory_bytes"] for node in seen["nodes"] if node["kind"] == Kind.OBJECTS)
        return int(seen["memory_bytes"]) - int(store)

    @property
    def fresh_memory(self) -> Path:
        """Where `memory` is kept as it was when the cluster was new; it grows with tests."""
        return self.home / "fresh-memory"

    def json(self, *words: str, code: int | None = 0) -> object:
        """What the command printed, as JSON."""
        return json.loads(self.run(*words, "--output", "json", code=code).stdout)


def make_lab(network: str, name: str, **changes: object) -> Lab:
    """A lab in a folder that the servers' user can enter; `changes` replace top-level fields."""
    home = Path(tempfile.mkdtemp(prefix="sso-"))
    home.chmod(0o755)
    topology = yaml.safe_load(SHIPPED.read_text("utf-8"))
    topology |= {"name": name, "local": {"network": network}, **changes}
    file = home / "topology.yaml"
    file.write_text(yaml.safe_dump(topology), "utf-8")
    return Lab(home, file)


def remove_lab(lab: Lab) -> None:
    """End and remove whatever the lab's clusters left."""
    for cluster in lab.home.iterdir():
        if cluster.is_dir():
            processes.kill_all(cluster, None, SYSTEM_CLOCK, seconds=30)
    shutil.rmtree(lab.home, ignore_errors=False)


def _provision(lab: Lab) -> None:
    """Provision; where that fails, say why in the run's summary, and go on as a person would.

    Some hundred tests stand on this one cluster: they say more than one failed start of it does.
    """
    first = lab.run("provision", code=None)
    if first.returncode:
        warnings.warn(
            f"provision failed at first:\n{first.stderr}\n{_complaints(lab)}", stacklevel=2
        )
        lab.run("provision")


def _complaints(lab: Lab) -> str:
    """The last lines in which a server complains, of each log."""
    found = []
    for log in sorted(lab.context.layout.root.glob("logs/*.log")):
        lines = log.read_text("utf-8", errors="replace").splitlines()
        found += [f"{log.stem}: {line}" for line in lines if COMPLAINT.search(line)][-LINES:]
    return "\n".join(found)


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    """The whole TP3 topology and an object store, provisioned once; tests leave it healthy."""
    if os.environ.get("SKILLSWAP_OPS_TEST_LAB"):  # a developer's own, kept between runs
        home = Path(os.environ["SKILLSWAP_OPS_TEST_LAB"])
        kept = Lab(home, home / "topology.yaml")
        if not kept.fresh_memory.exists():
            kept.fresh_memory.write_text(str(kept.memory()), "utf-8")
        yield kept
        return
    lab = make_lab(
        SHARED_NETWORK,
        "shared",
        objects={"members": 1},
        archive={"repositories": [{"type": "folder"}, {"type": "objects"}]},
    )
    try:
        _provision(lab)
        lab.fresh_memory.write_text(str(lab.memory()), "utf-8")
        yield lab
        lab.run("destroy", "--yes")
    finally:
        remove_lab(lab)
