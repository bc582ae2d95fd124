"""Keeps the book of changing commands: one line as a command begins to change a cluster, one at its
end.

What changes a cluster takes its lock, or says so (`cluster.lock.changes`): this is who is told. A
command that was killed has no line of its end. Where the book cannot be written the command goes
on, for it may be what mends the disk; that is said on stderr.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.lock import told
from skillswap_ops.console import say

if TYPE_CHECKING:
    from cluster.audit import Entry

NO_LOGIN = 2**32 - 1  # /proc/self/loginuid of what no session started


class Trail:
    """What this process has begun to change, with the command line as it was typed."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._open: dict[tuple[Path, str], tuple[int, float]] = {}

    def begins(self, root: Path, command: str) -> None:
        """Write that it begins, once for a command that takes a lock again and again."""
        if (root, command) in self._open:
            return
        from cluster.audit import Entry, now

        begun = Entry(
            number=1,
            at=now(),
            event="begun",
            command=command,
            arguments=_masked(root, self._words),
            who=who(),
            host=os.uname().nodename,
            pid=os.getpid(),
        )
        written = _append(root, begun, create=True)
        if written:
            self._open[root, command] = (written.number, time.monotonic())

    def ends(self, result: str) -> None:
        """Write what became of all that has begun."""
        if not self._open:
            return
        from cluster.audit import Entry, now

        for (root, command), (begun, since) in self._open.items():
            ended = Entry(
                number=begun + 1,
                at=now(),
                event="ended",
                command=command,
                pid=os.getpid(),
                of=begun,
                result=_masked(root, [result])[0],
                seconds=round(time.monotonic() - since, 1),
            )
            _append(root, ended, create=False)  # `destroy` has removed it with all the rest
        self._open.clear()


@contextmanager
def recorded(trail: Trail) -> Iterator[None]:
    """Tell the trail of what begins in the block, and of how the block ends."""
    with told(trail.begins):
        try:
            yield
        except BaseException as error:
            trail.ends(outcome(error))
            raise
        trail.ends("done")


def outcome(error: BaseException) -> str:
    """What became of a command, from what ended it."""
    if isinstance(error, SystemExit):
        code = error.code
        return "done" if code in {None, 0} else f"exit code {code}"
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return "interrupted"
    lines = str(getattr(error, "message", error)).strip().splitlines()
    return f"failed: {lines[0][:300] if lines else type(error).__name__}"


def who() -> str:
    """The user, and who they were when they logged in or called sudo."""
    name = _user(os.geteuid())
    before = {_user(os.getuid()), os.environ.get("SUDO_USER", ""), _logged_in()} - {"", name}
    return f"{name} ({', '.join(sorted(before))})" if before else name


def _logged_in() -> str:
    try:
        number = int(Path("/proc/self/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        return ""
    return "" if number == NO_LOGIN else _user(number)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _masked(root: Path, words: Sequence[str]) -> tuple[str, ...]:
    """The words without any secret of the cluster's."""
    from cluster.drill.publish.mask import Mask
    from cluster.errors import OpsError
    from cluster.layout import Layout
    from cluster.secrets import SecretStore

    try:
        known = SecretStore(Layout(root).secrets).known()
    except (OpsError, OSError):
        known = ()
    mask = Mask(secret.get_secret_value() for secret in known)
    return tuple(mask.text(word) for word in words)


def _append(root: Path, entry: "Entry", *, create: bool) -> "Entry | None":
    from cluster.audit import append
    from cluster.layout import AUDIT

    try:
        return append(root / AUDIT, entry, create=create)
    except OSError as error:
        say(f"warning: the audit log cannot be written: {error}")
        return None
