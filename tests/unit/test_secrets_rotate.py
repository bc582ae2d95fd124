"""One secret becomes another: its files, the order of what is done, and a kill at every point."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.rotation import Door, Rotatable, rotate
from cluster.secrets import SecretStore
from tests.unit.postgres_samples import context as sample
from tests.unit.test_rolling import FakeClock


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@dataclass
class World:
    """A server that takes one password, and a client that is told which to try."""

    store: SecretStore
    server: str
    client: tuple[str, ...]
    log: list[str] = field(default_factory=list)
    calls: int = 0
    killed_at: int = 0

    def step(self, what: str) -> None:
        """One thing that is done; where it is killed, it is not."""
        self.calls += 1
        if self.calls == self.killed_at:
            raise Killed
        self.log.append(what)
        assert self.server in self.client, f"an outage after {self.log}"

    def tell(self) -> None:
        """What `_tell_instances` does."""
        coming = self.store.next("a")
        told = (self.store.get("a"), *([coming] if coming else []))
        self.client = tuple(each.get_secret_value() for each in told)
        self.step("client told")

    def switch(self, ahead: Context) -> None:
        self.tell()
        self.server = ahead.secrets.get("a").get_secret_value()
        self.step("server switched")

    def settle(self) -> None:
        self.tell()
        self.step("settled")

    def opens(self, secret: SecretStr) -> bool:
        self.step("door tried")
        return secret.get_secret_value() == self.server


@pytest.fixture
def made(tmp_path: Path) -> tuple[Context, World]:
    context = replace(sample(tmp_path), clock=FakeClock())
    old = context.secrets.get("a").get_secret_value()
    return context, World(context.secrets, old, (old,))


def of(world: World, opens: Callable[[SecretStr], bool] | None = None) -> Rotatable:
    door = Door("door", opens or world.opens)
    return Rotatable("a", "the door", "at once", world.switch, world.settle, doors=lambda: (door,))


def test_a_staged_secret_is_beside_the_one_in_force_and_masked_like_it(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    old = store.get("a")
    new = store.stage("a")
    assert store.stage("a") == new != old
    assert (store.get("a"), store.next("a"), store.former("a")) == (old, new, None)
    assert {*store.known()} == {old, new}
    assert (tmp_path / "secrets" / "a.next").stat().st_mode & 0o777 == 0o600
    assert (store.ahead("a").get("a"), store.ahead("a").next("a")) == (new, None)
    assert (store.kept(), store.half_rotated()) == (("a",), ("a",))

    store.adopt("a")
    store.adopt("a")
    assert (store.get("a"), store.next("a"), store.former("a")) == (new, None, old)
    assert {*store.known()} == {old, new}
    assert (store.kept(), store.half_rotated()) == (("a",), ("a",))

    store.drop_former("a")
    store.drop_former("a")
    assert store.known() == (new,)
    assert store.half_rotated() == ()


def test_a_key_is_staged_as_a_key_and_may_come_after_another_name(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    first = store.key("k1")
    second = store.stage("k2", key=True)
    assert len(second.get_secret_value()) == len(first.get_secret_value())
    store.adopt("k2", "k1")
    assert (store.get("k1"), store.get("k2"), store.former("k2")) == (first, second, first)


def test_the_steps_are_in_this_order(made: tuple[Context, World]) -> None:
    context, world = made
    old = world.server
    done = rotate(context, of(world))
    assert world.log == [
        "client told", "server switched", "door tried", "client told", "settled", "door tried",
    ]  # fmt: skip
    assert (done.name, done.doors, done.unasked) == ("a", ("door",), ())
    assert world.client == (world.server,)
    assert world.server == context.secrets.get("a").get_secret_value() != old
    assert context.secrets.half_rotated() == ()


@pytest.mark.parametrize("point", range(1, 7))
def test_killed_anywhere_it_goes_on_with_the_same_secret_and_without_an_outage(
    made: tuple[Context, World], point: int
) -> None:
    context, world = made
    old = world.server
    world.killed_at = point
    with pytest.raises(Killed):
        rotate(context, of(world))
    assert context.secrets.half_rotated() == ("a",)
    begun = (context.secrets.next("a") or context.secrets.get("a")).get_secret_value()
    rotate(context, of(world))
    assert world.server == begun == context.secrets.get("a").get_secret_value() != old
    assert world.client == (begun,)
    assert context.secrets.half_rotated() == ()


def test_killed_twice_it_still_goes_on(made: tuple[Context, World]) -> None:
    context, world = made
    for point in (2, 5, 9, 11):
        world.killed_at = point
        with pytest.raises(Killed):
            rotate(context, of(world))
    world.killed_at = 0
    rotate(context, of(world))
    assert context.secrets.half_rotated() == ()


def test_killed_between_the_two_files_of_adopting_nothing_is_lost(
    made: tuple[Context, World], tmp_path: Path
) -> None:
    context, world = made
    new = context.secrets.stage("a")
    (tmp_path / "secrets" / "a.former").write_text(world.server)
    rotate(context, of(world))
    assert context.secrets.get("a") == new


def test_a_door_that_takes_the_former_secret_still_is_an_error(
    made: tuple[Context, World],
) -> None:
    context, world = made
    with pytest.raises(OpsError, match="door still takes the former secret"):
        rotate(context, of(world, lambda _: True))
    assert context.secrets.half_rotated() == ("a",)


def test_a_door_that_does_not_take_the_new_one_leaves_the_old_one_in_force(
    made: tuple[Context, World],
) -> None:
    context, world = made
    old = world.server
    with pytest.raises(OpsError, match="door does not take the new secret"):
        rotate(context, of(world, lambda _: False))
    assert context.secrets.get("a").get_secret_value() == old
    assert context.secrets.next("a") is not None


def silent(_secret: SecretStr) -> bool:
    raise UnreachableError("nobody")


def test_who_says_nothing_is_named_and_where_nobody_answers_nothing_is_adopted(
    made: tuple[Context, World],
) -> None:
    context, world = made
    old = world.server
    with pytest.raises(UnreachableError, match=r"a: nobody answers \(door\)"):
        rotate(context, of(world, silent))
    assert context.secrets.get("a").get_secret_value() == old
    both = replace(of(world), doors=lambda: (Door("door", world.opens), Door("shut", silent)))
    done = rotate(context, both)
    assert (done.doors, done.unasked) == (("door",), ("shut",))
