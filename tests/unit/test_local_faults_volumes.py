"""Volumes of a server's own made, filled, emptied and removed, on real loop devices, as root."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.clock import SYSTEM_CLOCK
from cluster.context import Context
from cluster.errors import MissingPrerequisiteError, OpsError, RefusedError
from cluster.local import volumes
from cluster.local.target import LocalTarget
from cluster.local.users import RunAs
from cluster.server import Server, Volume
from cluster.target import CanFill
from postgres import servers as postgres_servers
from postgres.dynamic import bounded_wal
from tests.unit.local_processes import server, target
from tests.unit.postgres_samples import context

__all__ = ["target"]

PG1 = replace(server("pg1"), volumes=(Volume("wal", 16),))


def why_not() -> str:
    try:
        volumes.check_volumes([PG1])
    except MissingPrerequisiteError as error:
        return error.message
    return ""


root = pytest.mark.skipif(bool(why_not()), reason=why_not() or "needs root")


@pytest.fixture
def mounted(target: LocalTarget) -> Iterator[Path]:
    """PG1's volume."""
    folder = target.layout.wal(PG1.node)
    folder.parent.mkdir(parents=True)
    volumes.provide(target.layout, PG1.node, PG1.volumes[0], target.user)
    yield folder
    volumes.unmount_all(target.layout.root, SYSTEM_CLOCK)


@root
def test_filled_to_the_last_byte_and_given_back(target: LocalTarget, mounted: Path) -> None:
    segment = mounted / "pg_wal" / "000000010000000000000001"
    segment.parent.mkdir()
    segment.write_bytes(b"1" * 8192)
    assert target.lacks(CanFill) == ""
    hit = target.fill(PG1.node, segment.parent)
    assert "writes of 1 and 8192 bytes fail with ENOSPC" in hit.proof
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (mounted / "pg_wal" / "new").write_bytes(b"x")
    target.fill(PG1.node, mounted)
    target.drain(PG1.node, segment.parent)
    target.drain(PG1.node, mounted)
    assert not (mounted / volumes.BALLAST).exists()
    assert segment.read_bytes() == b"1" * 8192
    (mounted / "pg_wal" / "new").write_bytes(b"x" * 1024**2)


@root
def test_a_full_volume_is_seen_to_be_full(target: LocalTarget, mounted: Path) -> None:
    """The proof looks at the disk, not at what was done."""
    target.fill(PG1.node, mounted)
    assert volumes._is_full(mounted, 1)
    (mounted / volumes.BALLAST).unlink()
    assert not volumes._is_full(mounted, 1)
    assert not volumes._is_full(mounted, 8192)


def test_the_disk_of_others_is_not_filled(target: LocalTarget, tmp_path: Path) -> None:
    data = target.layout.data(PG1.node)
    data.mkdir(parents=True)
    for folder in (data, tmp_path, Path("/")):
        with pytest.raises(RefusedError, match="not on a volume of its own"):
            target.fill(PG1.node, folder)
        target.drain(PG1.node, folder)
    assert "postgres.wal_volume" in target.lacks(CanFill)


@root
def test_another_nodes_volume_is_not_filled(target: LocalTarget, mounted: Path) -> None:
    with pytest.raises(RefusedError, match="not on a volume of its own"):
        target.fill(server("pg2").node, mounted)


@root
def test_made_once_and_mounted_again_after_a_reboot(target: LocalTarget, mounted: Path) -> None:
    (mounted / "kept").write_text("kept")
    volumes.unmount_all(target.layout.root, SYSTEM_CLOCK)
    assert not volumes.is_mounted(mounted)
    assert target.lacks(CanFill)
    for _ in range(2):
        volumes.provide(target.layout, PG1.node, PG1.volumes[0], target.user)
        assert (mounted / "kept").read_text() == "kept"
    volumes.unmount_all(target.layout.root, SYSTEM_CLOCK)
    assert not volumes.is_mounted(mounted)


