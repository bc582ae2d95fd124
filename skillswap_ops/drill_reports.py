"""Writes a run's report files again from its evidence."""

from pathlib import Path

from cluster.context import Context
from cluster.drill.evidence import REPORT
from cluster.drill.publish.folder import publish
from cluster.drill.publish.mask import Mask
from cluster.drill.runner import conclude_whole
from skillswap_ops.catalogue import all_checks


def rewrite(context: Context, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Write journal, JUnit, metrics and report of a run anew; where the report is, and what failed.

    Raises as `evidence.load_run` does.
    """
    mask = Mask(secret.get_secret_value() for secret in context.secrets.known())
    return folder / REPORT, publish(conclude_whole(folder, all_checks()), mask)
