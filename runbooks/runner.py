"""Leads through a runbook: shows, asks, does, waits, verifies, and writes each step down.

What it needs of the world is in `Ports`; nothing is decided here that `progress` or `findings`
could decide without it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cluster.clock import Clock
from cluster.errors import InvalidInputError, OpsError
from cluster.files import write_private
from runbooks.facts.records import Facts
from runbooks.findings import kinds_of, satisfied
from runbooks.journal import Begun, Closed, Ended, Entry, Journal, Resumed, Run, Spawned, load
from runbooks.model import (
    GO_ON,
    Check,
    Decide,
    Do,
    Observe,
    Runbook,
    Titled,
    Verify,
    Wait,
)
from runbooks.progress import Over, Position, position, stopped
from runbooks.rules import command_words

POLL_SECONDS = 1.0
OBSERVE_SECONDS = 120.0
RECHECK_SECONDS = 5.0  # what a command has changed is seen by then
SHOWN = 20_000  # characters of an output that the journal keeps; all of it is in a file beside
YES, NO = "yes", "no"


class UnansweredError(InvalidInputError):
    """Nobody can be asked, and no answer was given beforehand."""


class Screen(Protocol):
    """What the person sees."""

    def step(self, titled: Titled, what: str, *, again: bool) -> None:
        """A step begins."""

    def output(self, text: str) -> None:
        """A line that a command printed, or what a condition waits for."""

    def ended(self, ended: Ended) -> None:
        """A step is over."""


class Person(Protocol):
    """Who answers."""

    def answer(self, step: str, question: str, choices: tuple[str, ...], *, safe: bool) -> str:
        """One of the choices. Raises UnansweredError where nobody can be asked."""
        ...


class Commands(Protocol):
    """How commands of this tool are run."""

    def run(
        self,
        words: list[str],
        output: Path,
        *,
        seconds: float,
        agreed: bool,
        spawned: Callable[[int, float], None],
        line: Callable[[str], None],
    ) -> int:
        """Run one, its output into a file; its exit code. Raises UnreachableError on a time-out.

        `agreed`: the person has said yes to what it would ask.
        """
        ...

    def await_end(self, pid: int, created: float, seconds: float) -> None:
        """Wait until that very process has ended. Raises UnreachableError."""
        ...


Action = Callable[[Mapping[str, str], Callable[[str], None]], str]


@dataclass(frozen=True)
class Ports:
    """What a run needs. `look` reads facts of some kinds; `mask` takes secrets out of a text."""

    screen: Screen
    person: Person
    commands: Commands
    actions: Mapping[str, Action]
    look: Callable[[Collection[str]], Facts]
    mask: Callable[[str], str]
    clock: Clock
    who: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class _Result:
    """What became of a step."""

    ok: bool
    output: str = ""
    answer: str = ""
    code: int | None = None
    then: str = ""
    found_done: bool = False
    skipped: bool = False


class Runner:
    """One run, from wherever its journal says that it is."""

    def __init__(self, runbook: Runbook, journal: Journal, ports: Ports) -> None:
        self._runbook, self._journal, self._ports = runbook, journal, ports
        self._run: Run = load(journal.folder)

    def go(self, *, resuming: bool) -> Over:
        """Do step after step. `Over.done` false: it stopped, and can be resumed."""
        if resuming and self._run.closed is None:
            self._append(Resumed(at=self._ports.now(), who=self._ports.who))
        while True:
            at = position(self._runbook, self._run.entries)
            if isinstance(at, Over):
                return self._close(at)
            self._do(at)
            if stopped(self._run.entries):
                step = self._runbook.step(at.step).step
                return Over(done=False, why=step.if_it_fails.say)

    def _close(self, over: Over) -> Over:
        if over.done and self._run.closed is None:
            self._append(Closed(at=self._ports.now(), who=self._ports.who, outcome="done"))
        return over

    def _do(self, at: Position) -> None:
        titled = self._runbook.step(at.step)
        step, ports = titled.step, self._ports
        what = self.filled(described(titled))
        ports.screen.step(titled, what, again=at.interrupted)
        began = ports.clock.monotonic()
        if not at.interrupted:
            self._append(
                Begun(at=ports.now(), who=ports.who, step=step.id, kind=step.step, what=what)
            )
        try:
            result = self._result(titled, at)
        except UnansweredError:
            raise  # the step is asked again by whoever resumes
        except OpsError as error:
            result = _Result(ok=False, output=f"{error.message}\n{error.hint}".strip())
        ended = Ended(
            at=ports.now(),
            who=ports.who,
            step=step.id,
            outcome=_outcome(result),
            then=result.then or (GO_ON if result.ok else step.if_it_fails.then),
            seconds=round(ports.clock.monotonic() - began, 3),
            answer=result.answer,
            code=result.code,
            output=ports.mask(result.output)[-SHOWN:],
        )
        self._append(ended)
        ports.screen.ended(ended)

    def _result(self, titled: Titled, at: Position) -> _Result:
        step = titled.step
        match step:
            case Observe():
                code, output = self._command(step.run, step.id, OBSERVE_SECONDS)
                return _Result(ok=code != 2, output=output, code=code)
            case Decide():
                choices = tuple(step.answers)
                said = self._ports.person.answer(
                    step.id, self.filled(step.ask), choices, safe=False
                )
                return _Result(ok=True, answer=said, then=step.answers[said])
            case Do():
                return self._change(step, at)
            case Wait():
                return self._holds(step.until, step.within)
            case Verify():
                return self._verify(step)

    def _change(self, step: Do, at: Position) -> _Result:
        """Do it, unless it is done already: that is looked at first."""
        if at.spawned:
            self._ports.screen.output(f"its command (pid {at.spawned.pid}) may still run …")
            self._ports.commands.await_end(at.spawned.pid, at.spawned.created, step.within)
        found = self._was_done(step, interrupted=at.interrupted)
        if found.ok:
            return replace(found, found_done=True)
        what = step.run or f"the action {step.action}"
        said = self._ports.person.answer(
            step.id, f"{self.filled(what)}: do it?", (YES, NO), safe=step.safe
        )
        if said != YES:
            return _Result(ok=False, answer=said, skipped=True)
        if step.run:
            code, output = self._command(step.run, step.id, step.within, agreed=True)
            return _Result(ok=code == 0, output=output, answer=said, code=code)
        action = self._ports.actions[str(step.action)]
        values = {name: self.filled(value) for name, value in step.values.items()}
        return _Result(ok=True, answer=said, output=action(values, self._ports.screen.output))

    def _was_done(self, step: Do, *, interrupted: bool) -> _Result:
        """Whether it is done already: looked at, or asked where looking cannot tell."""
        match step.done_when:
            case "repeat":
                return _Result(ok=False)
            case "ask" if not interrupted:
                return _Result(ok=False)
            case "ask":
                question = "It was begun, and looking cannot tell whether it was done. Was it?"
                name = f"{step.id}-was-done"
                said = self._ports.person.answer(name, question, (YES, NO), safe=False)
                return _Result(ok=said == YES, answer=said)
            case check:
                return self._holds(check, RECHECK_SECONDS if interrupted else 0)

    def _verify(self, step: Verify) -> _Result:
        if step.that is not None:
            return self._holds(step.that, step.within)
        assert step.run is not None  # noqa: S101 - checked when the page was loaded
        code, output = self._command(step.run, step.id, step.within)
        return _Result(ok=code == 0, output=output, code=code)

    def _holds(self, check: Check, seconds: float) -> _Result:
        clock, screen = self._ports.clock, self._ports.screen
        deadline, last = clock.monotonic() + seconds, ""
        while True:
            done, seen = self._satisfied(check)
            if done or clock.monotonic() >= deadline:
                return _Result(ok=done, output=seen)
            if seen != last:
                screen.output(seen)
                last = seen
            clock.sleep(min(POLL_SECONDS, max(0.0, deadline - clock.monotonic())))

    def _satisfied(self, check: Check) -> tuple[bool, str]:
        kinds = kinds_of(check, self._runbook)
        return satisfied(check, self._ports.look(kinds), self._runbook, self._arguments)

    def _command(
        self, text: str, step: str, seconds: float, *, agreed: bool = False
    ) -> tuple[int, str]:
        words = [self.filled(word) for word in command_words(text)][1:]
        tries = len(list(self._journal.folder.glob(f"{step}-*.out")))
        output = self._journal.folder / f"{step}-{tries + 1}.out"
        ports = self._ports

        def spawned(pid: int, created: float) -> None:
            at = ports.now()
            entry = Spawned(at=at, who=ports.who, step=step, pid=pid, created=created)
            self._append(entry)

        code = ports.commands.run(
            words,
            output,
            seconds=seconds,
            agreed=agreed,
            spawned=spawned,
            line=lambda text: ports.screen.output(ports.mask(text)),
        )
        said = ports.mask(output.read_text("utf-8", "replace"))
        write_private(output, said)
        return code, said

    def filled(self, text: str) -> str:
        """A text with the run's arguments in place of their names in braces."""
        return text.format(**self._arguments)

    @property
    def _arguments(self) -> Mapping[str, str]:
        return self._run.opened.arguments

    def _append(self, entry: Entry) -> None:
        self._journal.append(entry)
        self._run = Run(self._run.folder, (*self._run.entries, entry))


def described(titled: Titled) -> str:
    """What a step is about, in a line; names of arguments in braces."""
    match titled.step:
        case Decide(ask=text) | Observe(run=text) | Do(run=str(text)) | Verify(run=str(text)):
            return text
        case Do(action=action, values=values):
            return " ".join(
                [f"action {action}", *(f"{key}={each}" for key, each in values.items())]
            )
        case Wait(until=check, within=within):
            return f"until {check_text(check)}, for {within:g} s at most"
        case Verify(that=check) if check is not None:
            return check_text(check)
    return titled.title


def check_text(check: Check) -> str:
    """A check in words."""
    if isinstance(check, str):
        return "`doctor` finds nothing of it any more"
    where = "" if check.where == "True" else f" where {check.where}"
    return f"{check.each}{where}: {check.holds}"


def _outcome(result: _Result) -> str:
    if result.found_done:
        return "found done"
    if result.skipped:
        return "skipped"
    return "ok" if result.ok else "failed"
