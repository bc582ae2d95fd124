"""Cutting the network between real processes, on sockets from before and after; needs root."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from cluster.clock import SYSTEM_CLOCK
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.local import cgroups, firewall, partition
from cluster.local.connections import End, Party, between, ends
from cluster.local.firewall import Flow, Side, ruleset
from cluster.local.partition import PEERS, SERVERS, Partition, prefix
from cluster.local.target import LocalTarget
from cluster.server import Server
from cluster.target import CanIsolate
from tests.unit.local_processes import Start, server, start, target

__all__ = ["start", "target"]

root = pytest.mark.skipif(bool(partition.lacks()), reason=partition.lacks() or "")
PORT = 20_999

# Answers each line with the same line, and sends lines where it is told to: "ADDRESS WORD" goes
# over the connection that it has, or makes one; "new ADDRESS" tries a fresh one.
NODE = """
import socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
def echo(peer):
    for line in peer.makefile("rb"):
        peer.sendall(line)
def serve():
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
print("runs", flush=True)
known = {}
for line in sys.stdin:
    how, address, word = line.split()
    try:
        if how == "new" or address not in known:
            known[address] = socket.create_connection((address, int(sys.argv[2])), 1.5)
        peer = known[address]
        peer.settimeout(float(word) if how == "listen" else 1.5)
        if how != "listen":
            peer.sendall(word.encode() + b"\\n")
        print(peer.recv(100).decode().strip(), flush=True)
    except TimeoutError:
        print("timeout", flush=True)
