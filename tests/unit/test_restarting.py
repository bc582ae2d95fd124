"""A restart that is killed in its midst, and the next one that finishes it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.context import Context
from cluster.restarting import finish, half_done, restart_server
from cluster.server import Server
from tests.unit import mongo_samples


class Killed(BaseException):
    """As by SIGKILL: nothing of the restart is run after it."""


@dataclass
class FakeTarget:
    dies_at: str = ""
    running: set[str] = field(default_factory=lambda: {"router-1", "router-2"})
    done: list[str] = field(default_factory=list)

    def stop(self, server: Server) -> None:
        self._act("stop", server)
        self.running.discard(server.name)

    def start(self, server: Server) -> None:
        self._act("start", server)
        self.running.add(server.name)

    def state(self, server: Server) -> object:
        return SimpleNamespace(running=server.name in self.running)

    def _act(self, what: str, server: Server) -> None:
        if what == self.dies_at:
            raise Killed
        self.done.append(f"{what} {server.name}")


def context_of(tmp_path: Path, target: FakeTarget) -> Context:
    return replace(mongo_samples.context(tmp_path), target=cast("Any", target))


def server(name: str) -> Server:
    return cast("Server", SimpleNamespace(name=name))


SERVERS = (server("router-1"), server("router-2"))


@pytest.mark.parametrize(("dies_at", "started"), [("stop", ""), ("start", "router-1")])
def test_what_was_stopped_is_started_by_the_next(
    tmp_path: Path, dies_at: str, started: str
) -> None:
    target = FakeTarget(dies_at)
    context = context_of(tmp_path, target)
    context.layout.root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(Killed):
        restart_server(context, SERVERS[0])
    assert half_done(context.layout) == "router-1"
    target.dies_at = ""
    assert finish(context, SERVERS) == started
    assert target.running == {"router-1", "router-2"}
    assert half_done(context.layout) == ""
    assert finish(context, SERVERS) == ""


def test_a_whole_restart_leaves_no_word_and_does_what_is_between(tmp_path: Path) -> None:
    target = FakeTarget()
    context = context_of(tmp_path, target)
    context.layout.root.mkdir(parents=True, exist_ok=True)
    restart_server(context, SERVERS[1], lambda: target.done.append("woken"))
    assert target.done == ["stop router-2", "woken", "start router-2"]
    assert half_done(context.layout) == ""


def test_a_server_that_is_stopped_by_somebody_else_stays_so(tmp_path: Path) -> None:
    target = FakeTarget(running={"router-2"})
    context = context_of(tmp_path, target)
    context.layout.root.mkdir(parents=True, exist_ok=True)
    assert finish(context, SERVERS) == ""
    assert target.running == {"router-2"}
