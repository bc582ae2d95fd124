"""Runs the requirement suite in a process of its own, so that the caller's pytest is left alone."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cluster.context import Context
from cluster.errors import OpsError
from skillswap_ops.requirements.conftest import CLUSTER, HOME, TARGET
from skillswap_ops.requirements.recorder import RESULTS

SECONDS = 300


@dataclass(frozen=True)
class Requirement:
    """One requirement as it was found; `outcome` is passed, failed or skipped."""

    requirement: str
    check: str
    outcome: str
    reason: str
    seconds: float


def verify(context: Context, keyword: str | None) -> tuple[Requirement, ...]:
    """Assert every requirement (or those whose name matches pytest's `-k` expression).

    Raises OpsError where the suite could not be run at all.
    """
    suite = str(files("skillswap_ops.requirements"))
    with tempfile.TemporaryDirectory(prefix="skillswap-ops-verify-") as folder:
        results = Path(folder) / "results.json"
        ended = _run(context, suite, folder, results, keyword)
        if not results.exists():
            words = (ended.stdout + ended.stderr).strip().splitlines() or ["no output"]
            raise OpsError(f"the requirement suite did not run: {words[-1]}")
        records = json.loads(results.read_text("utf-8"))
    if not records:
        raise OpsError(
            "no requirement was checked",
            f"-k {keyword}: matches none" if keyword else "\n".join(ended.stdout.splitlines()[-5:]),
        )
    return tuple(Requirement(**record) for record in records)


def _run(
    context: Context, suite: str, folder: str, results: Path, keyword: str | None
) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "pytest", suite, "-q", "--import-mode=importlib"]
    argv += ["-p", "skillswap_ops.requirements.recorder", "-p", "no:cacheprovider"]
    argv += ["-c", os.devnull, f"--rootdir={folder}"]
    argv += ["-k", keyword] if keyword else []
    layout = context.layout
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        HOME: str(layout.root.parent),
        CLUSTER: layout.root.name,
        TARGET: context.target.name,
        RESULTS: str(results),
    }
    try:
        return subprocess.run(
            argv, env=env, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OpsError(f"the requirement suite did not end within {SECONDS} s") from error
