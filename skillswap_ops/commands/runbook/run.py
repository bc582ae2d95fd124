"""`runbook run RUNBOOK`: a command a runbook, with the runbook's own arguments as options."""

from datetime import UTC, datetime
from pathlib import Path

import click

from cluster.errors import InvalidInputError
from skillswap_ops.options import Selection, selects_cluster

OWN = ("answers", "yes", "dry_run", "incident", "anew")


class Runbooks(click.Group):
    """The runbooks of the package, read when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own
        """Their ids."""
        from runbooks.catalogue import catalogue

        return list(catalogue())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command that runs one."""
        from runbooks.catalogue import catalogue

        return _command(cmd_name) if cmd_name in catalogue() else None


@click.group("run", cls=Runbooks)
def run() -> None:
    """Be led through a runbook: each step is shown before it is done, and asked where it changes.

    Each step is on disk before and after it is done: what was interrupted goes on with `resume`.
    `--yes` agrees to the steps that are marked safe, and to no other; `--answers FILE` answers
    the questions of an unattended run, a line a step: `start: "yes"`.

    Exit codes: 0 done, 1 stopped at a step that failed, 2 a question without an answer.

    \b
    Examples:
      skillswap-ops runbook run mongo-primary-lost --shard shard-a
      skillswap-ops runbook run mongo-primary-lost --shard shard-a --dry-run
      skillswap-ops runbook run pg-pitr --answers answers.yaml
    """


def _command(name: str) -> click.Command:
    from runbooks.catalogue import named
    from runbooks.findings import option

    runbook = named(name)

    @click.command(name, short_help=runbook.front.title)
    @click.option(
        "--answers",
        type=click.Path(path_type=Path, dir_okay=False),
        help="YAML: the answer of each step that asks, by its id.",
    )
    @click.option("--yes", "-y", is_flag=True, help="Do not ask for steps that are marked safe.")
    @click.option("--dry-run", is_flag=True, help="Show the steps; do and ask nothing.")
    @click.option(
        "--since",
        "incident",
        metavar="TIME",
        help="When it began, for the clock: ISO 8601, or `10m ago`.  [default: now]",
    )
    @click.option("--anew", is_flag=True, help="Begin, though a run like it is not finished.")
    @selects_cluster
    def lead(selection: Selection, /, **given: object) -> None:
        own = {key: given.pop(key) for key in OWN}
        _run(selection, name, {key: str(said) for key, said in given.items() if said}, own)

    shown = [f"{each.front.title}: {each.front.severity}." for each in (runbook,)]
    lead.help = f"{shown[0]}\n\nIts page: `skillswap-ops runbook show {name}`."
    lead.params[:0] = [
        click.Option(
            [f"--{option(argument)}", argument],
            help=about.help,
            default=about.default,
            type=click.Choice(about.choices) if about.choices else None,
        )
        for argument, about in runbook.front.arguments.items()
    ]
    return lead


def _run(
    selection: Selection, name: str, arguments: dict[str, str], own: dict[str, object]
) -> None:
    from runbooks.catalogue import named
    from skillswap_ops.runbook_view import print_steps
    from skillswap_ops.runbooking import begin, read_answers
    from skillswap_ops.wiring import local_context

    runbook = named(name)
    missing = [each for each in runbook.front.arguments if each not in arguments]
    if own["dry_run"]:
        print_steps(runbook, {**{each: f"<{each}>" for each in missing}, **arguments}, selection)
        return
    if missing:
        from runbooks.findings import option

        wanted = ", ".join(f"--{option(each)}" for each in missing)
        raise InvalidInputError(f"{name} needs {wanted}", "`skillswap-ops doctor` fills them in")
    context = local_context(selection, must_exist=True)
    answers = own["answers"]
    given = read_answers(answers if isinstance(answers, Path) else None)
    journal = begin(
        context,
        runbook,
        arguments,
        _instant(own["incident"]),
        anew=bool(own["anew"]),
        unattended=answers is not None,
    )
    from skillswap_ops.commands.runbook.resume import lead_through

    lead_through(context, selection, runbook, journal.folder, given, yes=bool(own["yes"]))


def _instant(text: object) -> datetime:
    """When it began. Raises InvalidInputError for what is no time."""
    from skillswap_ops.backups import parse_target

    found = parse_target(str(text)).time if text else datetime.now(UTC)
    if found is None:
        raise InvalidInputError(f"--since {text}: is no time", "give `10m ago`, or ISO 8601")
    return found
