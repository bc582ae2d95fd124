"""The catalogue of drills, and one drill's card, as a person reads them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.drill.contracts import DrillSpec
from skillswap_ops import console
from skillswap_ops.drill_card import Card, OnCluster, promised
from skillswap_ops.drill_repeats import STAMPS
from skillswap_ops.drill_view import expected, length

if TYPE_CHECKING:
    from rich.table import Table


def print_catalogue(found: Sequence[tuple[DrillSpec, str]]) -> None:
    """Every drill, and why it is skipped here."""
    from rich.text import Text

    made = console.table("drill", "fault", "must hold", ">about")
    for spec, why in found:
        name = Text(spec.name, "yellow" if why else "bold")
        holds = Text.assemble(spec.must_hold, *([("\nskipped: " + why, "yellow")] if why else []))
        made.add_row(name, spec.fault, holds, length(spec.seconds))
        made.add_row("", Text(" ".join(sorted(spec.tags)), "dim"))
    made.columns[0].no_wrap = made.columns[3].no_wrap = True
    console.out().print(made)
    here = [spec for spec, why in found if not why]
    total = length(sum(spec.seconds for spec in here))
    skipped = len(found) - len(here)
    console.out().print(f"{len(here)} drills, about {total} in all; {skipped} skipped here.")


def print_card(card: Card) -> None:
    """What is known without a cluster, then what the cluster says."""
    from rich.text import Text

    out = console.out()
    out.print(Text.assemble((card.name, "bold"), ("  " + " ".join(card.tags), "dim")))
    facts = _facts()
    rows = {
        "hypothesis": card.hypothesis,
        "fault": card.fault,
        "must hold": card.must_hold,
        "undo": "recorded before the fault acts; at the end, on Ctrl-C, or by `drill heal`",
        "takes about": length(card.seconds),
        "needs": "\n".join(card.needs),
        "alerts": card.alerts and f"{', '.join(card.alerts)} must fire, where monitoring is up",
        "SLA": "\n".join(f"{engine}: {promise}" for engine, promise in card.sla.items()),
    }
    for name, text in rows.items():
        if text:
            facts.add_row(Text(name, "dim"), text)
    if card.skipped:
        facts.add_row(Text("skipped", "yellow"), Text(card.skipped, "yellow"))
    out.print(facts)
    if card.live:
        _print_live(card.live)
    else:
        out.print(Text(f"Not asked of a live cluster: {card.not_live}", "dim"))


def _print_live(live: OnCluster) -> None:
    from rich.text import Text

    out = console.out()
    facts = _facts()
    now = "\n".join(
        f"{fault.name} (undo: {' '.join([fault.undo, ', '.join(fault.targets)]).strip()})"
        for fault in live.faults
    )
    facts.add_row(Text("if it began now", "dim"), now)
    unmet = Text("\n".join(live.unmet), "yellow") if live.unmet else Text("all met", "green")
    facts.add_row(Text("preconditions", "dim"), unmet)
    timings = live.timings
    facts.add_row(
        Text("course", "dim"),
        f"{timings.baseline:g} s of load and up to {timings.phase:g} s more, the fault for "
        f"{f'at least {timings.hold:g} s' if timings.hold else 'as long as recovery takes'}",
    )
    if live.checks:
        facts.add_row(Text("also checked", "dim"), ", ".join(live.checks))
    settings = "\n".join(f"{name}: {value}" for name, value in sorted(live.settings.items()))
    facts.add_row(Text("rests on", "dim"), settings)
    out.print(facts)
    streams = console.table("stream", ">due/s", "held to")
    for stream in live.streams:
        streams.add_row(stream.name, f"{stream.rate:g}", promised(stream.promise))
    out.print(streams)
    if not live.prediction.basis:
        return
    predicted = console.table("RTO stamp", ">predicted")
    for name in STAMPS:
        predicted.add_row(name.replace("_", " "), expected(getattr(live.prediction, name)))
    out.print(predicted)
    out.print(Text(f"from {live.prediction.basis}", "dim"))


def _facts() -> "Table":
    from rich.table import Table

    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, min_width=15)
    facts.add_column(overflow="fold")
    return facts
