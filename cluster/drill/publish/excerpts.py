"""The lines of each log around the fault, for the report; the whole is in the folder's `logs`."""

from dataclasses import dataclass
from pathlib import Path

from cluster.drill.publish.logs import FOLDER, Excerpt, excerpts

LINES_BEFORE, LINES_AFTER = 4, 20
LONGEST = 220  # characters of a line
NEAR = 256 * 1024  # bytes around the fault that are looked at


@dataclass(frozen=True)
class Shown:
    """A log's excerpt and its lines just before and after the fault (the last ones without)."""

    excerpt: Excerpt
    before: tuple[str, ...]
    after: tuple[str, ...]


def shown(folder: Path) -> tuple[Shown, ...]:
    """Every log in which something was written, or that could not be read."""
    return tuple(
        _shown(folder, excerpt) for excerpt in excerpts(folder) if excerpt.written or excerpt.note
    )


def _shown(folder: Path, excerpt: Excerpt) -> Shown:
    path = folder / FOLDER / f"{excerpt.name}.log"
    if not path.is_file():
        return Shown(excerpt, (), ())
    size = path.stat().st_size
    fault = size if excerpt.fault is None else excerpt.fault
    start = max(0, fault - NEAR)
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(2 * NEAR)
    before = _lines(data[: fault - start])[-LINES_BEFORE:]
    if excerpt.fault is None:
        before = _lines(data[: fault - start])[-LINES_AFTER:]
    return Shown(excerpt, before, _lines(data[fault - start :])[:LINES_AFTER])


def _lines(data: bytes) -> tuple[str, ...]:
    lines = data.decode("utf-8", "replace").splitlines()
    return tuple(line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in lines)
