"""A drill as it runs: a panel below its events on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cluster.drill.contracts import Observation
from cluster.drill.events import Event, Injected, Observed, PhaseBegan, UndoFailed, Undone
from cluster.drill.meter import Live as Stream
from cluster.drill.runner import Hooks
from skillswap_ops.console import err, say
from skillswap_ops.drill_series import End, Turn
from skillswap_ops.drill_view import line

REFRESH = 4  # a second
RATES_EVERY = 10.0  # seconds between two lines of rates, where there is no terminal
TRAIL = 24  # how many of the last half seconds are drawn
BARS = " ▁▂▃▄▅▆▇█"
SLOW_RATE = 10.0  # operations a second below which tenths are shown


@dataclass
class Scene:
    """What is known of a run, from its events. Seconds and ns are monotonic."""

    title: str
    began_ns: int
    phase: str = ""
    broken: dict[str, tuple[str, int]] = field(default_factory=dict)  # by entry: name, since
    seen: dict[str, Observation] = field(default_factory=dict)
    undone: bool = False
    stuck: bool = False

    def take(self, event: Event) -> None:
        """One more event."""
        match event.what:
            case PhaseBegan(phase=phase):
                self.phase = str(phase)
            case Injected(entry=entry, fault=fault, at_ns=at_ns):
                self.broken[entry] = (fault, at_ns)
            case Undone(entry=entry):
                self.undone = True
                self.broken.pop(entry, None)
            case UndoFailed():
                self.stuck = True
            case Observed(group=group, observation=observation):
                self.seen[group] = observation
            case _:
                pass


class Trails:
    """The acknowledged share of each stream, half a second a bar."""

    def __init__(self) -> None:
        self._shares: dict[str, deque[float]] = {}
        self._half_second = 0

    def add(self, streams: tuple[Stream, ...], now_ns: int) -> None:
        """The streams now; a second call within a half second changes nothing."""
        if now_ns // 500_000_000 == self._half_second:
            return
        self._half_second = now_ns // 500_000_000
        for stream in streams:
            shares = self._shares.setdefault(stream.name, deque(maxlen=TRAIL))
            shares.append(min(1.0, stream.acked_rate / stream.rate))

    def drawn(self, name: str) -> str:
        """One character a half second."""
        top = len(BARS) - 1
        shares = self._shares.get(name, ())
        return "".join(BARS[max(1, round(share * top))] for share in shares)


def draw(scene: Scene, streams: tuple[Stream, ...], trails: Trails, now_ns: int) -> RenderableType:
    """The panel."""
    return Panel(
        Group(_facts(scene, now_ns), *load(streams, trails)),
        title=Text.assemble((scene.title, "bold")),
        title_align="left",
        subtitle=f"{scene.phase} · {(now_ns - scene.began_ns) / 1e9:.0f} s",
        subtitle_align="right",
        border_style="red" if scene.broken else "cyan",
    )


def load(streams: tuple[Stream, ...], trails: Trails) -> Iterator[RenderableType]:
    """The streams, and what went wrong in them last."""
    if streams:
        yield Text()
        yield _table(streams, trails)
        yield from _errors(streams)


def _facts(scene: Scene, now_ns: int) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_row(Text("fault", "dim"), _fault(scene, now_ns))
    facts.add_row(Text("leads", "dim"), Text("   ").join(map(_leader, scene.seen.items())))
    return facts


def _fault(scene: Scene, now_ns: int) -> Text:
    if not scene.broken:
        return Text("undone" if scene.undone else "none yet", "dim")
    shown = (f"{name}, {(now_ns - at) / 1e9:.0f} s ago" for name, at in scene.broken.values())
    return Text("; ".join(shown) + (" — NOT UNDONE" if scene.stuck else ""), "bold red")


def _leader(pair: tuple[str, Observation]) -> Text:
    group, seen = pair
    leads = " and ".join(seen.leaders) or "nobody"
    style = "green" if len(seen.leaders) == 1 else "bold red"
    epoch = "" if seen.epoch is None else f" ({seen.epoch})"
    bare = seen.protected is False and bool(seen.leaders)
    return Text.assemble(
        (f"{group}: ", "dim"), (leads, style), epoch, (" unprotected", "yellow") if bare else ""
    )


def _table(streams: tuple[Stream, ...], trails: Trails) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    made.add_column("stream", overflow="ellipsis")
    for column in ("acked/s", "slowest", "failed", "unknown", "unsent"):
        made.add_column(column, justify="right", no_wrap=True)
    made.add_column(f"last {TRAIL // 2} s", no_wrap=True, min_width=TRAIL)
    for each in streams:
        made.add_row(
            each.name,
            Text(_rate(each), _health(each)),
            "–" if each.slowest is None else f"{each.slowest * 1000:.0f} ms",
            *(str(count) for count in (each.failed, each.unknown, each.unsent)),
            Text(trails.drawn(each.name), _health(each)),
        )
    return made


def _rate(stream: Stream) -> str:
    """Acknowledged a second of what is intended; a slow stream's tenths, or it seems down."""
    digits = 1 if stream.rate < SLOW_RATE else 0
    return f"{stream.acked_rate:.{digits}f}/{stream.rate:g}"


