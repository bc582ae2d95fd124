"""The executor: order, parallelism, failure, and every way of being interrupted."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import UnreachableError
from cluster.plan import (
    Event,
    Finding,
    Finished,
    Outcome,
    Started,
    Step,
    done,
    execute,
    in_order,
    preview,
    todo,
)


class Ticks:
    """A clock that goes on by a second at every look."""

    def __init__(self) -> None:
        self._ticks = count()

    def monotonic(self) -> float:
        return float(next(self._ticks))

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


@dataclass
class World:
    """What the steps work on: the set of things that are there, and how often each was made."""

    there: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    lives: int | None = None

    def process(self, lives: int) -> "World":
        """The same world to a process that dies for good after so many changes (SIGKILL)."""
        return World(self.there, self.made, self.lock, lives)

    def make(self, thing: str) -> None:
        with self.lock:
            if self.lives == 0:
                raise Killed
            if self.lives is not None:
                self.lives -= 1
            self.there.add(thing)
            self.made.append(thing)

    def step(self, name: str, *needs: str, things: tuple[str, ...] = ()) -> Step:
        """A step that makes its things one by one, and leaves alone what is there."""
        wanted = things or (name,)

        def check() -> Finding:
            missing = [thing for thing in wanted if thing not in self.there]
            return todo(f"no {missing[0]}") if missing else done("there")

        def act() -> None:
            for thing in wanted:
                if thing not in self.there:
                    self.make(thing)

        return Step(name, "Test", f"make {name}", check, act, needs)


class Killed(BaseException):
    """The process is gone: no `except Exception` sees this."""


def broken(name: str, *needs: str, error: Exception | None = None) -> Step:
    """A step whose work fails."""

    def act() -> None:
        raise error or UnreachableError(f"{name} does not answer")

    return Step(name, "Test", name, lambda: todo("not there"), act, needs)


def nothing(_: Event) -> None:
    """Nobody listens."""


def by_name(ends: list[Finished]) -> dict[str, tuple[Outcome, str]]:
    return {end.step.name: (end.outcome, end.why) for end in ends}


def run(*steps: Step, workers: int = 4) -> dict[str, tuple[Outcome, str]]:
    return by_name(execute(steps, nothing, workers=workers))


def test_only_what_is_missing_is_made() -> None:
    world = World(there={"a"})
    ends = run(world.step("a"), world.step("b", "a"))
    assert ends == {"a": (Outcome.UNCHANGED, "there"), "b": (Outcome.CHANGED, "no b")}
    assert world.made == ["b"]


def test_a_second_run_changes_nothing() -> None:
    world = World()
    steps = [world.step("a"), world.step("b", "a")]
    execute(steps, nothing)
    assert {end.outcome for end in execute(steps, nothing)} == {Outcome.UNCHANGED}
    assert world.made == ["a", "b"]


def test_needs_come_first_in_whatever_order_the_steps_are_given() -> None:
    world = World()
    run(world.step("c", "b"), world.step("b", "a"), world.step("a"), workers=1)
    assert world.made == ["a", "b", "c"]


def test_independent_steps_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)

    def step(name: str) -> Step:
        return Step(name, "Test", name, lambda: todo("always"), lambda: void(meeting.wait()))

    assert {outcome for outcome, _ in run(*map(step, "abc")).values()} == {Outcome.CHANGED}


def test_no_more_run_at_once_than_there_are_workers() -> None:
    crowd, met = threading.Barrier(3), []

    def act() -> None:
        with suppress(threading.BrokenBarrierError):
            crowd.wait(timeout=0.3)
            met.append("three at once")

    steps = [Step(str(i), "Test", "", lambda: todo("always"), act) for i in range(6)]
    execute(steps, nothing, workers=2)
    assert met == []


def void(_: object) -> None:
    """For lambdas that must return nothing."""


def test_a_failure_skips_what_needed_it_and_nothing_else() -> None:
    world = World()
    ends = run(
        world.step("before"),
        broken("bad", "before"),
        world.step("after", "bad"),
        world.step("long after", "after", "beside"),
        world.step("beside", "before"),
    )
    assert ends == {
        "before": (Outcome.CHANGED, "no before"),
        "bad": (Outcome.FAILED, "bad does not answer"),
        "after": (Outcome.SKIPPED, "bad failed"),
        "long after": (Outcome.SKIPPED, "bad failed"),
        "beside": (Outcome.CHANGED, "no beside"),
    }
    assert world.there == {"before", "beside"}


def test_a_check_that_raises_is_a_failure_with_its_error() -> None:
    error = UnreachableError("no route")

    def check() -> Finding:
        raise error

    (end,) = execute([Step("a", "Test", "a", check, lambda: None)], nothing)
    assert (end.outcome, end.why, end.error) == (Outcome.FAILED, "no route", error)


def test_a_defect_of_ours_is_told_with_its_kind() -> None:
    assert run(broken("a", error=KeyError("x")))["a"] == (Outcome.FAILED, "KeyError: 'x'")


def test_every_step_is_announced_and_ended_once_each_after_its_needs() -> None:
    world = World()
    events: list[Event] = []
    steps = [world.step("a"), broken("b", "a"), world.step("c", "b"), world.step("d", "a")]
    execute(steps, events.append)
    names = [(type(event), event.step.name) for event in events]
    assert sorted(name for kind, name in names if kind is Started) == ["a", "b", "c", "d"]
    assert sorted(name for kind, name in names if kind is Finished) == ["a", "b", "c", "d"]
    for step in steps:
        assert names.index((Started, step.name)) < names.index((Finished, step.name))
        for need in step.needs:
            assert names.index((Finished, need)) < names.index((Started, step.name))


def test_times_are_the_clocks() -> None:
    (end,) = execute([World().step("a")], nothing, clock=Ticks())
    assert (end.began, end.ended) == (0, 1)


@pytest.mark.parametrize("what", [execute, None], ids=["execute", "in_order"])
@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"a": ["b"]}, "a needs b, which is no step"),
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, "cycle"),
        ({"a": ["a"]}, "cycle"),
    ],
)
def test_steps_that_cannot_be_ordered_are_refused_before_anything_is_done(
    needs: dict[str, list[str]],
    message: str,
    what: Callable[..., object] | None,
) -> None:
    world = World()
    steps = [world.step("first"), *(world.step(name, *after) for name, after in needs.items())]
    with pytest.raises(ValueError, match=message):
        what(steps, nothing) if what else in_order(steps)
    assert not world.made


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two steps are named a"):
        in_order([World().step("a"), World().step("a")])


# Preview


def test_preview_changes_nothing_and_marks_what_follows() -> None:
    world = World(there={"a", "c"})
    rows = by_name(
        preview(
            [
                world.step("a"),
                world.step("b", "a"),
                world.step("c", "b"),
                world.step("d", "c"),
                world.step("e", "a"),
            ]
        )
    )
    assert rows == {
        "a": (Outcome.UNCHANGED, "there"),
        "b": (Outcome.WOULD_CHANGE, "no b"),
        "c": (Outcome.WOULD_CHANGE, "after b"),
        "d": (Outcome.WOULD_CHANGE, "after c"),
        "e": (Outcome.WOULD_CHANGE, "no e"),
    }
    assert world.made == []


def test_preview_goes_on_where_something_cannot_be_observed() -> None:
    def check() -> Finding:
        raise UnreachableError("router-1 refuses connections")

    world = World(there={"c"})
    steps = [
        Step("a", "Test", "a", check, lambda: None),
        world.step("b", "a"),
        world.step("c"),
    ]
    rows = preview(steps)
    assert by_name(rows) == {
        "a": (Outcome.WOULD_CHANGE, "cannot be observed: router-1 refuses connections"),
        "b": (Outcome.WOULD_CHANGE, "after a"),
        "c": (Outcome.UNCHANGED, "there"),
    }
    assert isinstance(rows[0].error, UnreachableError)


def test_preview_says_what_execute_then_does() -> None:
    world = World(there={"b"})
    steps = [world.step("a"), world.step("b"), world.step("c", "a", "b")]
    would = {row.step.name for row in preview(steps) if row.outcome is Outcome.WOULD_CHANGE}
    did = {end.step.name for end in execute(steps, nothing) if end.outcome is Outcome.CHANGED}
    assert would == did == {"a", "c"}


# Interruption


def small_cluster(world: World) -> list[Step]:
    """The shape of a provision: every kind of work takes several changes."""
    members = [f"m{i}" for i in range(3)]
    starts = [world.step(f"start {m}", things=(f"conf {m}", f"process {m}")) for m in members]
    names = [step.name for step in starts]
    return [
        *starts,
        world.step("initiate", *names, things=("replica set",)),
        world.step("users", "initiate", things=("admin", "application", "monitor")),
        world.step("beside", things=("etcd",)),
        world.step("register", "users", "beside", things=("shard",)),
    ]


COMPLETE = World()
execute(small_cluster(COMPLETE), nothing)


def kill_after(world: World, changes: int, workers: int) -> None:
    """Run until so many changes were made, and die."""
    with pytest.raises(Killed):
        execute(small_cluster(world.process(changes)), nothing, workers=workers)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("changes", range(len(COMPLETE.made)))
def test_killed_after_any_change_a_second_run_finishes(changes: int, workers: int) -> None:
    world = World()
    kill_after(world, changes, workers)
    assert len(world.made) == changes
    ends = execute(small_cluster(world), nothing, workers=workers)
    assert {end.outcome for end in ends} <= {Outcome.CHANGED, Outcome.UNCHANGED}
    assert world.there == COMPLETE.there
    assert sorted(world.made) == sorted(COMPLETE.made), "something was made twice"


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
@settings(deadline=None, derandomize=True)
def test_killed_again_and_again_it_still_finishes(runs: list[int]) -> None:
    world = World()
    for changes in runs:
        with suppress(Killed):
            execute(small_cluster(world.process(changes)), nothing, workers=2)
    execute(small_cluster(world), nothing)
    assert world.there == COMPLETE.there
    assert sorted(world.made) == sorted(COMPLETE.made)


def test_an_interrupt_starts_nothing_more() -> None:
    """Ctrl-C hits the thread that hands the work out; what waits for a worker is dropped."""
    world = World()
    release = threading.Event()
    slow = Step("slow", "Test", "", lambda: todo("always"), lambda: void(release.wait(10)))

    def on_event(event: Event) -> None:
        if event.step.name == "last":
            raise KeyboardInterrupt

    steps = [slow, world.step("waits for a worker"), world.step("last")]
    with pytest.raises(KeyboardInterrupt):
        execute(steps, on_event, workers=1)
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("step"):
            thread.join(10)
    assert world.made == []
