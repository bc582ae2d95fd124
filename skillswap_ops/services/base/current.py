"""The secrets of an instance as its settings file has them now: they are changed while it runs.

Everything else of the file is read once, at the start. Who is refused a log-in asks here before it
gives up; the server asks every few seconds.
"""

from dataclasses import dataclass
from pathlib import Path

from cluster.errors import InvalidInputError
from manifests.services.settings import Jwt, Settings, load
from skillswap_ops.services.base.logs import logger


@dataclass(frozen=True)
class Passwords:
    """What a log-in may be tried with: the one in force, and the one that may be so already."""

    now: str
    next: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """In the order in which they are tried."""
        return (self.now, self.next) if self.next else (self.now,)

    def instead_of(self, refused: str) -> str:
        """What to try after one was refused; "" where there is nothing else."""
        return next((each for each in self.all if each != refused), "")


class Current:
    """The settings' secrets. Without a `path` they are what the instance began with."""

    def __init__(self, settings: Settings, path: Path | None = None) -> None:
        self._settings, self._path = settings, path
        self._mark = _mark(path)

    @property
    def jwt(self) -> Jwt:
        """The signing keys."""
        return self._settings.jwt

    def passwords(self, store: str) -> Passwords:
        """Those of `mongo`, `postgres` or `redis`, as the file says now."""
        self.refresh()
        found = getattr(self._settings, store)
        coming = getattr(found, "next", None)
        return Passwords(
            found.password.get_secret_value(), coming.get_secret_value() if coming else ""
        )

    def refresh(self) -> bool:
        """Read the file where it is another one than before; whether it was.

        One that cannot be read is left for the next time, and what is known stays in force.
        """
        mark = _mark(self._path)
        if self._path is None or mark is None or mark == self._mark:
            return False
        try:
            found = load(self._path)
        except InvalidInputError as error:
            logger().warning("the changed settings cannot be read", why=error.message)
            return False
        self._settings, self._mark = found, mark
        return True


def _mark(path: Path | None) -> tuple[int, int, int] | None:
    """What is another one for another file: it is replaced, and never written into."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found else None
