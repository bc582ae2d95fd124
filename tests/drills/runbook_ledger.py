"""A light load beside a runbook: what both stores acknowledged must be there at the end."""

import threading
import time
from typing import Self
from uuid import uuid4

from pymongo import WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from cluster.clock import wait_for
from cluster.errors import OpsError
from cluster.schema.guarantees import SENSITIVE
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import ADMIN, APPLICATION, login
from mongo.guarantees import write_concern
from postgres import guarantees, names, patroni
from postgres.client import superuser
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext

EVERY_SECONDS = 0.1
SEGMENTS = ("users_skills", "sessions_messages")
NAME = "runbook_ledger"


class Ledger:
    """Writes until it is judged; `judge` counts what was acknowledged, and what of it is lost."""

    def __init__(self, context: LocalContext) -> None:
        self._context = context
        self._acked: dict[str, set[str]] = {}
        self._stop = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._mongo, args=(one,)) for one in SEGMENTS),
            threading.Thread(target=self._postgres),
        ]

    def __enter__(self) -> Self:
        database = self._context.topology.postgres.database
        with superuser(
            self._context, patroni.leader_of(primary_scope(self._context)), database
        ) as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} (id text)".encode())
            user = names.application(self._context.topology)
            connection.execute(f"GRANT ALL ON {self._table} TO {user}".encode())
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def judge(self) -> tuple[int, int]:
        """How many writes were acknowledged, and how many of those are not there."""
        self._end()
        lost = sum(len(acked - self._read(store)) for store, acked in self._acked.items())
        self._drop()
        return sum(map(len, self._acked.values())), lost

    @property
    def _table(self) -> str:
        """In the application's schema, which has the database's name."""
        return f"{self._context.topology.postgres.database}.{NAME}"

    def _end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _mongo(self, segment: str) -> None:
        acked = self._acked.setdefault(segment, set())
        concern: WriteConcern = write_concern(SENSITIVE)
        while not self._stop.is_set():
            try:
                with router_client(
                    nodes.routers(self._context), login(self._context, APPLICATION), seconds=5
                ) as client:
                    rows = client[segment].get_collection(NAME, write_concern=concern)
                    while not self._stop.wait(EVERY_SECONDS):
                        name = str(uuid4())
                        rows.insert_one({"_id": name})
                        acked.add(name)
            except (OpsError, PyMongoError):
                time.sleep(EVERY_SECONDS)

    def _postgres(self) -> None:
        acked = self._acked.setdefault("postgres", set())
        insert = f"INSERT INTO {self._table} VALUES (%s)".encode()  # noqa: S608 - our own name
        while not self._stop.is_set():
            try:
                with guarantees.session(self._context) as connection:
                    while not self._stop.wait(EVERY_SECONDS):
                        name = str(uuid4())
                        connection.execute(insert, (name,))
                        acked.add(name)
            except OpsError:
                time.sleep(EVERY_SECONDS)

    def _read(self, store: str) -> set[str]:
        return wait_for(f"{store}, read back", lambda: self._found(store), seconds=60, every=1)

    def _drop(self) -> None:
        database = self._context.topology.postgres.database
        primary = patroni.leader_of(primary_scope(self._context))
        with superuser(self._context, primary, database) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self._table}".encode())
        routers, user = nodes.routers(self._context), login(self._context, ADMIN)
        with router_client(routers, user) as client:
            for segment in SEGMENTS:
                client[segment].drop_collection(NAME)

    def _found(self, store: str) -> set[str]:
        if store == "postgres":
            with guarantees.session(self._context) as connection:
                rows = connection.execute(f"TABLE {self._table}".encode()).fetchall()
                return {row[0] for row in rows}
        routers, user = nodes.routers(self._context), login(self._context, APPLICATION)
        with router_client(routers, user) as client:
            rows = client[store].get_collection(NAME, read_concern=ReadConcern("majority"))
            return {row["_id"] for row in rows.find()}
