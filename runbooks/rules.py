"""What must hold between the fields of a page: facts, arguments and steps that exist. Pure."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from string import Formatter

from cluster.problems import Path, Problem, suggestion
from runbooks.conditions import ConditionError, parse
from runbooks.facts.records import KINDS, field_kinds
from runbooks.model import (
    ACTIONS,
    ASK,
    GO_ON,
    GONE,
    REPEAT,
    STOP,
    Decide,
    Do,
    DoneWhen,
    FactCheck,
    Front,
    Observe,
    Severity,
    Step,
    Verify,
    Wait,
)

PROGRAM = "skillswap-ops"


def front_problems(front: Front) -> Iterator[Problem]:
    """What is wrong with symptoms, and with what it hides."""
    for number, symptom in enumerate(front.symptoms):
        at: Path = ("symptoms", number)
        if symptom.each not in KINDS:
            yield _unknown((*at, "each"), "kind of fact", symptom.each, KINDS)
            continue
        fields = field_kinds(symptom.each)
        yield from _condition((*at, "when"), symptom.when, fields, ())
        yield from _placeholders((*at, "evidence"), symptom.evidence, fields)
        for name, source in symptom.arguments.items():
            if name not in front.arguments:
                yield _unknown((*at, "arguments", name), "argument", name, front.arguments)
            if source not in fields:
                yield _unknown((*at, "arguments", name), "fact", source, fields)
    if front.id in front.hides:
        yield Problem(("hides", front.id), "cannot hide itself")
    if (front.severity is Severity.PLANNED) == bool(front.symptoms):
        yield Problem(("severity",), "is planned where there is no symptom, and only there")


def step_problems(front: Front, steps: Sequence[Step]) -> Iterator[tuple[int, Problem]]:
    """What is wrong with the steps, each with the step's number from 0."""
    ids = [step.id for step in steps]
    for number, step in enumerate(steps):
        if step.id in ids[:number]:
            yield number, Problem(("id",), "is given twice", step.id)
        for problem in _step(front, step, ids):
            yield number, problem
    if steps and not isinstance(steps[-1], Verify | Observe):
        yield len(steps) - 1, Problem(("step",), "the last step must verify", steps[-1].step)


def placeholders(text: str) -> list[str]:
    """The names in braces. Raises ValueError where a brace stands alone, or a format is given."""
    parts = [part for part in Formatter().parse(text) if part[1] is not None]
    if any(layout or conversion for _, _, layout, conversion in parts):
        raise ValueError("braces hold a name alone")
    return [str(name) for _, name, _, _ in parts]


def command_words(text: str) -> list[str]:
    """A command's words. Raises ValueError for quotes that do not close."""
    return shlex.split(text)


def _step(front: Front, step: Step, ids: Collection[str]) -> Iterator[Problem]:
    yield from _target(("if it fails", "then"), step.if_it_fails.then, ids)
    arguments = front.arguments
    match step:
        case Observe():
            yield from _command(step.run, arguments)
        case Decide():
            yield from _placeholders(("ask",), step.ask, arguments)
            for answer, then in step.answers.items():
                yield from _target(("answers", answer), then, ids)
        case Do():
            yield from _do(front, step)
        case Wait():
            yield from _check(front, ("until",), step.until)
        case Verify():
            if (step.that is None) == (step.run is None):
                yield Problem(("that",), "give one of `that` and `run`")
            if step.that:
                yield from _check(front, ("that",), step.that)
            if step.run:
                yield from _command(step.run, arguments)


def _do(front: Front, step: Do) -> Iterator[Problem]:
    if (step.run is None) == (step.action is None):
        yield Problem(("run",), "give one of `run` and `action`")
    if step.run:
        yield from _command(step.run, front.arguments)
        if step.values:
            yield Problem(("with",), "is for an action")
    if step.action:
        yield from _action(step.action, step.values)
    for name, value in step.values.items():
        yield from _placeholders(("with", name), value, front.arguments)
    if step.done_when not in {ASK, REPEAT}:
        yield from _check(front, ("done when",), step.done_when)


def _action(name: str, values: Collection[str]) -> Iterator[Problem]:
    if name not in ACTIONS:
        yield _unknown(("action",), "action", name, ACTIONS)
    elif set(values) != set(ACTIONS[name]):
        yield Problem(("with",), f"must give {', '.join(ACTIONS[name])}", ", ".join(values))


def _check(front: Front, path: Path, check: DoneWhen) -> Iterator[Problem]:
    if not isinstance(check, FactCheck):
        if not front.symptoms:
            yield Problem(path, f"`{GONE}` means that no symptom is left: there is none")
        return
    if check.each not in KINDS:
        yield _unknown((*path, "each"), "kind of fact", check.each, KINDS)
        return
    fields = field_kinds(check.each)
    yield from _condition((*path, "where"), check.where, fields, front.arguments)
    yield from _condition((*path, "holds"), check.holds, fields, front.arguments)


def _command(text: str, arguments: Collection[str]) -> Iterator[Problem]:
    path: Path = ("run",)
    try:
        words = command_words(text)
    except ValueError as error:
        yield Problem(path, f"cannot be read: {error}", text)
        return
    if words[:1] != [PROGRAM] or len(words) < 2:
        yield Problem(path, f"must be a command of {PROGRAM}", text)
    yield from _placeholders(path, text, arguments)


def _placeholders(path: Path, text: str, known: Collection[str]) -> Iterator[Problem]:
    try:
        names = placeholders(text)
    except ValueError as error:
        yield Problem(path, f"cannot be read: {error}", text)
        return
    for name in names:
        if name not in known:
            yield Problem(path, f'unknown name "{name}"{suggestion(name, known)}', text)


def _condition(
    path: Path, text: str, fields: Mapping[str, str], arguments: Collection[str]
) -> Iterator[Problem]:
    try:
        parse(text, fields, arguments)
    except ConditionError as error:
        yield Problem(path, str(error), text)


def _target(path: Path, then: str, ids: Collection[str]) -> Iterator[Problem]:
    if then not in {GO_ON, STOP} and then not in ids:
        yield Problem(path, f'must be "{GO_ON}", "{STOP}" or a step\'s id', then)


def _unknown(path: Path, what: str, name: str, known: Collection[str]) -> Problem:
    return Problem(path, f'unknown {what} "{name}"{suggestion(name, known)}')
