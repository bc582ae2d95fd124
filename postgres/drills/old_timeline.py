"""Evidence that pg_rewind destroys: what each member's WAL held before it rejoined."""

import re
from pathlib import Path

from cluster.context import Context
from cluster.inventory import Node
from postgres.scopes import Scope, data_folder

SECONDS = 120.0  # there may be gigabytes since the last checkpoint
TAIL = 200  # records
LAST_LINES = f'"$0" "$@" 2>&1 | tail -n {TAIL}'
RECORD = re.compile(r"^rmgr: .*?, lsn: ([0-9A-F]+/[0-9A-F]+),", re.MULTILINE)
ASKED = {
    "Latest checkpoint's REDO location": "lsn",
    "Latest checkpoint's TimeLineID": "timeline",
}


def keep_old_timeline(context: Context, scope: Scope, folder: Path) -> None:
    """Keep of every member: its control file, its timeline histories, the end of its WAL."""
    for node in scope.members:
        data = data_folder(context.layout, node)
        control = _run(context, node, "pg_controldata", str(data))
        (folder / f"{node.name}-controldata.txt").write_text(control, "utf-8")
        for history in sorted((data / "pg_wal").glob("*.history")):
            text = history.read_text("utf-8", "replace")
            (folder / f"{node.name}-{history.name}").write_text(text, "utf-8")
        start = checkpoint(control)
        if start is not None:
            timeline, lsn = start
            (folder / f"{node.name}-wal.txt").write_text(
                _wal(context, node, data, timeline, lsn), "utf-8"
            )


def checkpoint(control: str) -> tuple[str, str] | None:
    """Timeline and LSN from which a server would recover, from pg_controldata's output."""
    found = {}
    for line in control.splitlines():
        name, _, text = line.partition(":")
        if name in ASKED:
            found[ASKED[name]] = text.strip()
    return (found["timeline"], found["lsn"]) if len(found) == len(ASKED) else None


def _wal(context: Context, node: Node, data: Path, timeline: str, lsn: str) -> str:
    """The last records, up to where the WAL ends, and before them statistics by kind of record."""
    where = ("-p", str(data / "pg_wal"), "-t", timeline, "-s", lsn)
    dump = ("sh", "-c", LAST_LINES, _program(context, "pg_waldump"), *where)
    records = context.target.run_tool(node, dump, seconds=SECONDS).stdout
    end = last_record(records)
    # Without an end it would find the WAL's, take it for an error, and print no statistics.
    statistics = (
        _run(context, node, "pg_waldump", *where, "-e", end, "--stats=record") if end else ""
    )
    return f"{statistics}\nThe last records:\n{records}"


def last_record(records: str) -> str | None:
    """Where the last of these records begins; None where there is none."""
    found = RECORD.findall(records)
    return found[-1] if found else None


def _run(context: Context, node: Node, program: str, *argv: str) -> str:
    """What it printed, errors too: pg_waldump ends with one wherever the WAL ends."""
    argv = (_program(context, program), *argv)
    ended = context.target.run_tool(node, argv, seconds=SECONDS)
    return ended.stdout + ended.stderr


def _program(context: Context, name: str) -> str:
    return context.programs.postgres(name, context.topology.postgres.version)
