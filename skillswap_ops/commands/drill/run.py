"""`drill run`."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from cluster.errors import FaultNotUndoneError
from skillswap_ops import console
from skillswap_ops.commands.drill.names import complete_name, tag_option
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.drill.contracts import DrillSpec
    from skillswap_ops.drill_series import End, Turn, Wishes

LONGEST_PHASE = 3600
SHRINK_TRIES = 8


def _phase(_context: click.Context, _parameter: click.Parameter, given: str) -> float | None:
    """Seconds; None for `random`."""
    if given == "random":
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= LONGEST_PHASE:
        raise click.BadParameter(f"must be `random` or seconds up to {LONGEST_PHASE} (got {given})")
    return seconds


@click.command("run")
@click.argument("names", nargs=-1, shell_complete=complete_name, metavar="[NAME]…")
@click.option("--all", "everything", is_flag=True, help="Every drill of the catalogue.")
@tag_option
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Run each N times, with seeds S, S+1, …; shows median and maximum.",
)
@click.option(
    "--phase",
    callback=_phase,
    default="random",
    metavar="random|SECONDS",
    show_default=True,
    help="When the fault comes, against the cluster's own clocks: seconds after the baseline.",
)
@click.option("--seed", type=int, help="Choose phase and targets again as an earlier run did.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Operations a second over all streams together. Default: the drill's own.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="How long chaos-soak goes on breaking things.  [default: 5]",
)
@click.option(
    "--steps",
    metavar="NAME:SECONDS:SEED,…",
    help="These rounds of chaos-soak, as a failed one printed them, and no others.",
)
@click.option(
    "--shrink",
    type=click.IntRange(0, 100),
    metavar="N",
    help="Of a chaos-soak that failed, look for the steps that it needs for that, in at most N "
    "more runs; 0: do not.  [default: 8]",
)
@click.option("--keep-data", is_flag=True, help="Leave the rows that were written in the cluster.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first drill that does not pass.")
@selects_cluster
@yes_option
def run(
    selection: Selection,
    *,
    names: tuple[str, ...],
    everything: bool,
    tags: tuple[str, ...],
    repeat: int,
    phase: float | None,
    seed: int | None,
    rate: float | None,
    minutes: float | None,
    steps: str | None,
    shrink: int | None,
    keep_data: bool,
    fail_fast: bool,
    yes: bool,
) -> None:
    """Run drills on the live cluster, one after another: by NAME, by --tag, or --all.

    One that cannot be done here is skipped and says why. Between two drills the cluster must be
    whole again. Ctrl-C undoes the fault and still writes the report.

    chaos-soak mixes faults with day-2 work (step-downs, switchovers, members copied anew, rolling
    restarts). One that fails is run again with parts of its steps, until few are left that still
    fail; the command that repeats them is printed.

    Exit codes, the worst of all drills: 0 pass (or skipped), 1 fail, 3 inconclusive or not run,
    4 a fault could not be undone.

    \b
    Examples:
      skillswap-ops drill run pg-node-kill
      skillswap-ops drill run --tag mongo --fail-fast --yes
      skillswap-ops drill run mongo-primary-kill --repeat 5 --seed 42 --yes
      skillswap-ops drill run chaos-soak --minutes 30 --seed 42 --yes
      skillswap-ops drill run chaos-soak --steps "work-reinit:0:7,pg-node-kill:12.5:99"
    """
    from cluster.drill.steps import parse_steps
    from skillswap_ops.drill_series import Wishes, worst_exit_code
    from skillswap_ops.drilling import any_seed
    from skillswap_ops.soak import SOAK

    specs = _specs(names, tags, everything=everything)
    seed = any_seed() if seed is None else seed
    soaks = [spec.name for spec in specs] == [SOAK.name]
    for option, value in (("minutes", minutes), ("steps", steps), ("shrink", shrink)):
        if value is not None and not soaks:
            raise click.UsageError(f"--{option} is for {SOAK.name} alone")
    if steps is not None and minutes is not None:
        raise click.UsageError("--steps says what is done, and --minutes how long: give one")
    wishes = Wishes(
        seed,
        repeat,
        phase,
        rate,
        minutes,
        parse_steps(steps) if steps is not None else (),
        SHRINK_TRIES if shrink is None and soaks else shrink or 0,
        keep_data=keep_data,
        fail_fast=fail_fast,
    )
    ends = run_and_show(selection, specs, wishes, full=True, yes=yes)
    code = worst_exit_code(ends)
    if code == FaultNotUndoneError.exit_code:
        raise FaultNotUndoneError("a fault is still in place", "run `skillswap-ops drill heal`")
    if code:
        raise SystemExit(code)


def _specs(
    names: tuple[str, ...], tags: tuple[str, ...], *, everything: bool
) -> "tuple[DrillSpec, ...]":
    from skillswap_ops.drilling import chosen, tagged

    if [bool(names), bool(tags), everything].count(True) != 1:
        raise click.UsageError(
            "Missing argument: give drills by NAME, by --tag, or --all (one of the three); "
            "`skillswap-ops drill list` shows them."
        )
    return chosen(names) if names else tagged(tags)


def run_and_show(
    selection: Selection, specs: "Iterable[DrillSpec]", wishes: "Wishes", *, full: bool, yes: bool
) -> "list[End]":
    """Ask, run drills as they are followed on stderr, and print the verdicts."""
    from skillswap_ops.drill_view import length

    began = time.monotonic()
    ends = follow(selection, specs, wishes, full=full, yes=yes)
    print_ends(selection, ends)
    console.say(f"total time {length(time.monotonic() - began)}")
    return ends


def follow(
    selection: Selection, specs: "Iterable[DrillSpec]", wishes: "Wishes", *, full: bool, yes: bool
) -> "list[End]":
    """Ask, and run drills as they are followed on stderr.

    `full` prints each drill's report too, short where it passed among others.
    """
    from cluster.drill.report import RunSummary
    from skillswap_ops.drill_live import Show
    from skillswap_ops.drill_view import print_brief, print_report
    from skillswap_ops.drilling import run_drills, turns
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    todo = turns(context, tuple(specs), wishes)
    _ask(context.topology.name, todo, yes=yes)

    def after(end: "End") -> None:
        if not isinstance(end, RunSummary) or not full or selection.json:
            return
        if len(todo) == 1 or end.exit_code:
            print_report(end)
        else:
            print_brief(end)

    with Show(after).shown() as show:
        return run_drills(context, todo, wishes, show)


def print_ends(selection: Selection, ends: "list[End]") -> None:
    """Print the verdicts; with `--output json`, one document is all of stdout."""
    from skillswap_ops.drill_repeats import repeated
    from skillswap_ops.drill_view import print_repeats, print_verdicts, records

    if selection.json:
        console.print_json(records(ends))
    else:
        print_verdicts(ends)
        print_repeats(repeated(ends))


def _ask(cluster: str, todo: "Iterable[Turn]", *, yes: bool) -> None:
    """Name what will be broken, and what will not be."""
    from skillswap_ops.drill_view import length

    turns = list(todo)
    for turn in turns:
        if turn.why:
            console.say(f"skipped {turn.spec.name}: {turn.why}")
    doomed = [turn.spec for turn in turns if not turn.why]
    if not doomed:
        return
    faults = "\n".join(dict.fromkeys(f"  {spec.name}: {spec.fault}" for spec in doomed))
    about = length(sum(spec.seconds for spec in doomed))
    confirm(
        f"This breaks the live cluster {cluster} on purpose ({len(doomed)} runs, about {about}):\n"
        f"{faults}\nGo on?",
        yes=yes,
    )
