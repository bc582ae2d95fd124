"""MongoDB's snapshot and restore beside `cp` of the same bytes, in one run: ratios, no promise.

`cp` copies the data folder of a member of each set to the same disk, and syncs it. The snapshot
locks, copies, compresses, seals and keeps the same; the restore reads it back, unpacks, and has the
server recover. SKILLSWAP_OPS_BENCH_ROWS makes the data larger.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cluster.backup.contracts import BackupKind, Target
from cluster.clock import wait_for
from mongo import nodes
from mongo.backup.engine import ENGINE
from mongo.client import router_client
from mongo.credentials import ADMIN, login
from tests.conftest import Lab

pytestmark = pytest.mark.servers
ROWS = int(os.environ.get("SKILLSWAP_OPS_BENCH_ROWS", "100000"))
BATCH = 1000


def test_snapshot_and_restore_beside_cp(shared_lab: Lab) -> None:
    context = shared_lab.context
    with router_client(nodes.routers(context), login(context, ADMIN), seconds=60) as client:
        for segment in context.topology.mongo.segments:
            rows = client[segment]["backup_bench"]
            rows.drop()
            for start in range(0, ROWS, BATCH):
                rows.insert_many(
                    {"_id": n, "text": os.urandom(100).hex()} for n in range(start, start + BATCH)
                )
    copied, seconds = _cp(shared_lab)
    began = time.monotonic()
    [made] = ENGINE.run(context, BackupKind.FULL, lambda _: None)
    snapshot = time.monotonic() - began
    wait_for(
        "the archive",
        lambda: any(window.last >= made.stopped for window in ENGINE.windows(context)),
        seconds=60,
        every=0.5,
    )
    at = max(window.last for window in ENGINE.windows(context))
    folder = shared_lab.home / "bench"
    done = ENGINE.restore_beside(context, Target(time=at), folder, lambda _: None)
    shutil.rmtree(folder)
    megabytes = copied / 1e6
    print(
        f"\n{megabytes:,.0f} MB in data folders\n"
        f"cp and sync  {seconds:6.2f} s  {megabytes / seconds:8.0f} MB/s\n"
        f"snapshot     {snapshot:6.2f} s  {megabytes / snapshot:8.0f} MB/s"
        f"  {snapshot / seconds:5.1f} × cp, {made.bytes_stored / 1e6:,.0f} MB stored\n"
        f"restore      {done.seconds:6.2f} s  {megabytes / done.seconds:8.0f} MB/s"
        f"  {done.seconds / seconds:5.1f} × cp"
    )


def _cp(lab: Lab) -> tuple[int, float]:
    context = lab.context
    target = lab.home / "cp"
    target.mkdir()
    folders = [context.layout.data(one.data_bearing[-1]) for one in nodes.replica_sets(context)]
    began = time.monotonic()
    for number, folder in enumerate(folders):
        subprocess.run(["cp", "-r", str(folder), str(target / str(number))], check=True)
    subprocess.run(["sync", "-f", str(target)], check=True)
    seconds = time.monotonic() - began
    size = sum(path.stat().st_size for path in Path(target).rglob("*") if path.is_file())
    shutil.rmtree(target)
    return size, seconds
