"""`services load`."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cluster.drill.meter import Live as Stream
    from skillswap_ops.traffic.load import Loaded

LINES_EVERY = 10.0  # seconds between two lines, where there is no terminal


@click.command("load")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.05, max=50),
    default=1.0,
    show_default=True,
    metavar="N",
    help="Journeys that are begun each second; each makes ten requests.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=15, max=86_400),
    default=60.0,
    show_default=True,
    metavar="N",
    help="How long.",
)
@click.option("--seed", type=int, help="Who meets whom, as in an earlier load.")
@click.option("--keep-data", is_flag=True, help="Leave what was written in the stores.")
@selects_cluster
def load(
    selection: Selection, *, rate: float, seconds: float, seed: int | None, keep_data: bool
) -> None:
    """Drive the user journey through the public API: register, log in, name a skill, find a
    teacher, propose a session with a message and a payment, chat, confirm, meet, review, pay.

    Requests are due at fixed times, whatever became of those before them, and latency counts from
    then. What was acknowledged is read back from the stores at the end.

    Exit codes: 0 served and nothing lost, 1 less than 99 % of a step acknowledged, or something
    acknowledged is lost or there twice, 3 inconclusive.

    \b
    Examples:
      skillswap-ops services load
      skillswap-ops services load --rate 3 --seconds 120 --seed 42
      skillswap-ops services load --output json
    """
    from cluster.lock import exclusive
    from skillswap_ops.drilling import any_seed
    from skillswap_ops.service_drills.common import not_deployed
    from skillswap_ops.traffic.load import Wanted, drive
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    if why := not_deployed(context):
        raise click.UsageError(why)
    wanted = Wanted(rate, seconds, any_seed() if seed is None else seed, keep_data=keep_data)
    console.say(f"{rate:g} journeys a second for {seconds:g} s (seed {wanted.seed})")
    folder = context.layout.root / "loads"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = exclusive(folder / "lock", "services load", root=context.layout.root)
    with lock, _shown(seconds) as on_course:
        found = drive(context, folder, wanted, on_course)
    if selection.json:
        console.print_json(_record(found))
    else:
        _print(found)
    if code := found.verdict.exit_code:
        raise SystemExit(code)


Streams = Callable[[], "tuple[Stream, ...]"]


@contextmanager
def _shown(seconds: float) -> "Iterator[Callable[[Streams], None]]":
    """A table that follows it on a terminal, a line now and then elsewhere."""
    known: list[Streams] = []
    if sys.stderr.isatty():
        from rich.live import Live

        from skillswap_ops.drill_live import REFRESH, Trails

        trails = Trails()
        live = Live(
            get_renderable=lambda: _draw(known, trails),
            console=console.err(),
            refresh_per_second=REFRESH,
            transient=True,
        )
        with live:
            yield known.append
        return
    over = threading.Event()
    lines = threading.Thread(target=_tell, args=(known, over, seconds), daemon=True)
    lines.start()
    try:
        yield known.append
    finally:
        over.set()
        lines.join()


def _draw(known: list[Streams], trails: "object") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from skillswap_ops.drill_live import Trails
    from skillswap_ops.drill_live import load as drawn

    if not known or not isinstance(trails, Trails):
        return Text("the teachers come …", "dim")
    streams = known[-1]()
    trails.add(streams, time.monotonic_ns())
    return Group(*drawn(streams, trails))


def _tell(known: list[Streams], over: threading.Event, seconds: float) -> None:
    began = time.monotonic()
    while not over.wait(LINES_EVERY):
        if known:
            rates = ", ".join(f"{s.name} {s.acked_rate:.1f}/{s.rate:g}" for s in known[-1]())
            console.say(f"  {time.monotonic() - began:5.0f} of {seconds:.0f} s  acked/s: {rates}")


def _print(found: "Loaded") -> None:
    from rich.text import Text

    from skillswap_ops.drill_view import MARK_STYLES, MARKS, STYLES
    from skillswap_ops.traffic.load import worst

    made = console.table(
        "step", ">intended", ">acked", ">failed", ">unknown", ">unsent", ">p50", ">p99", ">lost"
    )
    for each in found.streams:
        took, kept = each.latency_before, each.compared
        made.add_row(
            each.name,
            *(str(n) for n in (each.intended, each.acked, each.failed, each.unknown, each.unsent)),
            _milliseconds(took.median if took else None),
            _milliseconds(took.p99 if took else None),
            "–" if kept is None else str(kept.lost),
        )
    out, style = console.out(), STYLES[found.verdict.conclusion]
    out.print(made)
    for each in found.streams:
        for reason, count in each.errors:
            out.print(Text(f"  {each.name}: {count} × {reason}", "dim"))
    out.print(Text(found.verdict.conclusion.value.upper(), f"bold {style}"))
    for finding in worst(found):
        mark = (MARKS[finding.validity], MARK_STYLES[finding.validity])
        about = f"{finding.subject}: " if finding.subject else ""
        out.print(Text.assemble(mark, f" {finding.check}: {about}{finding.message}"))
    out.print(Text(f"Evidence: {found.folder}", "dim"), soft_wrap=True)


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms"


def _record(found: "Loaded") -> dict[str, object]:
    return {
        "run": found.run,
        "seed": found.seed,
        "rate": found.rate,
        "seconds": found.seconds,
        "conclusion": found.verdict.conclusion,
        "findings": found.verdict.findings,
        "folder": found.folder,
        "interrupted": found.interrupted,
        "steps": [
            {
                "step": each.name,
                "intended": each.intended,
                "acked": each.acked,
                "failed": each.failed,
                "unknown": each.unknown,
                "unsent": each.unsent,
                "p50": each.latency_before.median if each.latency_before else None,
                "p99": each.latency_before.p99 if each.latency_before else None,
                "lost": each.compared.lost if each.compared else None,
                "errors": dict(each.errors),
            }
            for each in found.streams
        ],
    }
