"""Steps that have run, as the command line ends: an error that names what failed, or nothing."""

from collections.abc import Iterable

from cluster.errors import OpsError
from cluster.plan import Finished, Outcome


def failures(ends: Iterable[Finished]) -> list[Finished]:
    """The steps that failed themselves, the skipped ones apart."""
    return [end for end in ends if end.outcome is Outcome.FAILED]


def raise_failures(ends: Iterable[Finished], hint: str) -> None:
    """Raises OpsError where a step failed; its own hint is better than `hint`."""
    failed = failures(ends)
    if failed:
        lines = [f"{end.step.component}: {end.step.what}: {end.why}" for end in failed]
        hints = [end.error.hint for end in failed if isinstance(end.error, OpsError)]
        raise OpsError("\n".join(lines), next((own for own in hints if own), "") or hint)
