"""What is kept of logs and configuration: the right bytes, masked, and said where cut."""

from pathlib import Path

import pytest

from cluster.drill.publish import configuration, logs
from cluster.drill.publish.excerpts import shown
from cluster.drill.publish.logs import LogWatch, Window, choose, excerpts
from cluster.drill.publish.mask import UNMASKED, Mask


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "servers" / "a1.log"
    path.parent.mkdir()
    path.write_text("old\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def rotate(path: Path) -> None:
    """As supervisord does: every part takes the next number."""
    older = path.parent.glob(f"{path.name}.*")
    for file in sorted(older, key=lambda file: -int(file.suffix[1:])):
        file.rename(path.parent / f"{path.name}.{int(file.suffix[1:]) + 1}")
    path.rename(path.parent / f"{path.name}.1")
    path.touch()


def keep(watch: LogWatch, tmp_path: Path, mask: Mask = UNMASKED) -> tuple[str, logs.Excerpt]:
    watch.keep(tmp_path, mask)
    (excerpt,) = excerpts(tmp_path)
    path = tmp_path / logs.FOLDER / "a1.log"
    return path.read_text() if path.exists() else "", excerpt


def begun(log: Path) -> LogWatch:
    watch = LogWatch({"a1": log})
    watch.began()
    return watch


def test_only_what_was_written_during_the_run_is_kept(log: Path, tmp_path: Path) -> None:
    watch = begun(log)
    append(log, "before\n")
    watch.fault()
    append(log, "after, password hunter22\n")
    text, excerpt = keep(watch, tmp_path, Mask(["hunter22"]))
    assert text == "before\nafter, password ***\n"
    assert excerpt == logs.Excerpt("a1", written=32, fault=7)
    (one,) = shown(tmp_path)
    assert (one.before, one.after) == (("before",), ("after, password ***",))


@pytest.mark.parametrize("times", [1, 2, 11])
def test_a_rotated_log_is_followed(log: Path, tmp_path: Path, times: int) -> None:
    watch = begun(log)
    append(log, "one\n")
    for n in range(times):
        rotate(log)
        append(log, f"part {n}\n")
    watch.fault()
    append(log, "last\n")
    text, excerpt = keep(watch, tmp_path)
    parts = "".join(f"part {n}\n" for n in range(times))
    assert text == f"one\n{parts}last\n"
    assert excerpt.fault == text.index("last")
    assert excerpt.note == ""


def test_a_fault_before_the_rotation_is_found_again(log: Path, tmp_path: Path) -> None:
    watch = begun(log)
    append(log, "one\n")
    watch.fault()
    append(log, "two\n")
    rotate(log)
    append(log, "three\n")
    text, excerpt = keep(watch, tmp_path)
    assert text == "one\ntwo\nthree\n"
    assert excerpt.fault == 4


def test_only_the_first_fault_counts(log: Path, tmp_path: Path) -> None:
    watch = begun(log)
    watch.fault()
    append(log, "one\n")
    watch.fault()
    assert keep(watch, tmp_path)[1].fault == 0


def test_what_is_lost_is_said(log: Path, tmp_path: Path) -> None:
    watch = begun(log)
    log.rename(log.parent / "elsewhere")
    log.write_text("new\n")
    text, excerpt = keep(watch, tmp_path)
    assert text == "new\n"
    assert "rotated away" in excerpt.note


def test_a_truncated_log_is_kept_from_its_new_beginning(log: Path, tmp_path: Path) -> None:
    watch = begun(log)
    log.write_text("x\n")
    text, excerpt = keep(watch, tmp_path)
    assert text == "x\n"
    assert "truncated" in excerpt.note


def test_a_log_that_is_made_during_the_run_is_kept_whole(tmp_path: Path) -> None:
    watch = LogWatch({"a1": tmp_path / "a1.log"})
    watch.began()
    (tmp_path / "a1.log").write_text("first\n")
    assert keep(watch, tmp_path)[0] == "first\n"


def test_a_quiet_log_leaves_no_file_and_is_not_shown(log: Path, tmp_path: Path) -> None:
    text, excerpt = keep(begun(log), tmp_path)
    assert (text, excerpt.written) == ("", 0)
    assert shown(tmp_path) == ()


def test_a_long_log_is_cut_around_the_fault_at_whole_lines(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "__defaults__", (400,))
    watch = begun(log)
    append(log, "".join(f"line {n:04}\n" for n in range(100)))
    watch.fault()
    append(log, "".join(f"line {n:04}\n" for n in range(100, 300)))
    text, excerpt = keep(watch, tmp_path)
    first, *lines, last = text.splitlines()
    assert first == f"[{excerpt.cut_before:,} bytes before this were cut]"
    assert last == f"[{excerpt.cut_after:,} bytes after this were cut]"
    assert lines[0] == "line 0090"
    assert excerpt.written == 3000 == excerpt.cut_before + 10 * len(lines) + excerpt.cut_after
    assert excerpt.fault == text.index("line 0100")


@pytest.mark.parametrize(
    ("written", "fault", "window"),
    [
        (100, 50, Window(0, 100)),
        (100, None, Window(0, 100)),
        (1000, None, Window(600, 1000)),  # the last, where nobody knows the fault
        (1000, 500, Window(400, 800)),
        (1000, 20, Window(0, 400)),
        (1000, 990, Window(600, 1000)),
    ],
)
def test_which_bytes_are_kept(written: int, fault: int | None, window: Window) -> None:
    assert choose(written, fault, bound=400) == window


def test_configuration_before_and_after_and_what_changed(tmp_path: Path) -> None:
    same = {"a1/mongod.json": "{}\n"}
    configuration.keep(tmp_path, "before", same | {"dynamic.json": "ttl: 20\nx"}, UNMASKED)
    configuration.keep(tmp_path, "after", same | {"dynamic.json": "ttl: 30\nx"}, UNMASKED)
    (change,) = configuration.changes(tmp_path)
    assert change.name == "dynamic.json"
    assert {"-ttl: 20", "+ttl: 30"} <= set(change.diff)
    assert configuration.names(tmp_path) == ("a1/mongod.json", "dynamic.json")


def test_configuration_read_once_has_not_changed(tmp_path: Path) -> None:
    configuration.keep(tmp_path, "before", {"a": "1"}, UNMASKED)
    assert configuration.changes(tmp_path) == ()


def test_configuration_is_masked_and_stays_in_its_folder(tmp_path: Path) -> None:
    texts = {"../../up/..": "hunter22", "/etc/a b": "x"}
    configuration.keep(tmp_path / "run", "before", texts, Mask(["hunter22"]))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    top = tmp_path / "run" / configuration.FOLDER / "before"
    assert sorted(map(str, written)) == sorted(
        str(top / name) for name in configuration.names(tmp_path / "run")
    )
    assert "hunter22" not in "".join(path.read_text() for path in written)
