"""When a half-made cluster may be made anew: every single doubt forbids it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from cluster.context import Context
from cluster.inventory import Node
from cluster.server import Server
from cluster.target import ServerState, Target, ToolResult
from postgres import patroni, rescue
from postgres.scopes import primary_scope
from tests.unit.postgres_samples import answer, context

SYSTEM = "7710974861834004700"


@dataclass
class FakeTarget:
    """Data folders by node: what is in them. Records what is done."""

    data: dict[str, set[str]]
    running: bool = True
    did: list[str] = field(default_factory=list)

    def run_tool(self, node: Node, argv: Sequence[str]) -> ToolResult:
        program, held = Path(argv[0]).name, self.data.get(node.name, set())
        if program == "test":
            return ToolResult(0 if "marker" in held else 1, "", "")
        if program == "pg_controldata":
            valid = "control" in held
            return ToolResult(0, "Database system identifier: 7" if valid else "", "")
        self.did.append(f"{program} {node.name}")
        return ToolResult(0, "", "")

    def state(self, server: Server) -> ServerState:
        return ServerState(self.running, "")

    def stop(self, server: Server) -> None:
        self.did.append(f"stop {server.name}")

    def start(self, server: Server) -> None:
        self.did.append(f"start {server.name}")


class FakeEtcd:
    def __init__(self, keys: dict[str, str]) -> None:
        self.keys = keys

    def get(self, key: str) -> str | None:
        return self.keys.get(key.rpartition("/")[2])

    def delete_if(self, key: str, value: str) -> bool:
        return self.keys.pop(key.rpartition("/")[2]) == value


def attempt(
    monkeypatch: pytest.MonkeyPatch,
    of: Context,
    keys: dict[str, str],
    data: dict[str, set[str]],
    *,
    state: str = "stopped",
    look: int = 9,
    running: bool = True,
) -> list[str]:
    """What is done about a cluster whose etcd has `keys`."""
    target = FakeTarget(data, running)
    said = replace(patroni.parse_state(answer("standby")), state=state)
    monkeypatch.setattr(rescue, "administer", lambda *_: FakeEtcd(keys))
    monkeypatch.setattr(patroni, "state", lambda *_: said)
    here = replace(of, target=cast("Target", target))
    revived = rescue.revive_founder(here, primary_scope(here), look)
    assert revived == bool(target.did)
    return target.did


REMADE = ["stop pg1", "rm pg1", "mv pg1", "start pg1"]


@pytest.mark.parametrize(
    ("keys", "data", "state"),
    [
        ({"initialize": ""}, {}, "stopped"),
        ({"initialize": ""}, {"pg1": {"control"}}, "start failed"),
        ({"initialize": SYSTEM}, {"pg1": {"control"}}, "unknown"),
    ],
)
def test_made_anew(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
    data: dict[str, set[str]],
    state: str,
) -> None:
    assert attempt(monkeypatch, context(tmp_path), keys, data, state=state) == REMADE
    assert "initialize" not in keys


@pytest.mark.parametrize("keys", [{}, {"initialize": ""}])
def test_a_patroni_that_gave_up_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str]
) -> None:
    """It exits where it meets the unreaped postgres of a killed initdb: it has no state to ask."""
    data = {"pg1": {"control"}}
    assert attempt(monkeypatch, context(tmp_path), keys, data, running=False, look=1) == REMADE
    assert not keys


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("keys", "data"),
    [
        *(({"initialize": "", trace: "x"}, {}) for trace in rescue.TRACES),  # somebody once led
        ({"initialize": ""}, {"pg1": {"control", "marker"}}),  # the founder's data was finished
        ({"initialize": SYSTEM}, {"pg1": {"marker"}}),  # even where its control file is damaged
        ({"initialize": ""}, {"pgsync1": {"control"}}),  # another member has data
        ({"initialize": SYSTEM}, {"pgsync1": {"control"}}),
    ],
)
def test_left_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
    data: dict[str, set[str]],
    running: bool,
) -> None:
    before = dict(keys)
    assert attempt(monkeypatch, context(tmp_path), keys, data, running=running) == []
    assert keys == before


def test_nothing_is_done_before_anybody_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempt(monkeypatch, context(tmp_path), {}, {}) == []


@pytest.mark.parametrize("state", ["initializing new cluster", "starting", "running"])
def test_creation_under_way_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    assert attempt(monkeypatch, context(tmp_path), {"initialize": ""}, {}, state=state) == []


def test_data_with_a_system_id_is_given_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"initialize": SYSTEM}
    of = context(tmp_path)
    for look in range(1, rescue.PATIENT_LOOKS):
        assert attempt(monkeypatch, of, keys, {}, look=look) == []
    assert attempt(monkeypatch, of, keys, {}, look=rescue.PATIENT_LOOKS) == REMADE
