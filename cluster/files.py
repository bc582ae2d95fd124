"""Files that are whole or absent, after a loss of power too: written beside, synced, renamed."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_atomic(path: Path, text: str, *, mode: int = 0o644, owner: int | None = None) -> None:
    """Put `text` at `path` in one step, with `mode` and, for root, `owner` as its user id."""
    _write(path, text, mode, owner, replace=True)


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Put `text` at `path`, readable to the current user only.

    With `replace` false an existing file is left as it is.
    """
    _write(path, text, 0o600, None, replace=replace)


def _write(path: Path, text: str, mode: int, owner: int | None, *, replace: bool) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), owner, -1)
        if replace:
            Path(name).replace(path)
        else:
            with suppress(FileExistsError):
                os.link(name, path)
        _sync_folder(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name last: a password that servers know already must not be lost."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
