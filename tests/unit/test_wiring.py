"""Which PostgreSQL a cluster gets, and which home and cluster are meant."""

from pathlib import Path

import pytest
import yaml

from cluster.layout import Layout
from cluster.topology import Topology
from cluster.topology_file import dump_topology, load_topology
from skillswap_ops import wiring


@pytest.fixture
def topology() -> Topology:
    return load_topology(None)


def test_the_newest_installed_postgres_is_taken(
    topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "newest_postgres", lambda: 17)
    made = wiring.with_postgres_version(topology, Layout(tmp_path))
    assert made.postgres.version == 17
    assert made.postgres.scope == topology.postgres.scope


def test_a_cluster_keeps_the_version_that_it_began_with(
    topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "newest_postgres", lambda: 16)
    begun = wiring.with_postgres_version(topology, Layout(tmp_path))
    (tmp_path / "topology.yaml").write_text(dump_topology(begun), "utf-8")
    monkeypatch.setattr(wiring, "newest_postgres", lambda: 17)
    assert wiring.with_postgres_version(topology, Layout(tmp_path)).postgres.version == 16


def test_a_version_that_is_named_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "newest_postgres", lambda: 17)
    written = yaml.safe_load(dump_topology(load_topology(None)))
    written["postgres"]["version"] = 15
    made = wiring.with_postgres_version(Topology.model_validate(written), Layout(tmp_path))
    assert made.postgres.version == 15


def test_homes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SKILLSWAP_OPS_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert wiring.home_folder(None) == Path("/var/lib/skillswap-ops")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert wiring.home_folder(None) == tmp_path / "state" / "skillswap-ops"
    monkeypatch.setenv("SKILLSWAP_OPS_HOME", str(tmp_path / "named"))
    assert wiring.home_folder(None) == tmp_path / "named"
    assert wiring.home_folder(tmp_path / "given") == tmp_path / "given"
