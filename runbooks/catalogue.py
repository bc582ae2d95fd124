"""Reads a page: Markdown whose front matter and ```yaml step``` blocks are checked data.

Every error of a page is told at once: `file:line: field: reason (got value)`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import TypeVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin
from pydantic import ValidationError

from cluster.errors import InvalidInputError
from cluster.problems import Path, Problem, problems_of, suggestion, told
from cluster.strict_yaml import MAX_BYTES, YamlError, read_yaml
from runbooks.model import PATTERNS, Front, Model, Runbook, StepBlock, Titled
from runbooks.rules import front_problems, step_problems

INFO = "yaml step"
SECTIONS = (
    "What you see",
    "Impact",
    "How sure",
    "Steps",
    "Verification",
    "Rollback",
    "When to escalate",
)
WITH_STEPS = frozenset({"Steps", "Verification"})
HINT = "correct the page; CONTRIBUTING.md says what one is made of"
M = TypeVar("M", bound=Model)


@dataclass
class _Section:
    heading: str
    line: int
    text: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Block:
    """A step block: its text, the line it begins on, and what stands before it."""

    text: str
    line: int
    title: str
    prose: str
    section: str


@dataclass(frozen=True)
class Page:
    """A page in pieces, before anything is validated."""

    front: str
    front_line: int
    sections: tuple[_Section, ...]
    blocks: tuple[_Block, ...]


class _Problems:
    """What is wrong in a page, by line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.lines: list[tuple[int, str]] = []

    def add(self, line: int, problem: Problem | str) -> None:
        found = problem if isinstance(problem, Problem) else Problem((), problem)
        self.lines.append((line, str(found)))

    def raise_any(self) -> None:
        if self.lines:
            raise InvalidInputError(told(self._name, self.lines), HINT)


@cache
def catalogue() -> dict[str, Runbook]:
    """Every runbook of the package by id, in order. Raises InvalidInputError for a wrong page."""
    found = {}
    for page in sorted(_files(), key=lambda each: each[0]):
        runbook = parse(page[1], page[0])
        if f"{runbook.id}.md" != page[0]:
            raise InvalidInputError(f"{page[0]}: id: must be the file's name (got {runbook.id})")
        found[runbook.id] = runbook
    for runbook in found.values():
        for other in runbook.front.hides:
            if other not in found:
                near = suggestion(other, found)
                reason = f"{runbook.id}.md: hides.{other}: there is no such runbook{near}"
                raise InvalidInputError(reason, HINT)
    return found


def named(name: str) -> Runbook:
    """The runbook of that id. Raises InvalidInputError that names the nearest one."""
    known = catalogue()
    if name not in known:
        raise InvalidInputError(
            f'there is no runbook "{name}"{suggestion(name, known)}',
            "`skillswap-ops runbook list` lists them",
        )
    return known[name]


def parse(text: str, name: str) -> Runbook:
    """The runbook in a page; `name` is what errors call the file. Raises InvalidInputError."""
    if len(text) > MAX_BYTES:
        raise InvalidInputError(f"{name}: is larger than {MAX_BYTES >> 10} KiB", HINT)
    page, problems = split(text), _Problems(name)
    if not page.front:
        problems.add(1, "must begin with front matter between two lines `---`")
    _check_sections(page, problems)
    front = _read(page.front, page.front_line, Front, problems, ()) if page.front else None
    steps = _steps(page, problems)
    problems.raise_any()
    assert front is not None  # noqa: S101 - else there was a problem
    _check_rules(front, steps, page, problems)
    problems.raise_any()
    sections = {each.heading: "\n".join(each.text).strip() for each in page.sections}
    return Runbook(front=front, steps=tuple(steps), sections=sections, text=text)


def split(text: str) -> Page:
    """The pieces of a page, whatever they hold."""
    tokens = MarkdownIt("commonmark").use(front_matter_plugin).parse(text)
    lines = text.splitlines()
    front, line = "", 1
    sections: list[_Section] = []
    blocks: list[_Block] = []
    title, prose = "", list[str]()
    for token, following in _with_next(tokens):
        if token.level:
            continue
        begins = token.map[0] if token.map else 0
        if token.type == "front_matter":
            front, line = token.content, begins + 2
        elif token.type == "heading_open":
            heading = following.content if following else ""
            title, prose = heading, []
            if token.tag == "h2":
                sections.append(_Section(heading, begins + 1))
        elif token.type == "fence" and token.info.strip() == INFO:
            section = sections[-1].heading if sections else ""
            blocks.append(_Block(token.content, begins + 2, title, "\n".join(prose), section))
            prose = []
        elif token.map and sections:
            piece = "\n".join(lines[slice(*token.map)])
            prose.append(piece)
            sections[-1].text += [piece, ""]
    return Page(front, line, tuple(sections), tuple(blocks))


def _with_next(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token | None]]:
    return zip_longest(tokens, tokens[1:])


def _check_sections(page: Page, problems: _Problems) -> None:
    found = [each.heading for each in page.sections]
    if found != list(SECTIONS):
        wanted = ", ".join(SECTIONS)
        line = page.sections[0].line if page.sections else 1
        problems.add(line, f"must have the sections {wanted}, in this order (got {found})")
    for each in page.sections:
        if not any(each.text) and not any(one.section == each.heading for one in page.blocks):
            problems.add(each.line, f'the section "{each.heading}" is empty')
    for block in page.blocks:
        if block.section not in WITH_STEPS:
            problems.add(block.line, f'a step cannot stand in "{block.section}"')


def _steps(page: Page, problems: _Problems) -> list[Titled]:
    found = []
    for number, block in enumerate(page.blocks):
        where: Path = ("steps", number)
        read = _read(block.text, block.line, StepBlock, problems, where, inside="step")
        if read is not None:
            found.append(Titled(title=block.title, prose=block.prose, step=read.step))
    if not page.blocks:
        problems.add(1, "has no step")
    return found


def _read(
    text: str,
    line: int,
    model: type[M],
    problems: _Problems,
    where: Path,
    inside: str = "",
) -> M | None:
    """A piece of YAML into a model, with what is wrong put to `problems`.

    `inside`: the model has the mapping as this field.
    """
    try:
        document = read_yaml(text)
    except YamlError as error:
        problems.add(line + max(0, error.line - 1), error.reason)
        return None
    if not isinstance(document.data, dict):
        problems.add(line, "must be a mapping")
        return None
    wrong = list(document.problems)
    data = {inside: document.data} if inside else document.data
    made = None
    try:
        made = model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        found = problems_of(error, model, data, PATTERNS)
        wrong += [_outside(problem, inside) for problem in found]
    for problem in wrong:
        at = problem.line or document.line(problem.path)
        shown = Problem((*where, *problem.path), problem.reason, problem.value)
        problems.add(line + at - 1, shown)
    return None if wrong else made


def _outside(problem: Problem, inside: str) -> Problem:
    """A problem by its path in the text."""
    path = problem.path[1:] if inside and problem.path[:1] == (inside,) else problem.path
    return Problem(path, problem.reason, problem.value, problem.line)


def _check_rules(front: Front, steps: Sequence[Titled], page: Page, problems: _Problems) -> None:
    for problem in front_problems(front):
        problems.add(page.front_line, problem)
    for number, problem in step_problems(front, [each.step for each in steps]):
        path = ("steps", number, *problem.path)
        problems.add(page.blocks[number].line, Problem(path, problem.reason, problem.value))


def _files() -> Iterable[tuple[str, str]]:
    folder = files("runbooks") / "pages"
    for each in folder.iterdir():
        if each.name.endswith(".md"):
            yield each.name, each.read_text("utf-8")
