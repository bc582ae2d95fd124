"""Runs this tool's own commands for a runbook, each as a process with its output in a file.

A command goes on when the runner is killed: its output has a file, not a pipe. Whoever resumes
waits for that very process, by its pid and the instant of its start.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.clock import Clock, wait_for
from cluster.errors import UnreachableError

EVERY_SECONDS = 0.1
END_SECONDS = 20.0


@dataclass(frozen=True)
class OwnCommands:
    """`program` begins every command, `selection` ends it; `takes` knows a command's options.

    `selection` are options with a value each; one that the command names itself, or does not take,
    is left out.
    """

    program: Sequence[str]
    selection: Sequence[str]
    takes: Callable[[Sequence[str], str], bool]
    clock: Clock

    def run(
        self,
        words: list[str],
        output: Path,
        *,
        seconds: float,
        agreed: bool,
        spawned: Callable[[int, float], None],
        line: Callable[[str], None],
    ) -> int:
        """Run it; its exit code. Raises UnreachableError where it takes longer than `seconds`."""
        argv = [*self.program, *words, *self._options(words, agreed=agreed)]
        with output.open("wb") as file, output.open("rb") as reader:
            output.chmod(0o600)
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
            spawned(child.pid, _created(child.pid))
            tail = _Tail(reader.read, line)
            deadline = self.clock.monotonic() + seconds
            while (code := child.poll()) is None:
                tail.more()
                if self.clock.monotonic() > deadline:
                    _end(child)
                    raise UnreachableError(f"{' '.join(words)} did not end within {seconds:g} s")
                time.sleep(EVERY_SECONDS)
            tail.more()
            tail.rest()
        return code

    def _options(self, words: Sequence[str], *, agreed: bool) -> list[str]:
        """What the words lack. Of an option that is there twice, the last one would win."""
        pairs = zip(self.selection[::2], self.selection[1::2], strict=True)
        wanted = [*pairs, *([("--yes",)] if agreed else [])]
        return [
            part
            for option in wanted
            if option[0] not in words and self.takes(words, option[0])
            for part in option
        ]

    def await_end(self, pid: int, created: float, seconds: float) -> None:
        """Wait until that process has ended. Raises UnreachableError."""

        def ended() -> bool:
            return _created(pid) != created

        wait_for(f"the end of the command of before (pid {pid})", ended, seconds=seconds)


class _Tail:
    """Whole lines of what is appended to a file."""

    def __init__(self, read: Callable[[], bytes], line: Callable[[str], None]) -> None:
        self._read, self._line = read, line
        self._part = b""

    def more(self) -> None:
        """Pass on what is new."""
        *whole, self._part = (self._part + self._read()).split(b"\n")
        for each in whole:
            self._line(each.decode("utf-8", "replace"))

    def rest(self) -> None:
        """Pass on a last line without an end."""
        if self._part:
            self._line(self._part.decode("utf-8", "replace"))


def _created(pid: int) -> float:
    """When a process began; -1 where there is none, or it has ended and is not yet reaped."""
    try:
        process = psutil.Process(pid)
        return -1.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return -1.0


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
