"""Backups and restores of a real PostgreSQL side, broken off at the worst moments."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psutil
import psycopg
import pytest

from cluster.clock import wait_for
from cluster.local import processes
from postgres import patroni, restore_state, wholeness
from postgres.client import superuser, value
from postgres.restore_state import Phase
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.postgres_lab import provision

pytestmark = pytest.mark.servers
Record = dict[str, Any]
TABLE = "CREATE TABLE IF NOT EXISTS restored (at timestamptz)"
KILLS = int(os.environ.get("SKILLSWAP_OPS_TEST_KILLS", "10"))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = make_lab("127.95.0.0/16", "backups")
    try:
        provision(lab)
        yield lab
        lab.run("destroy", "--yes")
    finally:
        remove_lab(lab)


@pytest.fixture(scope="module")
def context(lab: Lab) -> LocalContext:
    return lab.context


@pytest.fixture
def instant(context: LocalContext) -> datetime:
    """Ten rows are there by then, ten more come after it; each in a transaction of its own."""
    execute(context, TABLE)
    execute(context, "TRUNCATE restored")
    insert(context, 10)
    at = datetime.now(UTC)
    insert(context, 10)
    return at


def execute(context: LocalContext, statement: str) -> None:
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader, context.topology.postgres.database) as connection:
        connection.execute(statement.encode())


def insert(context: LocalContext, count: int) -> None:
    for _ in range(count):
        execute(context, "INSERT INTO restored VALUES (clock_timestamp())")


def rows(context: LocalContext) -> int:
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader, context.topology.postgres.database) as connection:
        return int(value(connection, "SELECT count(*) FROM restored"))


def backups(lab: Lab) -> list[Record]:
    return cast("Record", lab.json("backup", "list", "postgres"))["backups"]


def pids(context: LocalContext) -> set[int]:
    return {one.pid for one in processes.owned(context.layout.root) if one.name == "patroni"}


def whole(context: LocalContext) -> bool:
    return not wholeness.missing(context)


def test_each_kind_of_backup_is_listed_and_whole(lab: Lab) -> None:
    for kind in ("full", "diff", "incr"):
        made = cast("Record", lab.json("backup", "run", "postgres", "--kind", kind))["made"]
        assert [(one["kind"], one["good"]) for one in made] == [(kind, True)]
    assert {one["kind"] for one in backups(lab)} == {"full", "diff", "incr"}
    shown = lab.run("backup", "list").stdout
    assert max(map(len, shown.splitlines())) <= 100
    assert "everything is whole" in lab.run("backup", "verify", "postgres").stdout


def test_retention_keeps_two_full_backups(lab: Lab) -> None:
    before = {one["label"] for one in backups(lab) if one["kind"] == "full"}
    lab.run("backup", "run", "postgres", "--kind", "full")
    after = {one["label"] for one in backups(lab) if one["kind"] == "full"}
    assert len(after) == 2
    assert len(before - after) == len(before) - 1


def test_the_repository_cannot_be_read_without_its_key(context: LocalContext) -> None:
    """Every info file of pgBackRest's is plain text where nothing is encrypted."""
    [info] = context.layout.archive.glob("backup/*/backup.info")
    assert b"backrest" not in info.read_bytes()
    assert info.read_bytes().startswith(b"Salted__")


def test_restore_beside_shows_the_instant_and_touches_nothing(
    lab: Lab, context: LocalContext, instant: datetime
) -> None:
    before, folder = pids(context), lab.home / "beside"
    done = cast(
        "Record",
        lab.json("restore", "pg", "--to", instant.isoformat(), "--into", str(folder), "--start"),
    )
    try:
        assert datetime.fromisoformat(done["reached"]) <= instant
        with psycopg.connect(host=str(folder), user="postgres", dbname="payments") as connection:
            found = connection.execute(
                "SELECT count(*), current_setting('archive_mode'),"
                " current_setting('listen_addresses') FROM restored"
            ).fetchone()
        assert found == (10, "off", "")
    finally:
        _stop(done)
    assert pids(context) == before
    assert rows(context) == 20
    refused = lab.run(
        "restore", "pg", "--to", instant.isoformat(), "--into", str(folder), code=None
    )
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr


def _stop(done: Record) -> None:
    [line] = [line for line in done["how"] if line.startswith("stop:")]
    words = shlex.split(line.removeprefix("stop:"))
    subprocess.run(words, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("2020-01-01T00:00:00Z", "before the first backup"),
        ("FF/0", "past the last archived WAL"),
        ("nowhere", "there is no restore point nowhere"),
    ],
)
@pytest.mark.parametrize("place", ["--in-place", "--into"])
def test_what_cannot_be_reached_is_refused_with_the_range(
    lab: Lab, context: LocalContext, target: str, words: str, place: str
) -> None:
    before = pids(context)
    where = ("--in-place", "--yes") if place == "--in-place" else ("--into", f"{lab.home}/never")
    ended = lab.run("restore", "pg", "--to", target, *where, code=2)
    assert words in ended.stderr
    assert "possible: 20" in ended.stderr
    assert pids(context) == before
    assert restore_state.load(context.layout) is None


