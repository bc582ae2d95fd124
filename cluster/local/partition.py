"""The network between two groups of servers of this machine cut, and joined again.

The servers' processes go into two cgroups. What a socket of one of them sends to the other side's
addresses is dropped; connections from before, whose sockets belong to no such cgroup, are dropped
by their addresses and ports. All of it is found again from the cluster's folder and a name.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.clock import Clock, wait_for
from cluster.errors import InvalidInputError, MissingPrerequisiteError, OpsError, RefusedError
from cluster.files import write_atomic
from cluster.layout import Layout
from cluster.local import cgroups, connections, firewall, processes
from cluster.local.cgroups import Group
from cluster.local.connections import Party
from cluster.local.firewall import Side
from cluster.local.probes import prove_cut
from cluster.local.processes import Owned
from cluster.server import Server
from cluster.target import Hit

MOVE_SECONDS = 10
SERVERS, PEERS = "servers", "peers"


def lacks() -> str:
    """Why this user cannot cut the network of this machine; "" if it can."""
    if os.geteuid() != 0:
        return "cutting the network needs root"
    tree = cgroups.tree()
    if tree is None or not cgroups.writable(tree):
        return "cutting the network needs a cgroup v2 tree that can be written to"
    return firewall.lacks(tree)


@dataclass(frozen=True)
class Partition:
    """One cut between servers of the cluster in `root`: what it is called, and its steps."""

    root: Path
    name: str
    tree: Path
    clock: Clock

    @property
    def table(self) -> str:
        """Of nft."""
        return f"{prefix(self.root)}{self.name}"

    @property
    def group(self) -> Group:
        """Holds the groups of both sides."""
        return Group(self.tree / self.table)

    def side(self, side: str) -> Group:
        """The group of one side."""
        return Group(self.group.folder / side)

    @property
    def origins(self) -> Path:
        """Where the servers' processes were before, by server."""
        return self.root / "partitions" / f"{self.name}.json"

    def remember(self, servers: Sequence[Server]) -> None:
        """Write down where the processes are, before any is moved."""
        found = processes.owned_by(self.root, [server.name for server in servers])
        self.origins.parent.mkdir(mode=0o700, exist_ok=True)
        origins = {process.server: cgroups.origin(process) for process in found}
        write_atomic(self.origins, json.dumps(origins), mode=0o600)

    def move_in(self, side: str, servers: Sequence[Server]) -> tuple[Owned, ...]:
        """Move the processes of these servers into their group, and those that they fork.

        Raises OpsError where nothing of them runs, or not in this network namespace.
        """
        names, group = [server.name for server in servers], self.side(side)
        group.make()
        found: tuple[Owned, ...] = ()

        def all_in() -> bool:
            nonlocal found
            found = processes.owned_by(self.root, names)
            out = [each for each in found if each.pid not in set(group.members())]
            for each in out:
                group.add(each)
            return not out

        what = f"move of {', '.join(names)} into a cgroup"
        wait_for(what, all_in, seconds=MOVE_SECONDS, every=0.01, clock=self.clock)
        if not found:
            raise OpsError(f"nothing of {', '.join(names)} runs: there is nothing to cut")
        if any(_network(each.pid) not in {_network(os.getpid()), ""} for each in found):
            raise OpsError(f"{', '.join(names)} are in another network namespace than this command")
        return found

    def cut(self, servers: Sequence[Server], peers: Sequence[Server]) -> float:
        """Load the rules; returns when, once no connection between the sides has been missed."""
        sides = (
            Side(self.side(SERVERS).folder, _addresses(peers)),
            Side(self.side(PEERS).folder, _addresses(servers)),
        )
        parties = (self._party(SERVERS, servers), self._party(PEERS, peers))
        known = connections.between(*parties, connections.ends())
        firewall.apply(firewall.ruleset(self.table, self.tree, sides, known))
        at = self.clock.monotonic()
        # No new ones come up from here on, but some may have between the look and the rules.
        while missed := connections.between(*parties, connections.ends()) - known:
            firewall.apply(firewall.more_flows(self.table, missed))
            known, at = known | missed, self.clock.monotonic()
        return at

    def undo(self) -> None:
        """Remove the rules, move the processes back, and remove the groups. Idempotent."""
        firewall.drop_table(self.table)
        for side in (SERVERS, PEERS):
            emptied = partial(self._emptied, self.side(side))
            wait_for(f"return of the {side} to their cgroups", emptied, seconds=MOVE_SECONDS)
        self.group.remove(self.clock)
        self.origins.unlink(missing_ok=True)

    def _emptied(self, group: Group) -> bool:
        members = group.members()
        if members:
            origins = self._origins()
            servers = {each.pid: each.server for each in processes.owned(self.root)}
            for pid in members:
                home = Group(self.tree / origins.get(servers.get(pid, ""), ""))
                (home if home.folder.is_dir() else Group(self.tree)).add_pid(pid)
        return not members

    def _origins(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.origins.read_text("utf-8")))
        except FileNotFoundError:
            return {}

    def _party(self, side: str, servers: Sequence[Server]) -> Party:
        return Party(frozenset(self.side(side).members()), frozenset(_addresses(servers)))