def _errors(streams: tuple[Stream, ...]) -> Iterator[Text]:
    """What went wrong last, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for each in streams:
        if each.last_reason:
            by_reason.setdefault(each.last_reason, []).append(each.name)
    for reason, names in by_reason.items():
        yield Text(f"last error of {'; '.join(names)}: {reason}", "dim")


def _health(stream: Stream) -> str:
    share = stream.acked_rate / stream.rate
    return "green" if share >= 0.9 else "yellow" if share >= 0.1 else "red"


class Show:
    """Follows a series of drills on stderr; `after` is told each end, with nothing being drawn."""

    def __init__(self, after: Callable[[End], None]) -> None:
        self._after = after
        self._terminal = sys.stderr.isatty()
        self._scene = Scene("", 0)
        self._trails = Trails()
        self._streams: Callable[[], tuple[Stream, ...]] = tuple
        self._live: Live | None = None
        self._told: dict[str, str] = {}  # by group: what was last said of its leader

    @contextmanager
    def shown(self) -> Iterator["Show"]:
        """Leaves the terminal as it was, whatever happens."""
        over = threading.Event()
        rates = threading.Thread(target=self._tell_rates, args=(over,), daemon=True)
        rates.start()
        try:
            yield self
        finally:
            over.set()
            rates.join()
            self._lower()

    def begins(self, turn: Turn) -> Hooks:
        """A run begins."""
        again = f" #{turn.number + 1}" if turn.number else ""
        self._scene = Scene(f"{turn.spec.name}{again} · seed {turn.seed}", time.monotonic_ns())
        self._trails, self._told = Trails(), {}
        say(f"{turn.spec.name}{again}: {turn.spec.fault} (seed {turn.seed})")
        self._raise()
        return Hooks(on_event=self._take, on_course=self._follow)

    def ends(self, end: End) -> None:
        """A drill has ended."""
        self._lower()
        self._streams = tuple
        self._after(end)

    def waits(self, lacks: str) -> None:
        """The cluster is not whole yet."""
        say(f"waiting until the cluster is whole: {lacks}")

    def _follow(self, streams: Callable[[], tuple[Stream, ...]]) -> None:
        self._streams = streams

    def _take(self, event: Event) -> None:
        self._scene.take(event)
        text = line(event)
        if text and not self._is_old(event, text):
            self._print(f"  {(event.ns - self._scene.began_ns) / 1e9:6.1f} s  {text}")

    def _is_old(self, event: Event, text: str) -> bool:
        """A group's change that no word of its line tells."""
        if not isinstance(event.what, Observed):
            return False
        old = self._told.get(event.what.group) == text
        self._told[event.what.group] = text
        return old

    def _print(self, text: str) -> None:
        if self._live:
            err().print(Text(text), soft_wrap=True)
        else:
            say(text)

    def _raise(self) -> None:
        if self._terminal:
            self._live = Live(
                get_renderable=self._draw, console=err(), refresh_per_second=REFRESH, transient=True
            )
            self._live.start()

    def _lower(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def _draw(self) -> RenderableType:
        now, streams = time.monotonic_ns(), self._streams()
        self._trails.add(streams, now)
        return draw(self._scene, streams, self._trails, now)

    def _tell_rates(self, over: threading.Event) -> None:
        while not over.wait(RATES_EVERY):
            streams = () if self._terminal else self._streams()
            if streams:
                now = (time.monotonic_ns() - self._scene.began_ns) / 1e9
                rates = ", ".join(f"{s.name} {_rate(s)}" for s in streams)
                say(f"  {now:6.1f} s  acked/s: {rates}")
