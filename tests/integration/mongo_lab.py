"""A small real sharded cluster for tests of the router: one config server, two shards, one router.

Shard `shard-a` has three members, so that it can fail over; `shard-b` and the config servers have
one. The router is mongos where there is one, else the segment router. All of it lives in one
temporary folder and on addresses of 127.81.0.0/16, and is gone after `stop`.
"""

import base64
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import bson
from bson import Binary
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from scramp import ScramClient

from cluster.clock import wait_for
from cluster.programs import Programs
from mongo.router import wire

Document = dict[str, Any]
Client = MongoClient[Document]
T = TypeVar("T")

SEGMENT_A, SEGMENT_B = "users_skills", "sessions_messages"
ROUTER_ADDRESS = "127.81.51.{}"
ROUTER_PORT = 27017
ELECTION_TIMEOUT_MS = 2000
ALREADY_INITIALIZED = 23
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Member:
    """A mongod of a replica set."""

    replica_set: str
    address: str
    port: int

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"


CONFIG = (Member("config", "127.81.50.1", 27019),)
SHARD_A = tuple(Member("shard-a", f"127.81.1.{index}", 27018) for index in (1, 2, 3))
SHARD_B = (Member("shard-b", "127.81.2.1", 27018),)
SETS = (CONFIG, SHARD_A, SHARD_B)


@dataclass(frozen=True)
class User:
    """A user of the cluster, and its password."""

    name: str
    password: str
    roles: tuple[Mapping[str, str], ...]


def _user(name: str, *roles: tuple[str, str]) -> User:
    return User(
        name,
        secrets.token_urlsafe(12),
        tuple({"role": role, "db": database} for role, database in roles),
    )