class Partitioning:
    """What makes a local target `CanIsolate`. Needs root, nft and cgroup v2."""

    layout: Layout
    _clock: Clock

    def isolate(self, name: str, servers: Sequence[Server], peers: Sequence[Server]) -> Hit:
        """Cut `servers` from `peers`; the proof is a probe from each side, and one from outside.

        A server that is started again while it is cut off is in neither group: it can send. What
        the servers themselves start again (Patroni its PostgreSQL) stays cut off.
        Raises RefusedError where `name` is in place already.
        """
        partition = self._partition(name)
        _check_sides(servers, peers)
        if partition.group.folder.is_dir():
            raise RefusedError(f"the partition {name} is in place", "`rejoin` it first")
        partition.remember([*servers, *peers])
        moved = partition.move_in(SERVERS, servers) + partition.move_in(PEERS, peers)
        at = partition.cut(servers, peers)
        seen = prove_cut(
            ((partition.side(SERVERS), peers), (partition.side(PEERS), servers)), self._clock
        )
        packets = firewall.dropped(partition.table)
        if not packets:
            raise OpsError(f"the rules of {partition.table} have dropped nothing")
        return Hit(at, f"cut: {processes.counted(moved)}; {seen}; {packets} packets dropped so far")

    def rejoin(self, name: str) -> None:
        """Let the packets pass again; TCP sends what was lost once more."""
        self._partition(name).undo()

    def rejoin_all(self) -> None:
        """Undo every partition of this cluster that there is."""
        tree = cgroups.tree()
        if lacks() or tree is None:
            return
        start = prefix(self.layout.root)
        groups = [path.name for path in tree.glob(f"{start}*")]
        for table in sorted({*groups, *firewall.tables(start)}):
            self._partition(table.removeprefix(start)).undo()

    def _partition(self, name: str) -> Partition:
        tree = cgroups.tree()
        if (why := lacks()) or tree is None:
            raise MissingPrerequisiteError(why)
        if not name.isascii() or not name.replace("_", "a").isalnum() or not name.islower():
            raise InvalidInputError(f"{name!r} is no name of a partition: lowercase, digits, _")
        return Partition(self.layout.root, name, tree, self._clock)


def prefix(root: Path) -> str:
    """What the tables and groups of one cluster begin with, and nobody else's."""
    return f"sso_{hashlib.sha256(str(root).encode()).hexdigest()[:10]}_"


def _check_sides(servers: Sequence[Server], peers: Sequence[Server]) -> None:
    shared = {*_addresses(servers)} & {*_addresses(peers)}
    if shared or not servers or not peers:
        raise InvalidInputError(
            f"a partition needs two sides without a common address (got {sorted(shared)})"
        )


def _addresses(servers: Sequence[Server]) -> tuple[str, ...]:
    return tuple(sorted({server.node.address for server in servers}))


def _network(pid: int) -> str:
    """The network namespace of a process; "" where it is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""