@root
def test_a_half_made_volume_is_made_anew(target: LocalTarget) -> None:
    """As after kill -9 while the file system was being made."""
    folder = target.layout.wal(PG1.node)
    folder.parent.mkdir(parents=True)
    half = volumes.image(target.layout, PG1.node, PG1.volumes[0]).with_suffix(".img.new")
    half.parent.mkdir()
    half.write_bytes(b"rubbish" * 1000)
    volumes.provide(target.layout, PG1.node, PG1.volumes[0], RunAs("somebody", 12345, 12345))
    try:
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (12345, 0o700)
        assert [path.name for path in half.parent.iterdir()] == ["pg1-wal.img"]
    finally:
        volumes.unmount_all(target.layout.root, SYSTEM_CLOCK)


@root
def test_no_room_for_a_volume(target: LocalTarget) -> None:
    target.layout.wal(PG1.node).parent.mkdir(parents=True)
    with pytest.raises(OpsError, match="cannot be made"):
        volumes.provide(target.layout, PG1.node, Volume("wal", 1024**3), target.user)
    assert list((target.layout.root / "volumes").iterdir()) == []


@root
def test_wiped_with_its_data(target: LocalTarget, mounted: Path) -> None:
    (target.layout.data(PG1.node) / "pgdata").mkdir(parents=True)
    (target.layout.data(PG1.node) / "pgdata" / "PG_VERSION").write_text("15")
    (mounted / "pg_wal").mkdir()
    target.wipe(PG1)
    assert {path.name for path in mounted.iterdir()} == {"lost+found"}


def test_an_ordinary_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingPrerequisiteError, match="only root can mount"):
        volumes.check_volumes([PG1])
    volumes.check_volumes([server("redis")])


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(volumes, "_program", lambda name: None)
    with pytest.raises(MissingPrerequisiteError, match=r"there is no mkfs\.ext4") as caught:
        volumes.check_volumes([PG1])
    assert caught.value.hint == "install e2fsprogs"


def patroni_of(made: Context, name: str) -> tuple[Server, dict[str, Any]]:
    [found] = [each for each in postgres_servers.servers(made) if each.name == name]
    [text] = [file.text for file in found.files if file.name == "patroni.yml"]
    return found, yaml.safe_load(text)


def test_postgres_puts_its_wal_there(tmp_path: Path) -> None:
    made = context(tmp_path, {"postgres.wal_volume": 256})
    for name in ("pg1", "pgsync1", "pgdr1"):
        found, patroni = patroni_of(made, name)
        wal = {"waldir": str(made.layout.wal(found.node) / "pg_wal")}
        assert found.volumes == (Volume("wal", 256),)
        assert wal in patroni["postgresql"]["basebackup"]
        assert (wal in patroni.get("bootstrap", {}).get("initdb", ())) == (name == "pg1")


def test_without_the_option_nothing_is_different(tmp_path: Path) -> None:
    found, patroni = patroni_of(context(tmp_path), "pg1")
    assert found.volumes == ()
    assert "waldir" not in str(patroni)


def test_what_is_kept_fits_the_volume() -> None:
    assert bounded_wal(None) == {}
    assert bounded_wal(256) == {
        "max_slot_wal_keep_size": "128MB",
        "max_wal_size": "64MB",
        "wal_keep_size": "32MB",
    }
    assert bounded_wal(100_000) == {}


def test_the_topologys_own_setting_stands(tmp_path: Path) -> None:
    own = {"max_wal_size": "200MB"}
    made = context(tmp_path, {"postgres.wal_volume": 512, "postgres.parameters": own})
    _, patroni = patroni_of(made, "pg1")
    live = patroni["bootstrap"]["dcs"]["postgresql"]["parameters"]
    assert (live["max_wal_size"], live["wal_keep_size"]) == ("200MB", "64MB")
