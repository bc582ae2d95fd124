"""What a person types as a target, which engines are meant, what encrypts a repository."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cluster.backup.contracts import Target
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.files import write_atomic
from cluster.layout import Layout
from cluster.topology_file import dump_topology
from postgres import archive
from postgres.restore_points import NAME
from postgres.servers import servers
from skillswap_ops.backups import ENGINES, chosen, on_each, parse_target, raise_failed
from skillswap_ops.main import cli
from tests.unit.postgres_samples import context
from tests.unit.topology_samples import topology

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("0/5a3f0d8", Target(lsn="0/5A3F0D8")),
        ("before-migration-12", Target(name="before-migration-12")),
        ("now", Target(time=NOW)),
        ("90s ago", Target(time=NOW - timedelta(seconds=90))),
        ("1.5h ago", Target(time=NOW - timedelta(minutes=90))),
        ("2026-11-26T11:00:00Z", Target(time=NOW - timedelta(hours=1))),
        ("2026-11-26 11:00:00.25", Target(time=NOW - timedelta(minutes=59, seconds=59.75))),
        ("2026-11-26T12:30:00+01:00", Target(time=NOW - timedelta(minutes=30))),
        ("2026-11-26", Target(time=NOW - timedelta(hours=12))),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert parse_target(text, NOW) == target


@pytest.mark.parametrize("text", ["2026-11-31", "2026-11-26T25:00", "2026-11-26T12:00:01Z"])
def test_what_is_no_time_or_yet_to_come(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_target(text, NOW)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1)))
def test_a_time_is_understood_as_it_is_printed(at: datetime) -> None:
    text = at.replace(tzinfo=UTC).isoformat()
    assert parse_target(text, NOW).time == at.replace(tzinfo=UTC)


def test_engines() -> None:
    assert chosen(()) == ENGINES
    assert [engine.name for engine in chosen(("pg", "postgres"))] == ["postgres"]
    with pytest.raises(InvalidInputError, match="there is no engine redis"):
        chosen(("redis",))


def test_one_engine_that_fails_keeps_no_other_from_it() -> None:
    class Broken:
        name = "broken"

    def act(engine: object) -> list[str]:
        if isinstance(engine, Broken):
            raise OpsError("no", "hint")
        return ["made"]

    made, failed = on_each([Broken(), *ENGINES], act)  # type: ignore[list-item]
    assert made == ["made"] * len(ENGINES)
    with pytest.raises(OpsError, match="broken: no") as raised:
        raise_failed(failed)
    assert raised.value.hint == "hint"


@pytest.mark.parametrize("name", ["a", "before-12", "v1.2", "x" * 63])
def test_names_of_restore_points(name: str) -> None:
    assert NAME.match(name)


@pytest.mark.parametrize("name", ["", "-a", "a b", "x" * 64, "0/5", "a'b", "a\n"])
def test_what_is_no_name(name: str) -> None:
    assert not NAME.fullmatch(name)


# Encryption


def config(folder: Path, **fields: object) -> str:
    repository = {"type": "folder", **fields}
    of = context(folder, {"archive.repositories": [repository]})
    [text] = [
        each.text
        for server in servers(of)
        if server.name == "pg1"
        for each in server.files
        if each.name == archive.CONFIG
    ]
    return text


def begun(folder: Path, text: str = "[global]\nrepo1-path=/x\n") -> None:
    conf = folder / "nodes" / "pgsync1" / "conf"
    conf.mkdir(parents=True)
    (conf / archive.CONFIG).write_text(text)


def test_a_new_repository_is_encrypted_and_stays_so(tmp_path: Path) -> None:
    first = config(tmp_path)
    assert "repo1-cipher-type=aes-256-cbc" in first
    begun(tmp_path, first)
    assert config(tmp_path) == first
    with pytest.raises(RefusedError, match="is encrypted, and stays"):
        config(tmp_path, encrypted=False)


def test_one_that_was_begun_without_stays_without(tmp_path: Path) -> None:
    begun(tmp_path)
    assert "cipher" not in config(tmp_path)
    assert not (tmp_path / "secrets" / "archive-repo1-cipher").exists()
    with pytest.raises(RefusedError, match="begun without encryption"):
        config(tmp_path, encrypted=True)


def test_another_repository_beside_an_old_one_is_new(tmp_path: Path) -> None:
    begun(tmp_path)
    of = context(
        tmp_path, {"archive.repositories": [{"type": "folder"}, {"type": "folder", "path": "/y"}]}
    )
    assert archive.cipher(of, 1) is None
    assert archive.cipher(of, 2)


def test_without_encryption_on_request(tmp_path: Path) -> None:
    assert "cipher" not in config(tmp_path, encrypted=False)


def test_the_passphrase_is_in_a_private_file_alone(tmp_path: Path) -> None:
    of = context(tmp_path)
    secret = archive.cipher(of, 1) or ""
    for server in servers(of):
        assert secret not in " ".join(server.argv)
        assert secret not in str(server.env)
        for each in server.files:
            assert each.secret or secret not in each.text


def test_a_proof_that_cannot_be_given_is_refused(tmp_path: Path) -> None:
    """As a drill it would be skipped, with 0: here that would say that restores are proved."""
    layout = Layout(tmp_path / "skillswap")
    layout.root.mkdir()
    write_atomic(layout.topology, dump_topology(topology({"mongo.backup": {"enabled": False}})))
    ended = CliRunner().invoke(cli, ["backup", "prove", "--home", str(tmp_path)])
    assert isinstance(ended.exception, RefusedError)
    assert ended.exception.message == "nothing is proved: mongo.backup.enabled is false"
    assert ended.exception.exit_code == 1
