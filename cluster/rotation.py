"""How one secret becomes another one while everything that uses it goes on.

    staged → switched at its servers → every door takes it → in force → the rest is told →
    no door takes the former one → the former one is forgotten

Each step can be repeated, and which of them are left is told by the secret's files alone
(`cluster.secrets`): a rotation that was killed anywhere goes on with the same new secret.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import SecretStr

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.server import Server
from cluster.target import Target

TAKEN_SECONDS = 60.0  # mongos looks at its users every 30 s
REFUSED_SECONDS = 60.0
SILENT_SECONDS = 5.0  # a door that says nothing for so long is not asked any more

Say = Callable[[str], None]


class Taker(Target, Protocol):
    """A target whose servers' files can be changed under them."""

    def write(self, server: Server) -> None:
        """Put its files in place, and tell nobody."""
        ...

    def started_as_written(self, server: Server) -> bool:
        """Whether it was started with the files that it should have."""
        ...


@dataclass(frozen=True)
class Door:
    """Where a secret lets somebody in. `opens` raises UnreachableError where nobody answers."""

    name: str
    opens: Callable[[SecretStr], bool]


def no_doors() -> tuple[Door, ...]:
    """None that could be tried."""
    return ()


@dataclass(frozen=True)
class Rotatable:
    """A secret, what it lets in, and how it is changed, both in an operator's words.

    `switch` is given the cluster as it will be, and has its servers take the new secret. `settle`
    is called when it is in force: for what only then may be told. Both may be called again.
    `after`: the name of the secret that this one comes after, where that is not its own.
    """

    name: str
    opens: str
    how: str
    switch: Callable[[Context], None]
    settle: Callable[[], None] = lambda: None
    doors: Callable[[], Sequence[Door]] = no_doors
    key: bool = False
    secret: str = ""
    after: str = ""
    note: Callable[[], str] = lambda: ""

    @property
    def kept_as(self) -> str:
        """The name of its file."""
        return self.secret or self.name


@dataclass(frozen=True)
class Rotated:
    """A secret that was changed. `doors` refuse the former one; `unasked` did not answer."""

    name: str
    doors: tuple[str, ...]
    unasked: tuple[str, ...]
    seconds: float
    note: str = ""


def rotate(context: Context, one: Rotatable) -> Rotated:
    """Change a secret, or end the change of it that was begun.

    Raises UnreachableError where a server does not take the new one in time: the old one stays in
    force then, and the next call goes on. Raises OpsError where the former one still lets in.
    """
    store, name, began = context.secrets, one.kept_as, context.clock.monotonic()
    doors = one.doors()
    if store.next(name) is not None or store.former(name) is None:
        staged = store.stage(name, key=one.key)
        one.switch(replace(context, secrets=store.ahead(name)))
        _await_taken(context, one, doors, staged)
        store.adopt(name, one.after)
    one.settle()
    unasked = _await_refused(context, one, doors)
    store.drop_former(name)
    asked = tuple(door.name for door in doors if door.name not in unasked)
    return Rotated(
        name=one.name,
        doors=asked,
        unasked=unasked,
        note=one.note(),
        seconds=context.clock.monotonic() - began,
    )


def tell(target: Taker, servers: Iterable[Server]) -> None:
    """Have servers read their files anew; one that stands still finds them at its start."""
    for server in servers:
        if target.state(server).running:
            target.reload(server)
        else:
            target.write(server)


def _await_taken(context: Context, one: Rotatable, doors: Sequence[Door], new: SecretStr) -> None:
    silent = [door.name for door in doors if _never_answers(context, door, new, want=True)]
    if doors and len(silent) == len(doors):
        raise UnreachableError(
            f"{one.name}: nobody answers ({', '.join(silent)})",
            "`skillswap-ops status` shows what is down; then run `secrets rotate` again",
        )


def _await_refused(context: Context, one: Rotatable, doors: Sequence[Door]) -> tuple[str, ...]:
    old = context.secrets.former(one.kept_as)
    if old is None:
        return ()
    return tuple(d.name for d in doors if _never_answers(context, d, old, want=False))


def _never_answers(context: Context, door: Door, secret: SecretStr, *, want: bool) -> bool:
    """False once the door opens (or, unless `want`, does not); True where it says nothing.

    Raises OpsError where it goes on saying the other thing.
    """
    clock, answered = context.clock, False
    silent_at = clock.monotonic() + SILENT_SECONDS

    def settled() -> bool:
        nonlocal answered
        try:
            found = door.opens(secret)
        except UnreachableError:
            return not answered and clock.monotonic() >= silent_at
        answered = True
        return found is want

    what = "the new" if want else "the former"
    try:
        wait_for(
            f"{door.name}",
            settled,
            seconds=TAKEN_SECONDS if want else REFUSED_SECONDS,
            every=0.2,
            clock=clock,
        )
    except UnreachableError as error:
        raise OpsError(
            f"{door.name} {'does not take' if want else 'still takes'} {what} secret",
            "`secrets rotate` again goes on from here; `skillswap-ops logs` says more",
        ) from error
    return not answered
