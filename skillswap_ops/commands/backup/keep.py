"""`backup verify`, `expire` and `mark`."""

import click

from skillswap_ops import console
from skillswap_ops.commands.backup.run import ENGINE
from skillswap_ops.options import Selection, selects_cluster


@click.command("verify")
@ENGINE
@selects_cluster
def verify(selection: Selection, *, engines: tuple[str, ...]) -> None:
    """Read every byte that a restore needs, against its checksum; find what is missing.

    Exit code 1 where something is damaged.

    \b
    Examples:
      skillswap-ops backup verify
      skillswap-ops backup verify postgres --output json
    """
    from skillswap_ops.backups import chosen, on_each, raise_failed
    from skillswap_ops.wiring import context_of

    wanted = chosen(engines)
    context = context_of(selection, must_exist=True)
    found, failed = on_each(
        wanted, lambda engine: [(engine.name, damage) for damage in engine.verify(context)]
    )
    if selection.json:
        damages = [
            {"engine": engine, "repository": damage.repository, "what": damage.what,
             "reason": damage.reason}
            for engine, damage in found
        ]  # fmt: skip
        whole = not found and not failed
        console.print_json({"whole": whole, "damages": damages, "failed": failed})
    else:
        for engine, damage in found:
            click.echo(f"{engine}, repository {damage.repository}: {damage.what}: {damage.reason}")
        if not found and not failed:
            click.echo(f"{', '.join(engine.name for engine in wanted)}: everything is whole")
    raise_failed(failed)
    if found:
        raise SystemExit(1)


@click.command("expire")
@ENGINE
@selects_cluster
def expire(selection: Selection, *, engines: tuple[str, ...]) -> None:
    """Remove the backups, and their WAL, that retention no longer keeps.

    Every `backup run` does so at its end.

    \b
    Examples:
      skillswap-ops backup expire
    """
    from cluster.lock import changes
    from skillswap_ops.backups import chosen, on_each, raise_failed
    from skillswap_ops.wiring import context_of

    wanted = chosen(engines)
    context = context_of(selection, must_exist=True)
    changes(context.layout.root, "backup expire")
    gone, failed = on_each(
        wanted, lambda engine: [(engine.name, label) for label in engine.expire(context)]
    )
    if selection.json:
        expired = [{"engine": engine, "label": label} for engine, label in gone]
        console.print_json({"expired": expired, "failed": failed})
    else:
        for engine, label in gone:
            click.echo(f"{engine}: {label} removed")
        if not gone:
            click.echo("nothing had to go")
    raise_failed(failed)


@click.command("mark")
@click.argument("name")
@selects_cluster
def mark(selection: Selection, *, name: str) -> None:
    """Give the present state of PostgreSQL a NAME that `restore pg --to NAME` takes.

    \b
    Examples:
      skillswap-ops backup mark before-migration-12
    """
    from cluster.backup.contracts import CanMark
    from cluster.lock import changes
    from skillswap_ops.backups import ENGINES
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    changes(context.layout.root, "backup mark")
    for engine in ENGINES:
        if isinstance(engine, CanMark):
            target = engine.mark(context, name)
            if selection.json:
                console.print_json({"engine": engine.name, "name": target.name})
            else:
                click.echo(f"{engine.name}: `restore pg --to {target.name}` leads here")