"""


@dataclass(frozen=True)
class Speaker:
    """A process that listens on its server's address, and connects to others when told."""

    server: Server
    process: "subprocess.Popen[str]"

    def say(self, how: str, other: "Speaker", word: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{how} {other.server.node.address} {word}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


Speakers = tuple[Speaker, Speaker, Speaker]


@pytest.fixture
def speakers(target: LocalTarget, start: Start) -> Iterator[Speakers]:
    """Two servers, and a third party; each has an open connection to each."""
    made = []
    for number in (1, 2, 3):
        of = server(f"node-{number}", f"127.101.9.{number}", (PORT,))
        process = start(of.name, NODE, of.node.address, str(PORT))
        made.append(Speaker(of, process))
    for one in made:
        for other in made:
            if one is not other:
                assert one.say("old", other, "hello") == "hello"
    yield made[0], made[1], made[2]
    target.rejoin_all()


def nothing_left(target: LocalTarget, origin: str, pids: list[int]) -> None:
    start = prefix(target.layout.root)
    tree = cgroups.tree()
    assert tree is not None
    assert firewall.tables(start) == ()
    assert list(tree.glob(f"{start}*")) == []
    assert list(target.layout.root.glob("partitions/*")) == []
    assert {_cgroup(pid) for pid in pids} == {origin}


def _cgroup(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in lines if line.startswith("0::"))


@root
def test_cut_on_old_and_new_connections_and_nowhere_else(
    target: LocalTarget, speakers: Speakers
) -> None:
    one, two, third = speakers
    origin = _cgroup(os.getpid())
    hit = target.isolate("test", [one.server], [two.server])
    assert "no connection from the servers to node-2" in hit.proof
    assert "no connection from the peers to node-1" in hit.proof
    for here, there in ((one, two), (two, one)):
        assert here.say("old", there, "lost") == "timeout"
        assert here.say("new", there, "x") == "timeout"
    for here, there in ((third, one), (third, two), (one, third), (two, third)):
        assert here.say("old", there, "still") == "still"
        assert here.say("new", there, "fresh") == "fresh"
    target.rejoin("test")
    nothing_left(target, origin, [each.process.pid for each in speakers])
    for here, there in ((one, two), (two, one)):
        # TCP sends again what was lost: the old connection lives.
        assert here.say("listen", there, "20") == "lost"
        assert here.say("old", there, "more") == "more"
        assert here.say("new", there, "fresh") == "fresh"
    target.rejoin("test")


@root
def test_cut_off_at_any_step_and_undone_by_another(target: LocalTarget, speakers: Speakers) -> None:
    one, two, _ = speakers
    origin = _cgroup(os.getpid())
    tree = cgroups.tree()
    assert tree is not None
    half = Partition(target.layout.root, "half", tree, SYSTEM_CLOCK)
    steps: list[Callable[[], object]] = [
        lambda: half.remember([one.server, two.server]),
        half.side(SERVERS).make,
        lambda: half.move_in(SERVERS, [one.server]),
        half.side(PEERS).make,
        lambda: half.move_in(PEERS, [two.server]),
        lambda: half.cut([one.server], [two.server]),
    ]
    for count in range(len(steps) + 1):
        for step in steps[:count]:
            step()
        LocalTarget(target.layout, target.user, "supervisord").rejoin("half")
        nothing_left(target, origin, [one.process.pid, two.process.pid])
        assert one.say("new", two, "fresh") == "fresh"


@root
def test_half_undone_is_undone_by_the_next(target: LocalTarget, speakers: Speakers) -> None:
    one, two, _ = speakers
    origin = _cgroup(os.getpid())
    target.isolate("half", [one.server], [two.server])
    half = target._partition("half")
    half.origins.unlink()
    half.side(SERVERS).add_pid(two.process.pid)
    half.side(PEERS).remove(SYSTEM_CLOCK)
    target.rejoin_all()
    nothing_left(target, origin, [one.process.pid, two.process.pid])


@root
def test_goes_back_to_the_cgroup_it_came_from(target: LocalTarget, speakers: Speakers) -> None:
    one, two, third = speakers
    tree = cgroups.tree()
    assert tree is not None
    home = cgroups.Group(tree / "sso-test-home" / "inner")
    home.make()
    try:
        home.add_pid(one.process.pid)
        target.isolate("test", [one.server], [two.server])
        assert _cgroup(one.process.pid).endswith("_test/servers")
        target.rejoin("test")
        assert _cgroup(one.process.pid) == "0::/sso-test-home/inner"
        assert _cgroup(two.process.pid) == _cgroup(third.process.pid)
    finally:
        one.process.kill()
        one.process.wait()
        cgroups.Group(home.folder.parent).remove(SYSTEM_CLOCK)


@root
def test_refused_and_nothing_left(target: LocalTarget, speakers: Speakers) -> None:
    one, two, third = speakers
    with pytest.raises(InvalidInputError, match="common address"):
        target.isolate("test", [one.server, two.server], [two.server])
    with pytest.raises(InvalidInputError, match="no name of a partition"):
        target.isolate("a;b", [one.server], [two.server])
    with pytest.raises(OpsError, match="nothing of gone runs"):
        target.isolate("test", [one.server], [server("gone", "127.101.9.9", (PORT,))])
    target.rejoin("test")
    target.isolate("test", [one.server], [two.server])
    with pytest.raises(RefusedError, match="in place"):
        target.isolate("test", [one.server], [third.server])


@root
def test_no_proof_is_no_hit(target: LocalTarget, speakers: Speakers) -> None:
    """A peer that listens nowhere proves nothing."""
    one, two, _ = speakers
    deaf = server(two.server.name, two.server.node.address, (PORT + 1,))
    with pytest.raises(OpsError, match="none of node-2 listens"):
        target.isolate("test", [one.server], [deaf])


@root
def test_two_clusters_do_not_meet(tmp_path: Path) -> None:
    assert prefix(tmp_path / "a") != prefix(tmp_path / "b")
    assert len(prefix(tmp_path)) < 20


def test_an_ordinary_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert partition.lacks() == "cutting the network needs root"


@root
@pytest.mark.parametrize(
    ("module", "what", "told"),
    [
        (cgroups, "tree", "cutting the network needs a cgroup v2 tree that can be written to"),
        (firewall, "_program", "cutting the network needs nft: install nftables"),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, target: LocalTarget, module: ModuleType, what: str, told: str
) -> None:
    assert target.lacks(CanIsolate) == ""
    monkeypatch.setattr(module, what, lambda: None)
    assert target.lacks(CanIsolate) == told


@root
def test_a_kernel_that_refuses_the_rules_is_quoted(tmp_path: Path) -> None:
    nowhere = firewall.ROOT_OF_PATHS / "no-such-tree"
    assert "nft says" in firewall.lacks(nowhere)
    assert firewall.lacks(tmp_path).endswith(f"it is {tmp_path}")


def test_an_ipv6_socket_that_speaks_ipv4_is_seen() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client,
        listener.accept()[0],
    ):
        out = Flow(*client.getsockname(), *client.getpeername())
        seen = {end.flow for end in ends() if end.pid == os.getpid()}
    assert {out, out.back} <= seen


def test_rules_as_nft_reads_them() -> None:
    tree = Path("/sys/fs/cgroup/unified")
    side = Side(tree / "sso_x" / "servers", ("127.0.0.5", "127.0.0.6"))
    text = ruleset("sso_x", tree, [side], {Flow("127.0.0.1", 4000, "127.0.0.5", 27017)})
    assert (
        '    socket cgroupv2 level 2 "unified/sso_x/servers" '
        "ip daddr { 127.0.0.5, 127.0.0.6 } counter drop\n" in text
    )
    assert "elements = { 127.0.0.1 . 4000 . 127.0.0.5 . 27017 }" in text
    assert "elements" not in ruleset("sso_x", tree, [side], ())


def test_connections_are_known_by_who_holds_them() -> None:
    out = Flow("127.0.0.1", 4000, "127.0.0.5", 27017)
    third = Flow("127.0.0.1", 5000, "127.0.0.5", 27017)
    dying = Flow("127.0.0.1", 6000, "127.0.0.5", 27017)
    here = Party(frozenset({1}), frozenset({"127.0.0.4"}))
    there = Party(frozenset({2}), frozenset({"127.0.0.5"}))
    found = [
        End(out, 1),
        End(out.back, 2),
        End(third, 3),  # a client of theirs
        End(third.back, 2),
        End(dying, 1),
        End(dying.back, None),  # closed over there, its last bytes on the way
    ]
    both = {out, out.back, dying, dying.back}
    assert between(here, there, found) == between(there, here, found) == both
    assert between(here, there, []) == frozenset()