@dataclass
class MongoLab:
    """The running cluster. `uri` is what an application would be given."""

    folder: Path
    key: str
    programs: Programs = field(default_factory=Programs)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    admin: User = field(default_factory=lambda: _user("admin", ("root", "admin")))
    app: User = field(
        default_factory=lambda: _user("app", ("readWrite", SEGMENT_A), ("readWrite", SEGMENT_B))
    )
    monitor: User = field(default_factory=lambda: _user("monitor", ("clusterMonitor", "admin")))
    config: tuple[Member, ...] = CONFIG
    router_address: str = ROUTER_ADDRESS

    # What a test uses

    @property
    def is_mongos(self) -> bool:
        """Whether the router is MongoDB's own."""
        return self.programs.mongos(None) is not None

    def uri(self, user: User | None = None, router: int = 1) -> str:
        """A connection string of the router, with a user's credentials where one is given."""
        login = f"{user.name}:{user.password}@" if user else ""
        place = f"{self.router_address.format(router)}:{ROUTER_PORT}"
        return f"mongodb://{login}{place}/?authSource=admin"

    def client(self, user: User | None, router: int = 1, **options: Any) -> Client:
        """A client of the router."""
        options = {"serverSelectionTimeoutMS": 10_000, **options}
        return MongoClient(self.uri(user, router), **options)

    @contextmanager
    def raw(self, user: User | None = None, router: int = 1) -> Iterator["RawClient"]:
        """A bare connection to the router, logged in where a user is given."""
        place = (self.router_address.format(router), ROUTER_PORT)
        with socket.create_connection(place, timeout=30) as raw:
            client = RawClient(raw)
            if user:
                client.log_in(user)
            yield client

    def member_client(self, member: Member, **options: Any) -> Client:
        """A direct connection to a member, as the cluster's internal user."""
        options = {"serverSelectionTimeoutMS": 5000, **options}
        return MongoClient(
            member.address,
            member.port,
            username="__system",
            password=self.key,
            authSource="local",
            authMechanism="SCRAM-SHA-256",
            directConnection=True,
            **options,
        )

    def primary(self, members: Sequence[Member], seconds: float = 30) -> Member:
        """The member that is primary now."""
        return wait_for(
            f"a primary of {members[0].replica_set}",
            lambda: next((member for member in members if self._is_primary(member)), None),
            seconds=seconds,
        )

    def kill(self, member: Member) -> None:
        """SIGKILL a member."""
        self._end(member.host, signal.SIGKILL)

    def send(self, member: Member, number: signal.Signals) -> None:
        """Send a member a signal that does not end it."""
        self.processes[member.host].send_signal(number)

    def start(self, member: Member) -> None:
        """Start a member that does not run; returns when it answers."""
        if member.host not in self.processes:
            self._launch(member.host, self._mongod(member))
        wait_for(f"{member.host} to listen", lambda: _listens(member.host), seconds=30)

    def whole(self) -> None:
        """Start what is down, and wait until every set has its primary and its secondaries."""
        for member in [member for members in SETS for member in members]:
            self.start(member)
        for members in SETS:
            primary = self.primary(members)
            wait_for(
                f"all members of {primary.replica_set}",
                lambda: self._all_ready(primary),  # noqa: B023 - called before the next turn
                seconds=60,
            )

    def start_router(self, router: int = 1, **settings: Any) -> int:
        """Start a router; returns its process id. `settings` are the segment router's own."""
        name = f"router-{router}"
        address = self.router_address.format(router)
        self._launch(name, self._router(name, address, settings))
        wait_for(f"{name} to listen", lambda: _listens(f"{address}:{ROUTER_PORT}"), seconds=30)
        return self.processes[name].pid

    def stop_router(self, router: int = 1, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop a router; returns its exit code."""
        return self._end(f"router-{router}", number)

    def spawn(self, name: str, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start a segment router that is expected to end by itself."""
        self._launch(name, [sys.executable, "-m", "mongo.router", *arguments])
        return self.processes.pop(name)

    def log(self, name: str) -> str:
        """What a process printed."""
        return (self.folder / f"{name}.log").read_text("utf-8", errors="replace")

    # Life

    def start_all(self) -> None:
        """Bring everything up: sets, router, users, shards, segments."""
        for member in (*SHARD_A, *SHARD_B):
            self._launch(member.host, self._mongod(member))
        self.start_center()
        for members in (SHARD_A, SHARD_B):
            self._initiate(members)
        with self.client(self.admin) as client:
            for members, segment in ((SHARD_A, SEGMENT_A), (SHARD_B, SEGMENT_B)):
                name = members[0].replica_set
                hosts = ",".join(member.host for member in members)
                client.admin.command("addShard", f"{name}/{hosts}", name=name)
                client.admin.command("enableSharding", segment, primaryShard=name)

    def start_center(self) -> None:
        """Bring up the config servers, the router and the users: all but the shards."""
        for member in self.config:
            self._launch(member.host, self._mongod(member))
        self._initiate(self.config)
        self.start_router()
        with MongoClient(
            self.router_address.format(1),
            ROUTER_PORT,
            username="__system",
            password=self.key,
            authSource="local",
            authMechanism="SCRAM-SHA-256",
        ) as client:
            for user in (self.admin, self.app, self.monitor):
                client.admin.command(
                    "createUser", user.name, pwd=user.password, roles=list(user.roles)
                )

    def stop(self) -> None:
        """End everything and remove the folder."""
        for name in list(self.processes):
            self._end(name, signal.SIGKILL)
        shutil.rmtree(self.folder)

    def _mongod(self, member: Member) -> list[str]:
        data = self.folder / member.host
        data.mkdir(exist_ok=True)
        role = "--configsvr" if member.replica_set == "config" else "--shardsvr"
        return [
            self.programs.mongod(),
            *(role, "--replSet", member.replica_set),
            *("--bind_ip", member.address, "--port", str(member.port)),
            *("--dbpath", str(data), "--keyFile", str(self.folder / "key")),
            *("--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]

    def _router(self, name: str, address: str, settings: Mapping[str, Any]) -> list[str]:
        seeds = "config/" + ",".join(member.host for member in self.config)
        mongos = self.programs.mongos(None)
        if mongos:
            place = ("--bind_ip", address, "--port", str(ROUTER_PORT), "--nounixsocket")
            return [mongos, "--configdb", seeds, *place, "--keyFile", str(self.folder / "key")]
        file = self.folder / f"{name}.json"
        values = {
            "listen": f"{address}:{ROUTER_PORT}",
            "config_servers": seeds,
            "key_file": str(self.folder / "key"),
            **settings,
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps(values), "utf-8")
        return [sys.executable, "-m", "mongo.router", "--config", str(file)]

    def _launch(self, name: str, argv: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                argv,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )

    def _end(self, name: str, number: signal.Signals) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(30)

    def _initiate(self, members: Sequence[Member]) -> None:
        first = members[0]
        wait_for(f"{first.host} to listen", lambda: _listens(first.host), seconds=30)
        for member in members[1:]:
            wait_for(f"{member.host} to listen", lambda: _listens(member.host), seconds=30)  # noqa: B023
        configuration: Document = {
            "_id": first.replica_set,
            "members": [
                {"_id": index, "host": member.host} for index, member in enumerate(members)
            ],
            "settings": {"electionTimeoutMillis": ELECTION_TIMEOUT_MS},
        }
        if first.replica_set == "config":
            configuration["configsvr"] = True
        with self.member_client(first) as client:
            client.admin.command("replSetInitiate", configuration)
            if len(members) > 1:
                wait_for(f"{first.host} to step up", lambda: _steps_up(client), seconds=30)
        self.primary(members)

    def _is_primary(self, member: Member) -> bool:
        hello = self._hello(member)
        return bool(hello and hello.get("isWritablePrimary"))

    def _hello(self, member: Member) -> Document | None:
        client: Client = MongoClient(
            member.address,
            member.port,
            directConnection=True,
            serverSelectionTimeoutMS=500,
            timeoutMS=500,
        )
        with client:
            try:
                return client.admin.command("hello")
            except PyMongoError:
                return None

    def _all_ready(self, primary: Member) -> bool:
        with self.member_client(primary) as client:
            states = client.admin.command("replSetGetStatus")["members"]
        return all(state["stateStr"] in {"PRIMARY", "SECONDARY"} for state in states)


@dataclass
class RawClient:
    """Speaks OP_MSG and nothing else: no sessions, no retries, no opinion of what is sent."""

    socket: socket.socket
    _number: int = 0

    def command(self, fields: Document, **sequences: list[Document]) -> Document:
        """The reply to a command, whatever it says."""
        self._number += 1
        sent = tuple(
            wire.Sequence(name, memoryview(b"".join(map(bson.encode, items))), len(items))
            for name, items in sequences.items()
        )
        self.socket.sendall(b"".join(wire.message(self._number, 0, bson.encode(fields), sent)))
        return self.reply()

    def reply(self) -> Document:
        """The next message's body. Raises ConnectionError where the router closed."""
        size, _, response_to, _ = wire.HEADER.unpack(self._exactly(wire.HEADER.size))
        message = wire.parse_message(self._exactly(size - wire.HEADER.size))
        if response_to != self._number:
            raise ConnectionError("an answer to another question")
        return bson.decode(message.body.raw)

    def log_in(self, user: User) -> None:
        """Authenticate by SCRAM-SHA-256."""
        scram = ScramClient(["SCRAM-SHA-256"], user.name, user.password)
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "$db": "admin"}
        first = self.command(
            {
                **start,
                "payload": Binary(scram.get_client_first().encode()),
                "options": {"skipEmptyExchange": True},
            }
        )
        scram.set_server_first(first["payload"].decode())
        final = self.command(
            {
                "saslContinue": 1,
                "conversationId": first["conversationId"],
                "payload": Binary(scram.get_client_final().encode()),
                "$db": "admin",
            }
        )
        scram.set_server_final(final["payload"].decode())

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self.socket.recv(min(size - len(found), 1 << 20))
            if not piece:
                raise ConnectionError("closed")
            found += piece
        return bytes(found)


def make_lab() -> MongoLab:
    """A lab whose folder and key exist; nothing runs yet."""
    folder = Path(tempfile.mkdtemp(prefix="router-lab-"))
    key = base64.b64encode(secrets.token_bytes(258)).decode()
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(key, "ascii")
    return MongoLab(folder, key)


def eventually(what: str, probe: Callable[[], T | None], seconds: float = 30) -> T:
    """The first true answer of `probe`."""
    return wait_for(what, probe, seconds=seconds)


def _listens(host: str) -> bool:
    address, _, port = host.partition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, int(port))) == 0


def _steps_up(client: Client) -> bool:
    try:
        client.admin.command("replSetStepUp")
    except OperationFailure:
        return False
    return True


def _die_with_parent() -> None:
    """Not to outlive a killed test run."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
