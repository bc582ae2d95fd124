"""Files, secrets, templates, waiting and paths: what everything else stands on."""

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from cluster import secrets
from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.errors import (
    InvalidInputError,
    MissingPrerequisiteError,
    OpsError,
    UnreachableError,
)
from cluster.files import write_atomic, write_private
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.render import render
from cluster.secrets import MountedSecrets, SecretStore
from cluster.topology_file import load_topology


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Files


@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644, 0o755])
def test_a_file_has_its_mode_whatever_the_umask(tmp_path: Path, wanted: int) -> None:
    umask = os.umask(0o077)
    try:
        write_atomic(tmp_path / "conf", "text\n", mode=wanted)
    finally:
        os.umask(umask)
    assert mode(tmp_path / "conf") == wanted
    assert (tmp_path / "conf").read_text() == "text\n"


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    write_atomic(tmp_path / "conf", "one", mode=0o600)
    write_atomic(tmp_path / "conf", "deux: é")
    assert (tmp_path / "conf").read_text("utf-8") == "deux: é"
    assert mode(tmp_path / "conf") == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "conf").symlink_to(tmp_path / "other")
    write_atomic(tmp_path / "conf", "new")
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "conf").is_symlink()


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """As on a full disk."""
    write_atomic(tmp_path / "conf", "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "conf", "new")
    monkeypatch.undo()
    assert (tmp_path / "conf").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


def test_a_file_is_never_readable_to_others_before_it_has_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = os.fsync

    def look(handle: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr(os, "fsync", look)
    write_atomic(tmp_path / "conf", "text", mode=0o644)
    assert seen[0] == 0o600


def test_the_text_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = os.fsync

    def look(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        order.append(f"{kind} synced, named: {(tmp_path / 'conf').exists()}")
        real(handle)

    monkeypatch.setattr(os, "fsync", look)
    write_atomic(tmp_path / "conf", "text")
    assert order == ["file synced, named: False", "folder synced, named: True"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_gives_a_file_to_its_owner(tmp_path: Path) -> None:
    write_atomic(tmp_path / "conf", "text", mode=0o600, owner=65534)
    assert (tmp_path / "conf").stat().st_uid == 65534


def test_a_private_file_may_be_left_as_it_is(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "one")
    assert mode(tmp_path / "key") == 0o600
    write_private(tmp_path / "key", "two", replace=False)
    assert (tmp_path / "key").read_text() == "one"
    write_private(tmp_path / "key", "three")
    assert (tmp_path / "key").read_text() == "three"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


# Secrets


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "secrets"
    first = SecretStore(folder).get("admin")
    assert SecretStore(folder).get("admin") == first
    assert SecretStore(folder).get("monitor") != first
    assert mode(folder) == 0o700
    assert mode(folder / "admin") == 0o600


def test_a_password_fits_a_connection_string_as_it_is(tmp_path: Path) -> None:
    for number in range(50):
        password = SecretStore(tmp_path).get(f"p{number}").get_secret_value()
        assert len(password) == 32
        assert set(password) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        )


def test_a_key_is_what_mongod_takes(tmp_path: Path) -> None:
    key = SecretStore(tmp_path).key("mongo-keyfile").get_secret_value()
    assert 6 <= len(key) <= 1024
    assert (tmp_path / "mongo-keyfile").read_text() == key
    assert SecretStore(tmp_path).key("mongo-keyfile").get_secret_value() == key


def test_a_secret_is_not_printed_by_accident(tmp_path: Path) -> None:
    secret = SecretStore(tmp_path).get("admin")
    assert secret.get_secret_value() not in f"{secret} {secret!r}"


def test_two_that_ask_at_once_get_the_same(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    found: list[str] = []

    def ask() -> None:
        start.wait()
        found.append(SecretStore(tmp_path / "secrets").get("admin").get_secret_value())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["admin"]


def test_the_loser_of_a_race_takes_the_winners_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(path: Path, text: str, *, replace: bool) -> None:
        path.write_text("the winner's")
        write_private(path, text, replace=replace)

    monkeypatch.setattr(secrets, "write_private", late)
    assert SecretStore(tmp_path).get("admin").get_secret_value() == "the winner's"


def test_a_secret_put_there_by_hand_may_end_with_a_newline(tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("by hand\n")
    assert SecretStore(tmp_path).get("admin").get_secret_value() == "by hand"


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"a\x00b"])
def test_a_damaged_secret_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """A new one in its place would fit no server."""
    (tmp_path / "admin").write_bytes(content)
    with pytest.raises(InvalidInputError, match="admin holds no secret") as caught:
        SecretStore(tmp_path).get("admin")
    assert "two" not in caught.value.message
    assert (tmp_path / "admin").read_bytes() == content


# Templates


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with one template."""
    templates = tmp_path / "an_engine" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "__init__.py").touch()
    (templates / "conf.j2").write_text(
        "{% for port in ports %}\n  port = {{ port }}\n{% endfor %}\nquery = {{ query }}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "an_engine"
    sys.modules.pop("an_engine", None)


def test_a_template_is_filled_without_blank_lines_or_html(engine: str) -> None:
    text = render(engine, "conf.j2", ports=[1, 2], query="a < b & 'c'")
    assert text == "  port = 1\n  port = 2\nquery = a < b & 'c'\n"


def test_an_undefined_name_is_an_error(engine: str) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'query' is undefined"):
        render(engine, "conf.j2", ports=[])


# Waiting


class FakeClock:
    """Seconds that pass only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def test_waiting_ends_with_what_the_probe_found() -> None:
    clock = FakeClock()
    answers = iter([None, None, "primary"])
    found = wait_for("a primary", lambda: next(answers), seconds=10, every=0.5, clock=clock)
    assert found == "primary"
    assert clock.sleeps == [0.5, 0.5]


def test_the_probe_is_asked_once_even_without_time() -> None:
    clock = FakeClock()
    assert wait_for("it", lambda: "there", seconds=0, clock=clock) == "there"
    assert clock.sleeps == []


def test_waiting_ends_at_the_deadline_with_a_last_look() -> None:
    clock = FakeClock()
    looks: list[float] = []
    with pytest.raises(UnreachableError) as caught:
        wait_for("a primary", lambda: looks.append(clock.now), seconds=1, every=0.4, clock=clock)
    assert caught.value.message == "a primary: not within 1 s"
    assert looks == pytest.approx([100, 100.4, 100.8, 101])


def test_the_last_reason_is_quoted_with_its_hint() -> None:
    reasons = iter(["refused", "not a primary"])

    def probe() -> None:
        reason = next(reasons, None)
        if reason:
            raise UnreachableError(reason, f"look at {reason}")

    with pytest.raises(UnreachableError) as caught:
        wait_for("shard-a", probe, seconds=2.5, every=1, clock=FakeClock())
    assert caught.value.message == "shard-a: not within 2.5 s: not a primary"
    assert caught.value.hint == "look at not a primary"


def test_another_error_ends_the_waiting() -> None:
    def probe() -> None:
        raise OpsError("wrong password")

    with pytest.raises(OpsError, match="wrong password"):
        wait_for("shard-a", probe, seconds=10, clock=FakeClock())


def test_the_systems_clock_goes_on() -> None:
    before = SYSTEM_CLOCK.monotonic()
    SYSTEM_CLOCK.sleep(0.001)
    assert SYSTEM_CLOCK.monotonic() > before


# Layout


def test_everything_is_below_the_clusters_folder_and_apart() -> None:
    layout = Layout(Path("/state/skillswap"))
    nodes = inventory(load_topology(None)).nodes
    places = [layout.conf(node) for node in nodes] + [layout.data(node) for node in nodes]
    places += [layout.run(node) for node in nodes] + [layout.log(node.name) for node in nodes]
    places += [layout.archive, layout.secrets, layout.supervisor, layout.drills]
    places += [layout.topology, layout.lock]
    assert len(set(places)) == len(places)
    for place in places:
        assert place.is_relative_to(layout.root)
        assert not any(place != other and place.is_relative_to(other) for other in places)


def test_where_things_are() -> None:
    layout = Layout(Path("/state/skillswap"))
    node = inventory(load_topology(None)).named("pg1")
    assert layout.node(node) == Path("/state/skillswap/nodes/pg1")
    assert layout.data(node) == Path("/state/skillswap/nodes/pg1/data")
    assert layout.log("pg1-pgbouncer") == Path("/state/skillswap/logs/pg1-pgbouncer.log")
    assert layout.topology == Path("/state/skillswap/topology.yaml")


def test_mounted_secrets_are_read_and_never_made(tmp_path: Path) -> None:
    """A password that a pod made up would fit no server, and no backup."""
    (tmp_path / "known").write_text("abc\n", "ascii")
    mounted = MountedSecrets(tmp_path)
    assert mounted.get("known").get_secret_value() == "abc"
    for ask in (mounted.get, mounted.key):
        with pytest.raises(MissingPrerequisiteError, match="no secret archive-repo1-cipher"):
            ask("archive-repo1-cipher")
    assert mounted.find("archive-repo1-cipher") is None
    assert [each.name for each in tmp_path.iterdir()] == ["known"]
