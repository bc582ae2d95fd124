"""Backup and restore beside `cp` of the same bytes and beside plain pgbackrest, in one run.

Ours encrypts, proves the archive, and replays to an instant; the others copy. Nothing is asserted.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.inventory import Node
from postgres import names, patroni
from postgres.client import superuser
from postgres.scopes import data_folder, primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.postgres_lab import provision

pytestmark = pytest.mark.servers
ROUNDS = int(os.environ.get("SKILLSWAP_OPS_BENCH_ROUNDS", "3"))
ROWS = int(os.environ.get("SKILLSWAP_OPS_BENCH_ROWS", "1500000"))  # about 300 MB
FILL = (
    "CREATE TABLE bulk AS SELECT n, md5(n::text) a, md5((n+1)::text) b FROM generate_series(1,%s) n"
)
PLAIN = """\
[global]
repo1-path={folder}/plain
repo1-retention-full=2
repo1-bundle=y
compress-type=lz4
process-max=2
start-fast=y
lock-path={folder}/lock
spool-path={folder}/spool
log-level-file=off
log-level-console=warn
[plain]
pg1-path={data}
pg1-socket-path={socket}
pg1-user={user}
pg1-database=postgres
"""


@dataclass(frozen=True)
class Bench:
    lab: Lab
    context: LocalContext
    node: Node
    folder: Path

    def tool(self, *argv: str) -> None:
        env = {
            "PGBACKREST_CONFIG": str(self.folder / "plain.conf"),
            "PGPASSFILE": str(self.context.layout.conf(self.node) / "pgbackrest.pgpass"),
        }
        ended = self.context.target.run_tool(self.node, argv, env=env, seconds=1800)
        assert ended.code == 0, (argv, ended.stdout, ended.stderr)

    @property
    def data(self) -> Path:
        return data_folder(self.context.layout, self.node)


@pytest.fixture
def bench() -> Iterator[Bench]:
    lab = make_lab("127.96.0.0/16", "backupbench")
    try:
        context = provision(lab)
        node = patroni.leader_of(primary_scope(context))
        with superuser(context, node, context.topology.postgres.database) as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute(FILL, (ROWS,))
            connection.execute("CHECKPOINT")
        folder = context.layout.root / "beside"
        context.target.make_folder(folder)
        made = Bench(lab, context, node, folder)
        text = PLAIN.format(
            folder=folder, data=made.data, socket=context.layout.run(node), user=names.BACKUP
        )
        made.tool("sh", "-c", 'printf %s "$1" > "$0"', str(folder / "plain.conf"), text)
        made.tool("pgbackrest", "--stanza=plain", "--no-online", "stanza-create", "--force")
        yield made
        lab.run("destroy", "--yes")
    finally:
        remove_lab(lab)


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_backup_and_restore(bench: Bench) -> None:
    copy, restored = str(bench.folder / "copy"), str(bench.folder / "restored")
    mebibytes = _size(bench.data) / 1024**2
    times: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        into = bench.lab.home / f"ours-{number}"
        rounds: dict[str, Callable[[], object]] = {
            "cp": lambda: bench.tool("cp", "-a", str(bench.data), copy),
            "plain backup": lambda: bench.tool(
                "pgbackrest", "--stanza=plain", "--no-archive-check", "--type=full", "backup"
            ),
            "our backup": lambda: bench.lab.run("backup", "run", "postgres", "--kind", "full"),
            "plain restore": lambda: bench.tool(
                "pgbackrest", "--stanza=plain", f"--pg1-path={restored}", "--type=none", "restore"
            ),
            "our restore": lambda into=into: bench.lab.run(  # type: ignore[misc]
                "restore", "pg", "--to", datetime.now(UTC).isoformat(), "--into", str(into)
            ),
        }
        bench.tool("mkdir", "-m", "700", restored)
        for what, work in rounds.items():
            times.setdefault(what, []).append(seconds(work))
        bench.tool("rm", "-rf", copy, restored)
        subprocess.run(["rm", "-rf", str(into)], check=True)
    print(f"\n{mebibytes:.0f} MiB of data, {ROUNDS} rounds, medians")
    for what, taken in times.items():
        middle = statistics.median(taken)
        print(f"{what:<14} {middle:6.2f} s  {mebibytes / middle:7.1f} MiB/s")
    for ours, other in (
        ("our backup", "cp"),
        ("our backup", "plain backup"),
        ("our restore", "cp"),
        ("our restore", "plain restore"),
    ):
        ratios = [one / two for one, two in zip(times[ours], times[other], strict=True)]
        print(f"{ours} / {other}: {statistics.median(ratios):.2f}")


def _size(folder: Path) -> int:
    ended = subprocess.run(["du", "-sb", str(folder)], capture_output=True, text=True, check=True)
    return int(ended.stdout.split()[0])
