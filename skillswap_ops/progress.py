"""Progress by component: a live table on a terminal, a line as each one ends elsewhere."""

import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.plan import Event, Finished, Outcome, Started, Step
from skillswap_ops.console import err, say


@dataclass
class _Component:
    total: int
    running: list[str] = field(default_factory=list)
    ends: Counter[Outcome] = field(default_factory=Counter)
    began: float | None = None
    ended: float = 0.0

    @property
    def finished(self) -> bool:
        return self.ends.total() == self.total

    @property
    def state(self) -> str:
        if self.ends[Outcome.FAILED]:
            return "failed"
        if self.finished:
            return "skipped" if self.ends[Outcome.SKIPPED] else "done"
        return "waiting" if self.began is None else "working"


class Progress:
    """What the executor reports, by component."""

    def __init__(self, steps: Iterable[Step], clock: Clock = SYSTEM_CLOCK) -> None:
        counts = Counter(step.component for step in steps)
        self._components = {name: _Component(count) for name, count in counts.items()}
        self._clock = clock
        self._lock = threading.Lock()
        self._live = sys.stderr.isatty()

    def on_event(self, event: Event) -> None:
        """Take one event of the executor; called from its thread only."""
        component = self._components[event.step.component]
        with self._lock:
            if isinstance(event, Started):
                component.running.append(event.step.what)
                component.began = component.began or self._clock.monotonic()
                return
            component.running.remove(event.step.what)
            component.ends[event.outcome] += 1
            component.ended = event.ended
        if not self._live:
            self._line(event, component)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw it while the block runs."""
        if not self._live:
            yield
            return
        with Live(get_renderable=self._draw, console=err(), refresh_per_second=8, transient=True):
            yield

    def _line(self, end: Finished, component: _Component) -> None:
        if end.outcome is Outcome.FAILED:
            say(f"{end.step.component}: {end.step.what}: {end.why}")
        elif component.finished and component.began is not None:
            seconds = component.ended - component.began
            name, changes = end.step.component, _changes(component)
            say(f"{name:<28} {component.state:<8} {seconds:5.1f} s{changes}")

    def _draw(self) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        with self._lock:
            for name, component in self._components.items():
                grid.add_row(*self._row(name, component))
        return grid

    def _row(self, name: str, component: _Component) -> tuple[RenderableType, ...]:
        state = component.state
        styles = {"done": "green", "failed": "red", "skipped": "yellow", "working": "cyan"}
        mark: RenderableType = (
            Spinner("dots", style="cyan")
            if state == "working"
            else Text("●", styles.get(state, "dim"))
        )
        end = component.ended if component.finished else self._clock.monotonic()
        seconds = f"{end - component.began:5.1f} s" if component.began is not None else ""
        what = component.running[0] if component.running else _changes(component).strip(" ()")
        return (mark, Text(name), Text(seconds, "dim"), Text(what, "dim", overflow="ellipsis"))


def _changes(component: _Component) -> str:
    changed = component.ends[Outcome.CHANGED]
    if not component.finished:
        return ""
    return f"  ({changed} of {component.total} changed)" if changed else "  (nothing to change)"