def test_a_killed_backup_is_not_listed(lab: Lab, context: LocalContext) -> None:
    before = backups(lab)
    running = _begin(lab, "backup", "run", "postgres", "--kind", "full")
    tool = wait_for("pgbackrest", lambda: _pgbackrest(context), seconds=30, every=0.01)
    copying = wait_for("the copy", lambda: _half_made(context, before), seconds=30, every=0.01)
    for process in tool:
        process.kill()
    running.wait()
    assert copying
    assert running.returncode == 1
    assert backups(lab) == before
    assert "everything is whole" in lab.run("backup", "verify", "postgres").stdout
    lab.run("backup", "run", "postgres", "--kind", "incr")
    assert len(backups(lab)) == len(before) + 1


def _half_made(context: LocalContext, before: list[Record]) -> list[Path]:
    known = {one["label"] for one in before}
    found = context.layout.archive.glob("backup/payments/2*F")
    return [path for path in found if path.name not in known]


def _pgbackrest(context: LocalContext) -> list[psutil.Process]:
    mine = {one.pid for one in processes.owned(context.layout.root) if one.name == "pgbackrest"}
    found = []
    for pid in mine:
        try:
            process = psutil.Process(pid)
            if "backup" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _begin(lab: Lab, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        lab.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def test_a_region_that_answers_is_not_gone(lab: Lab, context: LocalContext) -> None:
    before = pids(context)
    refused = lab.run("dr", "promote", "--old-region-is-gone", "--yes", code=1)
    assert "is not gone: pg1, pgsync1 still answers" in refused.stderr
    wait_for("the stream", lambda: lab.run("dr", "status", code=None).returncode == 0, seconds=30)
    seen = cast("Record", lab.json("dr", "status"))
    assert (seen["stage"], seen["primary"], seen["problems"]) == ("home", "pg1", [])
    assert seen["following"]["standby"]
    assert pids(context) == before


def test_in_place_to_a_name_and_back_to_the_instant(
    lab: Lab, context: LocalContext, instant: datetime
) -> None:
    """To a restore point; then to an instant that this very restore has put away."""
    lab.run("backup", "mark", "twenty")
    assert "already" in lab.run("backup", "mark", "twenty", code=2).stderr
    insert(context, 5)
    later = datetime.now(UTC)
    insert(context, 1)
    lab.run("restore", "pg", "--to", "twenty", "--in-place", "--yes")
    assert rows(context) == 20
    assert not wholeness.missing(context)
    lab.run("restore", "pg", "--to", later.isoformat(), "--in-place", "--yes")
    assert rows(context) == 25
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader) as connection:
        assert value(connection, "SHOW synchronous_standby_names") == "pgsync1"
        assert value(connection, "SHOW archive_mode") == "on"
    assert not wholeness.missing(context)
    assert "everything is whole" in lab.run("backup", "verify", "postgres").stdout
    lab.run("restore", "pg", "--to", instant.isoformat(), "--in-place", "--yes")
    assert rows(context) == 10


def test_a_restore_killed_in_its_midst_is_finished_by_the_same_command(
    lab: Lab, context: LocalContext, instant: datetime
) -> None:
    words = ("restore", "pg", "--to", instant.isoformat(), "--in-place", "--yes")
    running = _begin(lab, *words)
    wait_for("its midst", lambda: _phase(context) is Phase.PROMOTE, seconds=120, every=0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    refused = lab.run("plan", code=1)
    assert "half done" in refused.stderr
    assert "restore pg --to" in refused.stderr
    other = lab.run("restore", "pg", "--to", "twenty", "--in-place", "--yes", code=1)
    assert "half done" in other.stderr
    lab.run(*words)
    assert rows(context) == 10
    wait_for("the whole", lambda: whole(context), seconds=60)
    assert restore_state.load(context.layout) is None


def _phase(context: LocalContext) -> Phase | None:
    found = restore_state.load(context.layout)
    return found.phase if found else None


@pytest.mark.exhaustive
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_restore_killed_at_any_moment_is_finished(
    lab: Lab, context: LocalContext, instant: datetime, attempt: int
) -> None:
    """Each phase in its turn, and a random moment within it."""
    words = ("restore", "pg", "--to", instant.isoformat(), "--in-place", "--yes")
    phase, share = list(Phase)[attempt % len(Phase)], (attempt * 7919 % 100) / 100
    running = _begin(lab, *words)
    wait_for(phase, lambda: _phase(context) is phase, seconds=180, every=0.01)
    time.sleep(share * 2)  # the moment is what is tested
    running.send_signal(signal.SIGKILL)
    running.wait()
    print(f"killed at {_phase(context)}, {share * 2:.2f} s after {phase} began")
    lab.run(*words)
    assert rows(context) == 10
    wait_for("the whole", lambda: whole(context), seconds=60)


@pytest.mark.exhaustive
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_backup_killed_at_any_moment_is_not_listed_as_good(
    lab: Lab, context: LocalContext, attempt: int
) -> None:
    before = {one["label"] for one in backups(lab)}
    running = _begin(lab, "backup", "run", "postgres", "--kind", "full")
    tool = wait_for("pgbackrest", lambda: _pgbackrest(context), seconds=60, every=0.01)
    time.sleep(attempt * 0.25)  # the moment is what is tested
    for process in tool:
        if process.is_running():
            process.kill()
    running.wait()
    made = [one for one in backups(lab) if one["label"] not in before]
    assert made or running.returncode == 1
    # Killed behind the backup's end it is listed, and then nothing of it may be missing.
    assert "everything is whole" in lab.run("backup", "verify", "postgres").stdout
