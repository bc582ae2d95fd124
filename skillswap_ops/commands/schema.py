"""`schema`: the data model, declared, applied, compared and proved."""

from collections import Counter
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.schema.findings import Drift, Proof
    from cluster.schema.types import Entity

MARKS = {"passed": ("✔", "green"), "failed": ("✘", "red"), "skipped": ("-", "yellow")}


@click.group("schema")
def command() -> None:
    """The data model of both engines: show it, apply it, find drift, prove it.

    \b
    Examples:
      skillswap-ops schema show SESSION
      skillswap-ops schema apply
      skillswap-ops schema diff
      skillswap-ops schema verify AVIS MESSAGE
    """


@command.command("show")
@click.argument("name", required=False)
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table")
def show(name: str | None, output: str) -> None:
    """Print the catalogue, or all about one entity.

    \b
    Examples:
      skillswap-ops schema show
      skillswap-ops schema show MESSAGE --output json
    """
    from skillswap_ops.schema_view import print_catalogue, print_entity

    entities = _chosen((name,) if name else ())
    if output == "json":
        console.print_json(entities[0] if name else entities)
    elif name:
        print_entity(entities[0])
    else:
        print_catalogue(entities)


@command.command("apply")
@click.option("--dry-run", is_flag=True, help="Print what would change, change nothing.")
@click.option("--prune", is_flag=True, help="Also remove indexes that nobody declared. Asks first.")
@selects_cluster
@yes_option
def apply(selection: Selection, *, dry_run: bool, prune: bool, yes: bool) -> None:
    """Make both engines hold what is declared.

    Online, idempotent, and safe for two operators at once.

    Collections, validators and indexes in MongoDB; migrations in PostgreSQL. Data is never
    removed. Interrupted anywhere, run it again: it finishes.

    \b
    Examples:
      skillswap-ops schema apply --dry-run
      skillswap-ops schema apply
    """
    from cluster.plan import preview
    from skillswap_ops.commands.plan import print_rows
    from skillswap_ops.progress import Progress
    from skillswap_ops.schema import apply, schema_steps
    from skillswap_ops.stepping import raise_failures
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    steps = schema_steps(context, prune=prune)
    if dry_run:
        print_rows(preview(steps), selection, show_all=False)
        return
    if prune:
        confirm("This removes every index that is not declared. Go on?", yes=yes)
    progress = Progress(steps)
    with progress.shown():
        ends = apply(context, steps, progress.on_event)
    raise_failures(ends, "`schema diff` says what differs; `schema apply` again goes on from here")
    changed = [end for end in ends if end.outcome == "changed"]
    if selection.json:
        console.print_json([{"step": end.step.name, "outcome": end.outcome} for end in ends])
    console.say(f"Applied: {len(changed)} of {len(ends)} changed.")


@command.command("spread")
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@selects_cluster
@yes_option
def spread(selection: Selection, *, dry_run: bool, yes: bool) -> None:
    """Spread a segment over several shards.

    Prints the exact plan, then carries it out.

    A segment spreads once the topology file has a further shard with its name. Zones, shard keys
    and indexes are those of the catalogue. Only mongos can do it: without one the plan is printed
    and refused.

    \b
    Examples:
      skillswap-ops schema spread --topology three-shards.yaml --dry-run
      skillswap-ops schema spread --yes
    """
    from mongo.schema.spread import plans, refusal
    from skillswap_ops.wiring import context_of

    context = context_of(selection)
    found = plans(context.topology)
    if selection.json:
        console.print_json(found)
    else:
        for line in (line for plan in found for line in plan.shell):
            click.echo(line)
    if not found:
        console.say("Every segment has one shard: nothing to spread.")
    elif not dry_run:
        reason = refusal(context)
        if reason is None:
            confirm("This moves data between shards in the background. Go on?", yes=yes)
        _spread(selection)


def _spread(selection: Selection) -> None:
    from skillswap_ops.progress import Progress
    from skillswap_ops.schema import apply, spread_steps
    from skillswap_ops.stepping import raise_failures
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    steps = spread_steps(context)
    progress = Progress(steps)
    with progress.shown():
        ends = apply(context, steps, progress.on_event)
    raise_failures(ends, "`schema spread` again goes on from here")


@command.command("diff")
@selects_cluster
def diff(selection: Selection) -> None:
    """Show drift, in either direction.

    What is declared and not there, and what is there and not declared.

    Exit code 1 where anything differs.

    \b
    Example:
      skillswap-ops schema diff --output json
    """
    from skillswap_ops.schema import drifts
    from skillswap_ops.wiring import context_of

    found = drifts(context_of(selection, must_exist=True))
    if selection.json:
        console.print_json(found)
    else:
        _print_drifts(found)
    if found:
        raise SystemExit(1)


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@selects_cluster
def verify(selection: Selection, *, names: tuple[str, ...]) -> None:
    """Prove it on the live servers, line by line.

    Every index is used by the query that it is for, every uniqueness refuses its duplicate, every
    validator and CHECK a bad row; write guarantees are in force; TTL removes (this waits for
    MongoDB's TTL monitor: a minute or two). What is written for a trial is removed again. Exit code
    1 where a requirement does not hold.

    \b
    Examples:
      skillswap-ops schema verify
      skillswap-ops schema verify SESSION AVIS
    """
    from skillswap_ops.schema import failed, prove
    from skillswap_ops.wiring import context_of

    entities = _chosen(names)
    context = context_of(selection, must_exist=True)
    proofs = prove(context, entities, _ignore if selection.json else _print_proof)
    if selection.json:
        console.print_json(proofs)
    counts = Counter(str(proof.outcome) for proof in proofs)
    console.say(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    if failed(proofs):
        raise SystemExit(1)


def _chosen(names: tuple[str, ...]) -> "tuple[Entity, ...]":
    from skillswap_ops.schema_view import chosen

    return chosen(names)


def _ignore(proof: "Proof") -> None:
    """For JSON, which is printed whole at the end."""


def _print_proof(proof: "Proof") -> None:
    from rich.text import Text

    mark, style = MARKS[proof.outcome]
    line = Text.assemble((mark, style), " ", proof.entity or str(proof.store), ": ")
    line.append(proof.requirement)
    if proof.reason:
        line.append(f"\n    {proof.reason}", style)
    console.out().print(line)


def _print_drifts(found: "tuple[Drift, ...]") -> None:
    if found:
        console.print_table(
            ("store", "entity", "what", "declared", "found"),
            [
                (row.store, row.entity, row.part, row.declared or "–", row.found or "–")
                for row in found
            ],
        )
    count = len(found)
    console.say(f"{count} differences." if count else "As declared: no difference.")
