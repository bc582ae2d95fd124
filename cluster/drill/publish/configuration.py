"""The effective configuration, as texts: before the fault and after convergence."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.drill.publish.mask import Mask
from cluster.files import write_atomic

FOLDER = "configuration"
VERSIONS = "versions.txt"
When = Literal["before", "after"]
DIFF_LINES = 60  # of a text, shown


@dataclass(frozen=True)
class Change:
    """A text that was another after the run; `diff` is unified, and may be cut."""

    name: str
    diff: tuple[str, ...]


def keep(folder: Path, when: When, texts: Mapping[str, str], mask: Mask) -> None:
    """Write the texts, masked; a `/` in a name makes a folder. Raises OSError."""
    for name, text in texts.items():
        path = folder / FOLDER / when / _file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, mask.text(text).rstrip("\n") + "\n", mode=0o640)


def keep_versions(folder: Path, versions: Mapping[str, str]) -> None:
    """Write what ran. Raises OSError."""
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    lines = "".join(f"{name} {version}\n" for name, version in sorted(versions.items()))
    write_atomic(target / VERSIONS, lines, mode=0o640)


def names(folder: Path) -> tuple[str, ...]:
    """The texts that were kept before the fault."""
    return tuple(_read(folder, "before"))


def changes(folder: Path) -> tuple[Change, ...]:
    """What differs between before and after; nothing where either was not read."""
    before, after = _read(folder, "before"), _read(folder, "after")
    if not before or not after:
        return ()
    return tuple(
        Change(name, _diff(before.get(name, ""), after.get(name, "")))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _diff(before: str, after: str) -> tuple[str, ...]:
    lines = list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=1
        )
    )
    more = [f"… {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    return tuple(lines[:DIFF_LINES] + more)


def _read(folder: Path, when: When) -> dict[str, str]:
    top = folder / FOLDER / when
    files = sorted(path for path in top.rglob("*") if path.is_file())
    return {str(path.relative_to(top)): path.read_text("utf-8") for path in files}


def _file_name(name: str) -> Path:
    """A name as a path below the folder, whatever its characters."""
    parts = [re.sub(r"[^\w.-]+", "-", part).lstrip(".") or "-" for part in name.split("/")]
    return Path(*parts)
