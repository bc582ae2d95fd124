"""Rows that runs have left in the cluster: whose they are, and which may go."""

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.drill.evidence import VERDICT, runs
from cluster.drill.runner import ROWS_KEPT
from cluster.drill.verdict import Conclusion


@dataclass(frozen=True)
class Leftover:
    """A place that a run wrote to: `name` is a collection or a table, `within` its database."""

    run: str
    within: str
    name: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.within}.{self.name}"


def why_kept(drills: Path, run: str) -> str:
    """Why a run's rows are where they are on purpose; "" where they may go.

    The caller holds the cluster's lock: a run without a verdict was killed.
    """
    verdict = next((f / VERDICT for f in runs(drills) if f.name.endswith(f"-{run}")), None)
    if verdict is None or not verdict.exists():
        return ""
    summary = json.loads(verdict.read_bytes())
    if summary["conclusion"] == Conclusion.FAIL:
        return "its run failed: they are evidence"
    return "kept as asked" if ROWS_KEPT.format(run=run) in summary["notes"] else ""
