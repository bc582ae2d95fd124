"""Writes a run's reports beside its evidence: nothing here can change the verdict."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.drill.evidence import JOURNAL, JUNIT, LEDGER, METRICS, REPORT
from cluster.drill.measures import Measures
from cluster.drill.publish import configuration, journal_json, junit, page, textfile
from cluster.drill.publish.mask import UNMASKED, Mask
from cluster.drill.report import RunSummary
from cluster.files import write_atomic


@dataclass(frozen=True)
class Concluded:
    """A run that was judged."""

    measures: Measures
    summary: RunSummary

    def noted(self, *notes: str) -> "Concluded":
        """The same with more notes."""
        return replace(self, summary=replace(self.summary, notes=(*self.summary.notes, *notes)))


WRITERS: Mapping[str, Callable[[Measures, RunSummary], str]] = {
    JOURNAL: journal_json.render,
    JUNIT: junit.render,
    METRICS: textfile.render,
    REPORT: page.render,
}


def publish(concluded: Concluded, mask: Mask = UNMASKED) -> tuple[str, ...]:
    """Write every report; what could not be written."""
    return (*_versions(concluded), *_reports(concluded, concluded.summary.folder, mask))


def _versions(concluded: Concluded) -> Iterator[str]:
    try:
        configuration.keep_versions(concluded.summary.folder, concluded.summary.versions)
    except OSError as error:
        yield f"versions not kept: {error}"


def _reports(concluded: Concluded, folder: Path, mask: Mask) -> Iterator[str]:
    for name, render in WRITERS.items():
        try:
            text = render(concluded.measures, concluded.summary)
            write_atomic(folder / name, mask.text(text), mode=0o640)
        except Exception as error:  # noqa: BLE001 - the verdict stands, and the next is written
            yield f"{name} not written: {type(error).__name__}: {error}"


def sweep(folder: Path, mask: Mask) -> Iterator[str]:
    """Mask what others left in the folder: what engines collected, a trace of an error. Says so."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name == LEDGER or path.suffix == ".npy":
            continue
        try:
            data = path.read_bytes()
            masked = mask.data(data)
            if masked != data:
                path.write_bytes(masked)
                yield f"a secret was masked in {path.relative_to(folder)}"
        except OSError as error:
            yield f"{path.relative_to(folder)} was not searched for secrets: {error}"
