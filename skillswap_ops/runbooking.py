"""Runs runbooks on the selected cluster: who answers, which commands there are, what is masked."""

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import click

from cluster.drill.publish.mask import Mask
from cluster.errors import InvalidInputError, RefusedError
from cluster.strict_yaml import YamlError, read_yaml
from cluster.topology import Sla
from runbooks.actions import actions
from runbooks.catalogue import named
from runbooks.commands import OwnCommands
from runbooks.facts.reading import look
from runbooks.journal import Journal, Opened, Run, new_folder, runs
from runbooks.model import Runbook, SlaClock
from runbooks.progress import Over
from runbooks.runner import NO, YES, Ports, Runner, Screen, UnansweredError
from skillswap_ops.options import Selection
from skillswap_ops.wiring import LocalContext

PROGRAM = (sys.executable, "-m", "skillswap_ops.main")


def who() -> str:
    """Whom the journal names: the person behind sudo too."""
    user = getpass.getuser()
    behind = os.environ.get("SUDO_USER", "")
    return f"{behind} as {user}" if behind and behind != user else user


def sla_seconds(sla: Sla, clock: SlaClock) -> float | None:
    """The seconds that the topology promises; None where there is no such promise."""
    promised = {SlaClock.MONGO_RTO: sla.mongo.rto, SlaClock.POSTGRES_RTO: sla.postgres.rto}
    return promised.get(clock)


@dataclass(frozen=True)
class Answering:
    """Answers from a file, `--yes` for what is safe, else the person at the terminal."""

    given: Mapping[str, str]
    yes: bool

    def answer(self, step: str, question: str, choices: tuple[str, ...], *, safe: bool) -> str:
        """One of the choices. Raises UnansweredError where nobody can be asked."""
        if step in self.given:
            said = self.given[step]
            if said not in choices:
                raise UnansweredError(
                    f'the answer to "{step}" must be {" or ".join(choices)} (got {said})'
                )
            return said
        if self.yes and safe:
            return YES
        if not sys.stdin.isatty():
            raise UnansweredError(
                f'step "{step}" asks: {question} ({" or ".join(choices)})',
                "give its answer in a file with --answers, and `skillswap-ops runbook resume`",
            )
        if choices == (YES, NO):
            return YES if click.confirm(question, err=True) else NO
        said = click.prompt(question, type=click.Choice(choices), err=True)
        return str(said)


def read_answers(path: Path | None) -> dict[str, str]:
    """Answers by step, from a YAML file: text, true or false. Raises InvalidInputError."""
    if path is None:
        return {}
    try:
        document = read_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
    except YamlError as error:
        raise InvalidInputError(f"{path}:{error.line}: {error.reason}") from None
    for problem in document.problems:
        raise InvalidInputError(f"{path}:{document.line(problem.path)}: {problem}")
    if not isinstance(document.data, dict):
        raise InvalidInputError(f"{path}: must be a mapping of steps to answers")
    return {step: _answer(path, step, said) for step, said in document.data.items()}


def _answer(path: Path, step: str, said: object) -> str:
    if isinstance(said, bool):
        return YES if said else NO
    if not isinstance(said, str):
        raise InvalidInputError(f"{path}: {step}: must be text, true or false")
    return said


def takes(words: Sequence[str], option: str) -> bool:
    """Whether the command of these words has that option."""
    from skillswap_ops.main import cli

    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(context, word)
        if found is None:
            break
        command, context = found, click.Context(found, parent=context, info_name=word)
    return any(option in parameter.opts for parameter in command.params)


def ports(
    context: LocalContext, selection: Selection, screen: Screen, answering: Answering
) -> Ports:
    """What a run on this cluster needs."""
    mask = Mask(secret.get_secret_value() for secret in context.secrets.known())
    return Ports(
        screen=screen,
        person=answering,
        commands=OwnCommands(PROGRAM, selected(context, selection), takes, context.clock),
        actions=actions(context),
        look=lambda kinds: look(context, kinds),
        mask=mask.text,
        clock=context.clock,
        who=who(),
    )


def selected(context: LocalContext, selection: Selection) -> list[str]:
    """The options that name this very cluster to a command."""
    home = ["--home", str(context.layout.root.parent)]
    if selection.topology:
        return [*home, "--topology", str(selection.topology.absolute())]
    return [*home, "--cluster", context.topology.name]


def begin(
    context: LocalContext,
    runbook: Runbook,
    arguments: Mapping[str, str],
    incident: datetime,
    *,
    anew: bool,
    unattended: bool,
) -> Journal:
    """A new run, written down. Raises RefusedError while one like it is not finished."""
    given = dict(arguments)
    alike = [run for run in unfinished(context) if _of(run) == (runbook.id, given)]
    if alike and not anew:
        raise RefusedError(
            f"a run of {runbook.id} is not finished: {alike[-1].name}",
            f"`skillswap-ops runbook resume {alike[-1].name}`, or --anew for another one",
        )
    now = datetime.now(incident.tzinfo)
    journal = Journal(new_folder(context.layout.root, runbook.id, now))
    journal.append(
        Opened(
            at=now,
            who=who(),
            runbook=runbook.id,
            arguments=given,
            incident=incident,
            digest=digest(runbook),
            unattended=unattended,
        )
    )
    return journal


def go(runbook: Runbook, journal: Journal, world: Ports, *, resuming: bool) -> Over:
    """Lead through it."""
    return Runner(runbook, journal, world).go(resuming=resuming)


def digest(runbook: Runbook) -> str:
    """What tells one wording of a page from another."""
    return sha256(runbook.text.encode()).hexdigest()[:16]


def unfinished(context: LocalContext) -> tuple[Run, ...]:
    """The runs that can be gone on with, oldest first."""
    return tuple(run for run in runs(context.layout.root) if run.closed is None)


def run_named(context: LocalContext, name: str | None) -> Run:
    """The run whose folder's name has this part; by default the newest that is not finished.

    Raises InvalidInputError where it fits none or several.
    """
    if name is None:
        if not (left := unfinished(context)):
            raise InvalidInputError("no run is unfinished", "`skillswap-ops runbook history`")
        return left[-1]
    found = [run for run in runs(context.layout.root) if name in run.name]
    if len(found) != 1:
        raise InvalidInputError(
            f"{name} is part of the names of {len(found)} runs",
            "`skillswap-ops runbook history` lists them",
        )
    return found[0]


def page_of(run: Run) -> tuple[Runbook, bool]:
    """The page that a run is of, and whether it still reads as it did."""
    runbook = named(run.opened.runbook)
    return runbook, digest(runbook) == run.opened.digest


def _of(run: Run) -> tuple[str, dict[str, str]]:
    return run.opened.runbook, run.opened.arguments
