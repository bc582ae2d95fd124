"""A server is forgotten: its program and its folder go, whatever a killed run has left of them."""

from pathlib import Path

import pytest

from cluster.former import GONE
from cluster.inventory import Kind, Node
from cluster.layout import Layout
from cluster.local.target import LocalTarget
from cluster.local.users import RunAs
from cluster.server import Server

NODE = Node("pg3", Kind.POSTGRES, "payments", "", "", "127.118.60.3")
SERVERS = tuple(Server(name, NODE, "PostgreSQL", ("false",)) for name in ("pg3-pgbouncer", "pg3"))


@pytest.fixture
def target(tmp_path: Path) -> LocalTarget:
    """Without a supervisord, as `destroy` may find it."""
    return LocalTarget(Layout(tmp_path), RunAs(None, 0, 0), "supervisord")


def fill(target: LocalTarget, folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "rows").write_text("all", "utf-8")
    target.supervisor.programs.mkdir(parents=True, exist_ok=True)
    for server in SERVERS:
        for end in (".conf", ".started", ".loaded"):
            (target.supervisor.programs / f"{server.name}{end}").write_text("", "utf-8")


def test_all_servers_of_a_node_and_its_folder_go(target: LocalTarget) -> None:
    fill(target, target.layout.node(NODE))
    image = target.layout.root / "volumes" / "pg3-wal.img"
    image.parent.mkdir()
    image.write_text("", "utf-8")
    other = image.with_name("pg3-b-wal.img")
    other.write_text("", "utf-8")
    target.forget(*SERVERS)
    assert list((target.layout.root / "nodes").iterdir()) == []
    assert list(target.supervisor.programs.iterdir()) == []
    assert list(image.parent.iterdir()) == [other]
    target.forget(*SERVERS)


def test_what_a_killed_run_left_does_not_stand_in_the_way(target: LocalTarget) -> None:
    gone = target.layout.node(NODE).with_name(f"pg3{GONE}")
    fill(target, gone)
    fill(target, target.layout.node(NODE))
    target.forget(*SERVERS)
    assert list((target.layout.root / "nodes").iterdir()) == []
    fill(target, gone)
    kept = target.layout.root / "nodes" / "pg1" / "data"
    kept.mkdir(parents=True)
    target.sweep()
    assert [path.name for path in (target.layout.root / "nodes").iterdir()] == ["pg1"]
    target.sweep()
