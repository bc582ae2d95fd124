"""Releases and moves, as pure functions: what a change does, killed after each of its steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import InvalidInputError
from manifests.services import planning, releases
from manifests.services.catalogue import CATALOGUE
from manifests.services.images import Image
from manifests.services.model import Stage
from manifests.services.places import CANARY
from manifests.services.planning import Act, Move, Seen, next_moves
from manifests.services.releases import NOTHING, Outcome, Releases

NOW = datetime(2026, 11, 25, tzinfo=UTC)
READY_OLD = Seen(running=True, wanted=False, ready=True)
READY_NEW = Seen(running=True, wanted=True, ready=True)
STARTING = Seen(running=True, wanted=True, ready=False)


def image(version: str) -> Image:
    return Image(f"/src/{version}", "/usr/bin/python3", Path("/src"), version)


ONE, TWO, BROKEN = image("1"), image("2"), image("broken")


def deployed(stage: Stage = Stage.MVP, first: Image = ONE) -> Releases:
    return planning.closed(planning.deploy(NOTHING, CATALOGUE, stage, None, {}, NOW, first))


def rolled(found: Releases, to: Image, *names: str) -> Releases:
    return planning.closed(planning.rollout(found, names, to, {}, NOW))


# What a change does


def test_deploying_makes_every_service_of_the_stage_live() -> None:
    found = deployed()
    assert set(found.services) == {each.name for each in CATALOGUE.at(Stage.MVP)}
    assert found.upto is Stage.MVP
    assert {each.current for each in found.services.values()} == {1}
    assert {each.revisions[0].outcome for each in found.services.values()} == {Outcome.LIVE}


def test_deploying_again_changes_nothing() -> None:
    found = deployed()
    again = planning.deploy(found, CATALOGUE, Stage.MVP, None, {}, NOW, TWO)
    assert again == found


def test_the_next_stage_leaves_what_runs_as_it_is() -> None:
    later = planning.deploy(deployed(), CATALOGUE, Stage.V1_1, None, {}, NOW, TWO)
    assert later.change is not None
    assert set(later.change.services) == {"files", "gamification"}
    assert later.wanted("files").version == "2"  # type: ignore[union-attr]
    assert later.wanted("auth").version == "1"  # type: ignore[union-attr]


def test_an_earlier_stage_takes_nothing_away() -> None:
    found = deployed(Stage.V1_1)
    assert planning.deploy(found, CATALOGUE, Stage.MVP, None, {}, NOW, ONE) == found


def test_deploying_an_image_rolls_it_out_to_all() -> None:
    found = planning.deploy(deployed(), CATALOGUE, Stage.MVP, TWO, {"chat": 3}, NOW, ONE)
    assert found.change is not None
    assert set(found.change.services) == set(found.services)
    assert found.services["chat"].replicas == 3
    assert found.services["auth"].replicas == 2


def test_replicas_of_a_service_of_another_stage_are_refused() -> None:
    with pytest.raises(
        InvalidInputError, match="--replicas files: it does not belong to stage mvp"
    ):
        planning.deploy(NOTHING, CATALOGUE, Stage.MVP, None, {"files": 2}, NOW, ONE)


def test_a_rollout_of_what_runs_is_no_change() -> None:
    found = deployed()
    assert planning.rollout(found, ["auth"], ONE, {}, NOW) == found


def test_settings_make_a_revision_and_stay_with_the_next_image() -> None:
    found = planning.closed(
        planning.rollout(deployed(), ["auth"], ONE, {"limits.login_per_minute": 5}, NOW)
    )
    found = rolled(found, TWO, "auth")
    live = found.wanted("auth")
    assert live is not None
    assert (live.number, live.version) == (3, "2")
    assert live.settings == {"limits.login_per_minute": 5}


def test_a_failure_of_one_sends_the_whole_rollout_back() -> None:
    found = planning.rollout(deployed(), ["auth", "chat"], TWO, {}, NOW)
    assert found.wanted("auth").version == "2"  # type: ignore[union-attr]
    found = planning.failed(found, "chat", "never ready")
    assert {found.wanted(name).version for name in ("auth", "chat")} == {"1"}  # type: ignore[union-attr]
    found = planning.closed(found)
    assert found.change is None
    for name, why in (("auth", "chat failed"), ("chat", "never ready")):
        release = found.services[name]
        assert (release.current, release.goal) == (1, None)
        assert (release.revisions[-1].outcome, release.revisions[-1].why) == (Outcome.FAILED, why)


def test_a_failure_in_a_deployment_leaves_the_others() -> None:
    found = planning.deploy(NOTHING, CATALOGUE, Stage.MVP, None, {}, NOW, ONE)
    found = planning.closed(planning.failed(found, "chat", "no Redis"))
    assert found.services["chat"].current is None
    assert found.wanted("chat") is None
    assert found.services["auth"].current == 1
    again = planning.deploy(found, CATALOGUE, Stage.MVP, None, {}, NOW, ONE)
    assert again.change is not None
    assert again.change.services == ("chat",)
    assert planning.closed(again).services["chat"].current == 2


def test_a_rollback_is_a_new_revision_of_what_was_live_before() -> None:
    found = rolled(rolled(deployed(), TWO, "auth"), image("3"), "auth")
    back = planning.closed(planning.rollback(found, "auth", None, NOW))
    live = back.wanted("auth")
    assert live is not None
    assert (live.number, live.version, live.outcome) == (4, "2", Outcome.LIVE)
    to_first = planning.rollback(found, "auth", 1, NOW).wanted("auth")
    assert to_first is not None
    assert to_first.version == "1"


def test_a_rollback_skips_what_never_was_live() -> None:
    found = planning.rollout(rolled(deployed(), TWO, "auth"), ["auth"], BROKEN, {}, NOW)
    found = planning.closed(planning.failed(found, "auth", "no"))
    back = planning.rollback(found, "auth", None, NOW).wanted("auth")
    assert back is not None
    assert back.version == "1"
    with pytest.raises(InvalidInputError, match="no revision 3 to go back to"):
        planning.rollback(found, "auth", 3, NOW)


def test_nothing_to_go_back_to_is_said() -> None:
    with pytest.raises(InvalidInputError, match="auth has nothing to go back to"):
        planning.rollback(deployed(), "auth", None, NOW)
    with pytest.raises(InvalidInputError, match="auth is not deployed"):
        planning.rollback(NOTHING, "auth", None, NOW)


def test_revisions_are_kept_up_to_a_number_and_the_live_one_always() -> None:
    found = deployed()
    for number in range(30):
        found = planning.rollout(found, ["auth"], image(f"b{number}"), {}, NOW)
        found = planning.closed(planning.failed(found, "auth", "no"))
    release = found.services["auth"]
    assert len(release.revisions) == releases.KEPT
    assert release.revision(1) is not None
    assert release.revisions[-1].number == 31


def test_scaling_makes_no_revision() -> None:
    found = planning.scale(deployed(), {"chat": 4})
    assert found.services["chat"].replicas == 4
    assert found.services["chat"].revisions == deployed().services["chat"].revisions
    assert found.change is None


def test_of_retired_services_nothing_should_run_and_they_can_be_deployed_anew() -> None:
    found = planning.retired(planning.rollout(deployed(), ["auth"], TWO, {}, NOW))
    assert {found.wanted(name) for name in found.services} == {None}
    again = planning.closed(planning.deploy(found, CATALOGUE, Stage.MVP, None, {}, NOW, TWO))
    assert {again.wanted(name).version for name in again.services} == {"2"}  # type: ignore[union-attr]


def test_the_state_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    assert releases.load(path) == NOTHING
    found = planning.rollout(deployed(), ["auth"], TWO, {"cors_origins": ("a", "b")}, NOW)
    releases.save(path, found)
    assert path.stat().st_mode & 0o777 == 0o600
    assert releases.load(path) == found
    path.write_text(path.read_text().replace('"replicas": 2', '"replicas": 99', 1))
    with pytest.raises(InvalidInputError, match=r"is damaged: services\.\w+\.replicas"):
        releases.load(path)


# What is touched next


@pytest.mark.parametrize(
    ("seen", "replicas", "moves"),
    [
        ({}, 2, [Move(Act.START, 1), Move(Act.START, 2)]),
        ({1: READY_NEW}, 2, [Move(Act.START, 2)]),
        ({1: READY_NEW, 2: READY_NEW}, 2, []),
        ({1: READY_NEW, 2: STARTING}, 2, [Move(Act.AWAIT, 2)]),
        ({1: READY_OLD, 2: READY_OLD}, 2, [Move(Act.START, CANARY)]),
        ({1: READY_OLD, 2: READY_OLD, CANARY: STARTING}, 2, [Move(Act.AWAIT, CANARY)]),
        ({1: READY_OLD, 2: READY_OLD, CANARY: READY_OLD}, 2, [Move(Act.START, CANARY)]),
        ({1: READY_OLD, 2: READY_OLD, CANARY: READY_NEW}, 2, [Move(Act.START, 1)]),
        ({1: READY_NEW, 2: READY_OLD, CANARY: READY_NEW}, 2, [Move(Act.START, 2)]),
        ({1: READY_NEW, 2: READY_NEW, CANARY: READY_NEW}, 2, [Move(Act.STOP, CANARY)]),
        # One that is missing is the canary.
        ({1: READY_OLD}, 2, [Move(Act.START, 2)]),
        # What gets no requests is replaced first.
        (
            {1: READY_OLD, 2: replace(READY_OLD, ready=False), CANARY: READY_NEW},
            2,
            [Move(Act.START, 2)],
        ),
        # Nothing serves: there is nothing to spare.
        ({1: replace(READY_OLD, ready=False)}, 1, [Move(Act.START, 1)]),
        # Too many.
        ({1: READY_NEW, 2: READY_NEW, 3: READY_NEW}, 2, [Move(Act.STOP, 3)]),
        ({1: READY_NEW, 3: READY_NEW}, 2, [Move(Act.START, 2)]),
    ],
)
def test_next_moves(seen: dict[int, Seen], replicas: int, moves: list[Move]) -> None:
    assert list(next_moves(seen, replicas)) == moves


def test_what_should_not_run_is_stopped() -> None:
    seen = {1: READY_OLD, CANARY: STARTING}
    assert list(next_moves(seen, 2, something=False)) == [
        Move(Act.STOP, 1),
        Move(Act.STOP, CANARY),
    ]


# Whole rollouts in a made-up world, cut off after each of its steps


@dataclass
class World:
    """Instances by number: what each runs, and whether it got ready. A broken one never does."""

    found: Releases
    service: str = "auth"
    instances: dict[int, str] = field(default_factory=dict)
    ready: set[int] = field(default_factory=set)
    fewest: int = 99

    def seen(self) -> dict[int, Seen]:
        wanted = self.found.wanted(self.service)
        return {
            number: Seen(
                running=True,
                wanted=wanted is not None and version == wanted.version,
                ready=number in self.ready,
            )
            for number, version in self.instances.items()
        }

    def work(self) -> Iterator[None]:
        """What a command does, a step at a time; it can be cut off at each `yield`."""
        while True:
            release = self.found.services[self.service]
            wanted = self.found.wanted(self.service)
            moves = next_moves(self.seen(), release.replicas, something=wanted is not None)
            if not moves:
                break
            for move in moves:
                yield from self._do(move)
        self.found = planning.closed(self.found)
        yield

    def _do(self, move: Move) -> Iterator[None]:
        wanted = self.found.wanted(self.service)
        if move.act is not Act.AWAIT:
            self.ready.discard(move.number)
            yield
            self.instances.pop(move.number, None)
            yield
        if move.act is Act.STOP or wanted is None:
            return
        self.instances[move.number] = wanted.version
        yield
        if wanted.version == BROKEN.version:
            assert planning.may_go_back(self.found, self.service)
            self.found = planning.failed(self.found, self.service, "never ready")
        else:
            self.ready.add(move.number)
        yield

    def run(self, steps: int | None = None) -> int:
        """Do so many steps, or all; returns how many there were."""
        count = 0
        for _ in self.work():
            count += 1
            assert count < 200, "it never ends"
            self.fewest = min(self.fewest, len(self.ready))
            if count == steps:
                break
        return count


def world(found: Releases, replicas: int = 2) -> World:
    numbers = range(1, replicas + 1)
    return World(found, instances=dict.fromkeys(numbers, "1"), ready=set(numbers))


def whole(found: World, replicas: int, version: str) -> None:
    assert found.instances == dict.fromkeys(range(1, replicas + 1), version)
    assert found.ready == set(range(1, replicas + 1))
    assert found.found.change is None


def rollout_to(target: Image, replicas: int) -> World:
    start = planning.scale(deployed(), {"auth": replicas})
    return world(planning.rollout(start, ["auth"], target, {}, NOW), replicas)


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize(("target", "ends"), [(TWO, "2"), (BROKEN, "1")])
def test_every_interrupted_rollout_is_ended_by_the_next_command(
    replicas: int, target: Image, ends: str
) -> None:
    steps = rollout_to(target, replicas).run()
    assert steps > 3
    for first in range(1, steps + 1):
        for second in range(steps + 1):
            killed = rollout_to(target, replicas)
            killed.run(first)
            killed.run(second)
            killed.run()
            whole(killed, replicas, ends)
            assert killed.fewest >= replicas, (first, second)


def test_a_broken_rollout_touches_only_the_canary() -> None:
    broken = rollout_to(BROKEN, 2)
    touched = set()
    for _ in broken.work():
        touched |= {number for number, version in broken.instances.items() if version != "1"}
    assert touched == {CANARY}


@given(
    st.dictionaries(
        st.integers(0, 5),
        st.builds(Seen, running=st.just(True), wanted=st.booleans(), ready=st.booleans()),
    ),
    st.integers(1, 4),
)
def test_from_any_state_it_ends_and_never_takes_the_last_one_away(
    seen: dict[int, Seen], replicas: int
) -> None:
    state = dict(seen)
    for _ in range(60):
        moves = next_moves(state, replicas)
        if not moves:
            break
        for move in moves:
            others = [n for n, each in state.items() if each.ready and n != move.number]
            here = state.get(move.number, Seen())
            if move.act is not Act.AWAIT and here.ready:
                assert others, (seen, move)
            state[move.number] = READY_NEW
            if move.act is Act.STOP:
                del state[move.number]
    assert state == dict.fromkeys(range(1, replicas + 1), READY_NEW)
