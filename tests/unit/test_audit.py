"""The book of changing commands: its chain, what is in a line, and what breaks it."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.audit import GENESIS, Checked, Entry, append, check, read
from cluster.errors import OpsError, RefusedError
from cluster.lock import changes, exclusive
from cluster.secrets import SecretStore
from skillswap_ops.auditing import Trail, outcome, recorded, who

AT = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)


def entry(command: str = "provision", number: int = 1) -> Entry:
    return Entry(number=number, at=AT, event="begun", command=command, arguments=("é\n", '"'))


def book(folder: Path, count: int = 5) -> Path:
    path = folder / "audit.log"
    for number in range(count):
        append(path, entry(f"command {number}"))
    return path


def test_a_book_is_whole_private_and_one_line_an_entry(tmp_path: Path) -> None:
    path = book(tmp_path)
    found = read(path)
    assert found.broken is None
    assert [one.number for one in found.entries] == [1, 2, 3, 4, 5]
    assert found.entries[0].previous == GENESIS
    assert found.head == found.entries[-1].hash
    assert len(path.read_text().splitlines()) == 5
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_book_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "audit.log") == Checked((), GENESIS)
    assert append(tmp_path / "audit.log", entry(), create=False) is None
    assert not (tmp_path / "audit.log").exists()


def reforged(line: str, **changed: object) -> str:
    """The line with changed fields and a hash that fits it."""
    fields = json.loads(line) | changed | {"hash": ""}
    return Entry.model_validate_json(json.dumps(fields)).sealed().model_dump_json()


def test_each_break_names_its_line(tmp_path: Path) -> None:
    lines = book(tmp_path).read_text().splitlines()

    def broken(changed: list[str]) -> tuple[int, str]:
        found = check("".join(f"{line}\n" for line in changed))
        assert found.broken is not None
        return found.broken

    def replaced(number: int, line: str) -> list[str]:
        return [*lines[: number - 1], line, *lines[number:]]

    behind = "does not follow the line before it: one was changed, removed or put in"
    assert broken(replaced(3, lines[2].replace("command 2", "command 9"))) == (
        3,
        "was changed after it was written",
    )
    assert broken(replaced(3, reforged(lines[2], command="other"))) == (4, behind)
    assert broken([*lines[:2], *lines[3:]]) == (3, behind)
    assert broken(lines[1:]) == (1, behind)
    assert broken([lines[0], lines[2], lines[1], *lines[3:]]) == (2, behind)
    assert broken([*lines[:3], lines[2], *lines[3:]]) == (4, behind)
    garbage = "was changed: it is no entry, and none vouches for it"
    assert broken(replaced(2, "garbage")) == (2, garbage)
    assert broken(replaced(2, "")) == (2, garbage)
    assert broken([*lines[:1], "x", "y", *lines[1:]]) == (2, garbage)
    assert broken(replaced(2, lines[1].replace(":", ": ", 1))) == (2, garbage)
    assert broken(replaced(5, "garbage")) == (5, "was changed: it is no entry")


def test_a_cut_off_end_shows_only_in_the_head(tmp_path: Path) -> None:
    path = book(tmp_path)
    before = read(path)
    shorter = check("".join(f"{line}\n" for line in path.read_text().splitlines()[:3]))
    assert shorter.broken is None
    assert before.head not in {one.hash for one in shorter.entries}


@given(st.data())
def test_any_changed_byte_breaks_it(data: st.DataObject) -> None:
    text = ""
    previous = GENESIS
    for number in range(1, 4):
        one = entry(number=number).model_copy(update={"previous": previous}).sealed()
        text, previous = text + one.model_dump_json() + "\n", one.hash
    assert check(text).broken is None
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    changed = check(text[:at] + other + text[at + 1 :])
    # Without its newline at the very end it is the same book.
    assert changed.broken is not None or text[at] == "\n"
    if changed.broken:
        assert abs(changed.broken[0] - (text[:at].count("\n") + 1)) <= 1


def test_what_a_loss_of_power_cut_off_is_vouched_for_by_the_next(tmp_path: Path) -> None:
    path = book(tmp_path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert read(path).broken == (3, "is cut off")
    append(path, entry())
    found = read(path)
    assert found.broken is None
    assert [one.number for one in found.entries] == [1, 2, 3]
    assert path.read_bytes().startswith(whole[:-40])
    # Nobody vouches for it once it is changed.
    path.write_text(path.read_text().replace("command 2", "command 3"))
    assert read(path).broken is not None


def test_a_line_without_its_newline_is_an_entry(tmp_path: Path) -> None:
    path = book(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-1])
    append(path, entry())
    found = read(path)
    assert found.broken is None
    assert len(found.entries) == 3


def test_appending_at_once_keeps_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    threads = [
        threading.Thread(target=lambda: [append(path, entry()) for _ in range(10)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(path)
    assert found.broken is None
    assert len(found.entries) == 80


# Who, what, and what became of it


def test_a_command_that_takes_the_lock_is_in_the_book(tmp_path: Path) -> None:
    with recorded(Trail(["pg", "switchover", "--yes"])), exclusive(tmp_path / "lock", "switchover"):
        [begun] = read(tmp_path / "audit.log").entries
    begun, ended = read(tmp_path / "audit.log").entries
    assert (begun.event, begun.command) == ("begun", "switchover")
    assert begun.arguments == ("pg", "switchover", "--yes")
    assert (begun.who, begun.pid) == (who(), os.getpid())
    assert (ended.event, ended.of, ended.result) == ("ended", 1, "done")
    assert ended.seconds is not None


def test_a_lock_elsewhere_names_its_cluster_and_one_that_is_part_says_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "loads").mkdir()
    with recorded(Trail([])):
        with exclusive(tmp_path / "loads" / "lock", "services load", root=tmp_path):
            pass
        with exclusive(tmp_path / "backup.lock", "backup verify", untold=True):
            pass
        changes(tmp_path, "backup mark")
    found = read(tmp_path / "audit.log").entries
    assert [one.command for one in found if one.event == "begun"] == [
        "services load",
        "backup mark",
    ]
    assert not (tmp_path / "loads" / "audit.log").exists()


def test_a_lock_that_is_taken_twice_is_one_command(tmp_path: Path) -> None:
    with recorded(Trail([])):
        for _ in range(3):
            with exclusive(tmp_path / "lock", "drill heal"):
                pass
    assert len(read(tmp_path / "audit.log").entries) == 2


def test_outside_the_command_line_nothing_is_kept(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock", "provision"):
        pass
    assert not (tmp_path / "audit.log").exists()


def ends_by(error: BaseException, root: Path, words: list[str]) -> None:
    with recorded(Trail(words)):
        changes(root, "stop")
        raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(0), "done"),
        (SystemExit(None), "done"),
        (SystemExit(3), "exit code 3"),
        (KeyboardInterrupt(), "interrupted"),
        (click.Abort(), "interrupted"),
        (RefusedError("no majority\nof votes", "hint"), "failed: no majority"),
        (ValueError(""), "failed: ValueError"),
        (click.UsageError("name a SERVICE"), "failed: name a SERVICE"),
    ],
)
def test_what_became_of_it(tmp_path: Path, error: BaseException, said: str) -> None:
    assert outcome(error) == said
    with pytest.raises(type(error)):
        ends_by(error, tmp_path, [])
    assert read(tmp_path / "audit.log").entries[-1].result == said


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    secret = SecretStore(tmp_path / "secrets").get("mongo-admin").get_secret_value()
    words = ["services", "rollout", "--set", f"store.password={secret}"]
    error = OpsError(f"refused: mongodb://admin:{secret}@127.0.0.1/")
    with pytest.raises(OpsError):
        ends_by(error, tmp_path, words)
    text = (tmp_path / "audit.log").read_text()
    assert secret not in text
    assert read(tmp_path / "audit.log").entries[0].arguments[-1] == "store.password=***"


def test_destroy_leaves_no_book_behind(tmp_path: Path) -> None:
    with recorded(Trail([])):
        changes(tmp_path, "destroy")
        (tmp_path / "audit.log").unlink()
    assert not (tmp_path / "audit.log").exists()


def test_a_book_that_cannot_be_written_stops_no_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audit.log").mkdir()
    with recorded(Trail([])):
        changes(tmp_path, "drill heal")
    assert "the audit log cannot be written" in capsys.readouterr().err


def test_a_killed_command_has_no_end(tmp_path: Path) -> None:
    code = (
        "import os, signal, pathlib\n"
        "from cluster.lock import exclusive\n"
        "from skillswap_ops.auditing import Trail, recorded\n"
        f"root = pathlib.Path({str(tmp_path)!r})\n"
        "with recorded(Trail(['stop'])), exclusive(root / 'lock', 'stop'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    [only] = read(tmp_path / "audit.log").entries
    assert (only.event, only.command) == ("begun", "stop")
    changes(tmp_path, "stop")
    with recorded(Trail([])):
        changes(tmp_path, "provision")
    assert read(tmp_path / "audit.log").broken is None


# The command line


def cluster(home: Path) -> Path:
    root = home / "skillswap"
    root.mkdir()
    (root / "topology.yaml").write_text((Path("cluster") / "tp3.yaml").read_text("utf-8"), "utf-8")
    return root


def run(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "skillswap_ops.main", *words, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_line_shows_and_verifies(tmp_path: Path) -> None:
    root = cluster(tmp_path)
    stopped = run(tmp_path, "stop", "--yes")
    assert stopped.returncode == 0, stopped
    shown = run(tmp_path, "audit", "show", "--output", "json")
    [row] = json.loads(shown.stdout)
    assert (row["command"], row["result"], row["arguments"][:2]) == (
        "stop",
        "done",
        ["stop", "--yes"],
    )
    assert row["who"] == who()
    assert "stop --yes" in run(tmp_path, "audit", "show").stdout

    good = run(tmp_path, "audit", "verify")
    assert good.returncode == 0, good
    head = read(root / "audit.log").head
    assert good.stdout == f"2 lines, whole; head {head}\n"
    assert run(tmp_path, "audit", "verify", "--head", head).returncode == 0

    path = root / "audit.log"
    text = path.read_text()
    path.write_text(text.splitlines()[0] + "\n")
    cut = run(tmp_path, "audit", "verify", "--head", head)
    assert (cut.returncode, "its end was cut off" in cut.stderr) == (1, True)
    path.write_text(text.replace('"stop"', '"stip"', 1))
    broken = run(tmp_path, "audit", "verify", "--output", "json")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["broken_line"] == 1
    assert "audit.log: line 1 was changed after it was written" in broken.stderr
