"""Ctrl-C and its kin: heard in some places, and kept waiting everywhere else."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption(KeyboardInterrupt):
    """Somebody asked the run to stop; its text says by which signal."""


class Interrupts:
    """While entered, signals raise Interruption in the main thread, inside `heard` blocks alone.

    One that comes elsewhere (while a fault is undone) waits for the next such block. Outside the
    main thread nothing is installed.
    """

    def __init__(self) -> None:
        self._hearing = False
        self._waiting = ""
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as it was given to us

    @contextmanager
    def heard(self) -> Iterator[None]:
        """A signal cuts this block off; at once, if one has been waiting."""
        self._hearing = True
        try:
            by, self._waiting = self._waiting, ""
            if by:
                raise Interruption(by)
            yield
        finally:
            self._hearing = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not self._hearing:
            self._waiting = name
            return
        self._hearing = False  # a second one waits for the next block
        raise Interruption(name)
