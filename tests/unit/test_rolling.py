"""The order of a rolling restart, and when it goes no further."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from cluster.drill.contracts import Observer
from cluster.errors import RefusedError, UnreachableError
from cluster.rolling import HandOver, Move, Restart, moves, next_move, refuse, roll

MEMBERS = ("a-1", "a-2", "a-3")


@dataclass
class FakeClock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeGroup:
    """A set whose lead goes to `heir`; a member that is in `bad` is not whole after its restart."""

    led: str = "a-1"
    heir: str = "a-2"
    members: Sequence[str] = MEMBERS
    bad: str = ""
    name: str = "shard-a"
    made: list[str] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def leader(self) -> str:
        return self.led

    def why_not(self, move: Move) -> str:
        ill = self.bad and f"restart {self.bad}" in self.made and self.bad != move.member
        return f"{self.bad} is RECOVERING" if ill else ""

    def make(self, move: Move) -> None:
        self.made.append(str(move))
        self.clock.now += 2
        if isinstance(move, HandOver):
            assert move.member == self.led
            self.led = self.heir
        else:
            assert move.member != self.led, "the leader was restarted under its clients"

    def observer(self) -> Observer | None:
        return None


@pytest.mark.parametrize(
    ("leader", "restarted", "expected"),
    [
        ("a-1", set(), Restart("a-2")),
        ("a-2", set(), Restart("a-1")),
        ("a-1", {"a-2"}, Restart("a-3")),
        ("a-1", {"a-2", "a-3"}, HandOver("a-1")),
        ("a-2", {"a-2", "a-3"}, Restart("a-1")),
        ("a-1", {"a-1", "a-2", "a-3"}, None),
        ("", {"a-1", "a-2"}, Restart("a-3")),
        ("", {"a-1", "a-2", "a-3"}, None),
    ],
)
def test_next_move(leader: str, restarted: set[str], expected: Move | None) -> None:
    assert next_move(MEMBERS, leader, restarted) == expected


def test_the_plan_is_what_is_done() -> None:
    group = FakeGroup()
    planned = [str(move) for move in moves(group.members, group.leader())]
    turns = roll(group, group.clock, lambda _: None)
    assert planned == group.made == [str(turn.move) for turn in turns]
    assert group.made == [
        "restart a-2",
        "restart a-3",
        "hand over from a-1",
        "restart a-1",
    ]
    assert [turn.seconds for turn in turns] == [2.0] * 4


def test_a_lead_that_moves_by_itself_is_followed() -> None:
    """An election half way: who leads now has been restarted, and keeps the lead."""

    class Restless(FakeGroup):
        def make(self, move: Move) -> None:
            super().make(move)
            if str(move) == "restart a-2":
                self.led = "a-2"

    group = Restless()
    roll(group, group.clock, lambda _: None)
    assert group.made == ["restart a-2", "restart a-1", "restart a-3"]


def test_members_without_a_lead_are_only_restarted() -> None:
    group = FakeGroup(led="")
    roll(group, group.clock, lambda _: None)
    assert group.made == [f"restart {name}" for name in MEMBERS]


def test_nothing_more_is_touched_while_one_is_not_whole() -> None:
    group = FakeGroup(bad="a-2")
    with pytest.raises(UnreachableError, match="a-2 is RECOVERING"):
        roll(group, group.clock, lambda _: None)
    assert group.made == ["restart a-2"]


def test_every_group_says_what_it_could_not_stand_before_anything_is_touched() -> None:
    class Weak(FakeGroup):
        def why_not(self, move: Move) -> str:
            return f"no majority without {move.member}" if isinstance(move, Restart) else ""

    class Headless(FakeGroup):
        def leader(self) -> str:
            raise UnreachableError("shard-b has no primary")

    weak, headless = Weak(), Headless(name="shard-b")
    with pytest.raises(RefusedError) as refused:
        refuse([FakeGroup(), weak, headless])
    assert refused.value.message.splitlines() == [
        "no majority without a-2",
        "no majority without a-3",
        "shard-b: shard-b has no primary",
    ]
    assert weak.made == headless.made == []


def test_healthy_groups_are_not_refused() -> None:
    refuse([FakeGroup(), FakeGroup(led="")])
