"""MongoDB's secrets as they are rotated: its users' passwords at once, the key file by restarts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Observer
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.rolling import READY_SECONDS, Group, Move, Restart, refuse, roll
from cluster.rotation import Door, Rotatable, Say, Taker
from cluster.server import Server
from mongo import nodes, rolling, servers, users
from mongo.client import QUICK_SECONDS, node_client, set_client
from mongo.credentials import (
    ADMIN,
    APPLICATION,
    ARCHIVER,
    KEYFILE_SECRET,
    MONITOR,
    Login,
    internal,
    secret,
)
from mongo.nodes import SetNodes

OPENS = {
    ADMIN: "MongoDB, as an operator",
    MONITOR: "MongoDB, to look",
    ARCHIVER: "the oplogs, for the archive",
    APPLICATION: "the routers, as the services",
}
KEEPS = "connections go on"


def rotatables(context: Context, target: Taker) -> tuple[Rotatable, ...]:
    """The users, each of them once."""
    return tuple(_user(context, target, each.login.user) for each in users.cluster_users(context))


def key_file(context: Context, target: Taker, say: Say) -> Rotatable:
    """The key by which the servers know each other: two rolling restarts of members and routers.

    After the first all take both keys, after the second the new one alone.
    https://www.mongodb.com/docs/manual/tutorial/rotate-key-replica-set/
    """

    def switch(_ahead: Context) -> None:
        _restart_all(context, target, say)

    return Rotatable(
        name=KEYFILE_SECRET,
        opens="MongoDB's servers to each other, and to this tool",
        how="two rolling restarts of MongoDB: both keys, then the new one",
        switch=switch,
        settle=lambda: _restart_all(context, target, say),
        doors=lambda: tuple(_of_members(context)),
        key=True,
    )


def _user(context: Context, target: Taker, user: str) -> Rotatable:
    def switch(ahead: Context) -> None:
        for replica_set in nodes.replica_sets(ahead):
            step = users.step(ahead, replica_set)
            if not step.check().done:
                step.act()

    archiver = user == ARCHIVER
    return Rotatable(
        name=secret(user),
        opens=OPENS[user],
        how="the archiver restarts, and goes on where it was" if archiver else KEEPS,
        switch=switch,
        settle=partial(_restart_archiver, context, target) if archiver else lambda: None,
        doors=lambda: tuple(_of_user(context, user)),
    )


def _of_user(context: Context, user: str) -> Iterator[Door]:
    """Every router, and every set that has a user of that name of its own."""
    own = {each.login.user for each in users.shard_users(context)}
    for node in nodes.routers(context):
        yield Door(f"{node.name} as {user}", partial(_node_opens, node, user, "admin"))
    for one in nodes.replica_sets(context):
        if one.holds_config or user in own:
            yield Door(f"{one.name} as {user}", partial(_set_opens, one, user))


def _of_members(context: Context) -> Iterator[Door]:
    known = internal(context)
    for one in nodes.replica_sets(context):
        for node in one.nodes:
            yield Door(f"{node.name}'s key", partial(_node_opens, node, known.user, known.database))


def _node_opens(node: Node, user: str, database: str, password: SecretStr) -> bool:
    try:
        with node_client(node, Login(user, password, database)) as client:
            client.admin.command("ping")
    except RefusedError:
        return False
    return True


def _set_opens(replica_set: SetNodes, user: str, password: SecretStr) -> bool:
    try:
        with set_client(replica_set, Login(user, password), seconds=2 * QUICK_SECONDS) as client:
            client.admin.command("ping")
    except RefusedError:
        return False
    return True


def _restart_archiver(context: Context, target: Taker) -> None:
    """It reads its password once. Raises UnreachableError where it is not level in time."""
    for group in rolling.archiver_groups(context):
        for node in nodes.archivers(context):
            if not target.started_as_written(servers.archiver(context, node)):
                group.make(Restart(node.name))


def _restart_all(context: Context, target: Taker, say: Say) -> None:
    """Whoever does not run with the key file that it should have: every set, then the routers.

    Raises RefusedError where a group could not stand it, UnreachableError where one is not whole
    in time.
    """
    found = [_Rest(group, target, tuple(members)) for group, members in _groups(context)]
    waiting = [rest for rest in found if rest.members]
    if waiting:
        _await_stand(context, waiting)
    for rest in waiting:
        _roll(context, rest, say)


def _roll(context: Context, rest: "_Rest", say: Say) -> None:
    """A look that nobody answers on a busy machine is no reason to leave it half done."""
    for last in (False, False, True):
        try:
            roll(rest, context.clock, say)
        except OpsError as error:
            if last:
                raise
            say(f"{rest.name}: {error.message}; again once all is well")
            _await_stand(context, (rest,))
        else:
            return


@dataclass(frozen=True)
class _Rest:
    """The members of a group that are to be restarted still; who runs as written is left alone."""

    group: Group
    target: Taker
    servers: tuple[Server, ...]

    @property
    def name(self) -> str:
        """The group's."""
        return self.group.name

    @property
    def members(self) -> Sequence[str]:
        """Those that do not run with their files as they should be."""
        return [one.name for one in self.servers if not self.target.started_as_written(one)]

    def leader(self) -> str:
        """Who leads the whole group."""
        return self.group.leader()

    def why_not(self, move: Move) -> str:
        """What keeps the whole group from standing it."""
        return self.group.why_not(move)

    def make(self, move: Move) -> None:
        """Make it."""
        self.group.make(move)

    def observer(self) -> Observer | None:
        """The group's."""
        return self.group.observer()


def _groups(context: Context) -> Iterable[tuple[Group, Sequence[Server]]]:
    for one, group in zip(nodes.replica_sets(context), rolling.set_groups(context), strict=True):
        yield group, [servers.member(context, one, node) for node in one.nodes]
    (routers,) = rolling.router_groups(context)
    yield routers, [servers.router(context, node) for node in nodes.routers(context)]


def _await_stand(context: Context, waiting: Sequence[Group]) -> None:
    """What was restarted a moment ago, or before this was cut off, has time to be whole."""

    def stands() -> bool:
        try:
            refuse(waiting)
        except RefusedError as error:
            raise UnreachableError(error.message, error.hint) from error
        return True

    wait_for("the rest", stands, seconds=READY_SECONDS, every=0.5, clock=context.clock)
