"""Instants by chance of one load with a failover in it, each restored beside the cluster."""

import random
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cluster.backup.contracts import Target
from cluster.clock import wait_for
from cluster.inventory import Kind
from postgres import instance, names, patroni, restore_beside
from postgres.backup_stock import reader
from postgres.client import superuser
from postgres.faults.who import servers_of
from postgres.scopes import primary_scope
from skillswap_ops import restoring
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.backup_lab import PAUSE, Write, wrong
from tests.integration.postgres_lab import provision

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]
SEED, INSTANTS = 20261126, 10
CREATE = b"CREATE TABLE backup_trial (id bigint)"
INSERT = b"INSERT INTO backup_trial VALUES (%s)"
SELECT = b"SELECT id FROM backup_trial"
BEFORE, AFTER = 12.0, 12.0  # seconds of load on both sides of the failover


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = make_lab("127.95.0.0/16", "instants")
    try:
        provision(lab)
        yield lab
        lab.run("destroy", "--yes")
    finally:
        remove_lab(lab)


class Load:
    """Rows through both proxies, each in a transaction of its own, until it is stopped."""

    def __init__(self, context: LocalContext) -> None:
        self.writes: list[Write] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        proxies = context.inventory.of(Kind.HAPROXY)
        self._place = make_conninfo(
            host=",".join(node.address for node in proxies),
            port=names.DIRECT_PORT,
            user=names.SUPERUSER,
            password=names.password(context, names.SUPERUSER),
            dbname=context.topology.postgres.database,
            connect_timeout=2,
        )

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._place, autocommit=True) as client:
                    self._write(client)
            except psycopg.Error:
                self._stop.wait(PAUSE)

    def _write(self, client: "psycopg.Connection[tuple[object, ...]]") -> None:
        while not self._stop.wait(PAUSE):
            write = Write(len(self.writes), time.time())
            self.writes.append(write)
            client.execute(INSERT, (write.id,))
            write.acked = time.time()


def test_ten_instants_of_one_load_with_a_failover_in_it(lab: Lab) -> None:
    """One of them is the first moment that the new primary was seen, on a timeline just begun."""
    context, chance = lab.context, random.Random(SEED)
    scope = primary_scope(context)
    old = patroni.leader_of(scope)
    with superuser(context, old, context.topology.postgres.database) as connection:
        connection.execute(CREATE)
    with Load(context) as load:
        began = datetime.now(UTC)
        time.sleep(BEFORE)
        context.target.kill(servers_of(context, old))
        switched = wait_for("another primary", lambda: _switched(context, old.name), seconds=60)
        time.sleep(AFTER)
        ended = datetime.now(UTC)
    until = time.time()
    provision(lab)
    span = (ended - began).total_seconds()
    seconds = [chance.uniform(1.0, span - 1.0) for _ in range(INSTANTS - 1)]
    found = []
    for at in (switched, *(began + timedelta(seconds=each) for each in seconds)):
        folder = lab.home / "beside"
        wishes = restoring.Beside(folder, "", names.POSTGRES_PORT, start=True)
        done = restoring.beside(context, Target(time=at), wishes, lambda _: None)
        try:
            found += wrong("rows", load.writes, _rows(context, folder), at, until)
        finally:
            restore_beside.stop(context, folder)
        print(f"{at.isoformat()}: restored in {done.seconds:.1f} s, wrong so far: {len(found)}")
        shutil.rmtree(folder)
    assert found == []


def _switched(context: LocalContext, old: str) -> datetime | None:
    """Now, where another one takes writes."""
    others = [node for node in primary_scope(context).members if node.name != old]
    states = patroni.states(others)
    return datetime.now(UTC) if any(state.primary for state in states.values()) else None


def _rows(context: LocalContext, folder: Path) -> list[int]:
    made = restore_beside.at(reader(context), folder)
    with instance.superuser(made, context.topology.postgres.database) as connection:
        return [int(row[0]) for row in connection.execute(SELECT)]
