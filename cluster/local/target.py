"""The local target: starts, stops and breaks servers of this machine through supervisord."""

import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from stat import S_IMODE, S_IRWXU

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.errors import OpsError, UnreachableError
from cluster.files import write_atomic
from cluster.former import GONE
from cluster.inventory import Node
from cluster.layout import Layout
from cluster.local import partition, processes, volumes
from cluster.local.killing import Killing
from cluster.local.partition import Partitioning
from cluster.local.supervisor import Programs, Supervisor
from cluster.local.throttling import Throttle, Throttling
from cluster.local.users import RunAs
from cluster.local.volumes import Filling
from cluster.server import ConfigFile, OnChange, Server
from cluster.target import CanFill, CanIsolate, ServerState, ToolResult

NODE_MODE = 0o700
REAP_SECONDS = 10  # supervisord refuses to start what it has not yet seen die
CLOCK_TICK = 0.02  # the kernel counts a process's start in hundredths of a second
SETTLE_SECONDS = 10  # a server that refuses its configuration has gone by then


class LocalTarget(Killing, Throttling, Partitioning, Filling):
    """Servers as supervised processes in one folder."""

    name = "local"
    has_bench = True

    def __init__(
        self, layout: Layout, user: RunAs, supervisord: str, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.layout = layout
        self.user = user
        self.supervisor = Supervisor(layout.supervisor, layout.root, supervisord, clock)
        self._clock = clock
        self._throttles: dict[str, Throttle] = {}
        self._programs = Programs(layout.root, user.name)
        self._update_lock = threading.Lock()
        self._group_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    # Files and programs

    def is_written(self, server: Server) -> bool:
        """Whether the server's folders, files and program are on disk as they should be."""
        node, conf = self.layout.node(server.node), self.layout.conf(server.node)
        return (
            all((node / folder).is_dir() for folder in server.folders)
            and all(volumes.is_mounted(node / volume.name) for volume in server.volumes)
            and all(_holds(conf / file.name, file.text) for file in server.files)
            and _holds(self._program_file(server), self._program_text(server))
        )

    def is_private(self, server: Server) -> bool:
        """Whether nobody has opened a file of it to others."""
        conf = self.layout.conf(server.node)
        return all(
            (conf / file.name).stat().st_mode & 0o777 == _mode_of(file) for file in server.files
        )

    def write(self, server: Server) -> None:
        """Put the server's folders, files and program on disk."""
        node = self.layout.node(server.node)
        self.make_folder(node)
        for folder in {"conf", "run", *server.folders}:
            self.make_folder(node / folder)
        for volume in server.volumes:
            volumes.provide(self.layout, server.node, volume, self.user)
        for file in server.files:
            self._write_file(self.layout.conf(server.node) / file.name, file)
        self.layout.log(server.name).parent.mkdir(exist_ok=True)
        self.supervisor.programs.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self._program_file(server), self._program_text(server), mode=0o600)

    def make_folder(self, folder: Path) -> None:
        """A folder that belongs to the servers' user alone; one that was closed to it is opened."""
        folder.mkdir(mode=NODE_MODE, exist_ok=True)
        mode = S_IMODE(folder.stat().st_mode)
        if mode & S_IRWXU != S_IRWXU:
            folder.chmod(mode | S_IRWXU)
        if self.user.name:
            os.chown(folder, self.user.uid, self.user.gid)

    def runs_as_written(self, server: Server) -> bool:
        """Whether the running process was started with, and has loaded, what is written."""
        return self.started_as_written(server) and (
            server.on_change is OnChange.RESTART
            or _holds(self._stamp(server, "loaded"), _loaded_mark(server))
        )

    # Target

    def start(self, server: Server) -> None:
        """Write the files, start the process; raises OpsError where it ends at once."""
        self.write(server)
        self.supervisor.wait_until_gone(server.name, REAP_SECONDS)
        self._register(server)
        # Before the start, so that a process younger than this stamp is known to match it.
        stamp = f"{_start_mark(server)} {time.clock_gettime(time.CLOCK_BOOTTIME)}"
        write_atomic(self._stamp(server, "started"), stamp, mode=0o600)
        self.supervisor.start(server.name)
        self._mark_loaded(server)
        if not self._settled(server):
            raise OpsError(
                f"{server.name} ended right after its start: {self.last_words(server)}",
                f"skillswap-ops logs {server.name}",
            )

    def stop(self, server: Server) -> None:
        """Stop it cleanly."""
        self.supervisor.stop(server.name, server.stop_seconds)

    def forget(self, *servers: Server) -> None:
        """Stop them, and remove their programs and then their nodes' folders; their logs stay.

        A folder goes whole: it has another name before anything in it is removed, so that nobody
        takes what a killed run has left of it for a node. Idempotent.
        """
        supervised = self.supervisor.alive()
        for server in servers:
            if supervised:
                self.stop(server)
            program = self._program_file(server)
            for path in (program, self._stamp(server, "started"), self._stamp(server, "loaded")):
                path.unlink(missing_ok=True)
            if supervised:
                with self._update_lock:
                    self.supervisor.remove(server.name)
        for node in {server.node for server in servers}:
            volumes.discard(self.layout, node, self._clock)
            folder = self.layout.node(node)
            gone = folder.with_name(f"{folder.name}{GONE}")
            with suppress(FileNotFoundError):
                shutil.rmtree(gone)
            with suppress(FileNotFoundError):
                shutil.rmtree(folder.rename(gone))

    def sweep(self) -> None:
        """Remove what a `forget` that was killed has left."""
        for folder in self.layout.root.glob(f"nodes/*{GONE}"):
            shutil.rmtree(folder)

    def reload(self, server: Server) -> None:
        """Write the files, and SIGHUP or restart: one member of a group at a time."""
        live_alone = self._only_live_files_differ(server)
        self.write(server)
        if live_alone and self.runs_as_written(server):
            return
        if server.on_change is OnChange.RELOAD and self.started_as_written(server):
            self.supervisor.signal(server.name, "HUP")
            self._mark_loaded(server)
            return
        with self._group_locks[server.node.group]:
            self.supervisor.stop(server.name, server.stop_seconds)
            self.start(server)

    def state(self, server: Server) -> ServerState:
        """Whether it runs: supervisord says so, and the process is there."""
        state = self.supervisor.state(server.name)
        if state.running and (state.pid is None or not processes.alive(state.pid)):
            return ServerState(running=False, detail="killed just now")
        return ServerState(state.running, f"{state.state}: {state.detail}", state.pid)

    def memory(self) -> Mapping[str, int]:
        """Resident bytes by server (shared memory counted once); "" is supervisord."""
        by_server: dict[str, list[processes.Owned]] = defaultdict(list)
        for process in processes.owned(self.layout.root):
            by_server[process.server].append(process)
        return {server: processes.memory(found) for server, found in by_server.items()}

    def run_tool(
        self,
        node: Node,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> ToolResult:
        """Run a program as the servers' user in the node's folder."""
        folder = self.layout.node(node)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            processes.CLUSTER_MARK: str(self.layout.root),
            processes.SERVER_MARK: "tool",
            **(env or {}),
        }
        try:
            ended = subprocess.run(
                list(argv),
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
                umask=0o077,
                user=self.user.uid if self.user.name else None,
                group=self.user.gid if self.user.name else None,
                extra_groups=[] if self.user.name else None,
            )
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"{Path(argv[0]).name} on {node.name} did not end within {seconds:g} s"
            ) from error
        return ToolResult(ended.returncode, ended.stdout, ended.stderr)

    def let_go(self) -> None:
        """Undo what the cluster holds of the machine beside its processes: cuts and mounts."""
        self.rejoin_all()
        volumes.unmount_all(self.layout.root, self._clock)

    def is_here(self, folder: Path) -> bool:
        """Whether a folder of a server is there: what is restored is restored into such."""
        return folder.is_dir()

    def lacks(self, need: type) -> str:
        """Why this user cannot have that on this machine; "" if it can."""
        if not isinstance(self, need):
            return f"the {self.name} target has no {need.__name__}"
        if need is CanFill:
            return volumes.lacks(self.layout.root)
        return partition.lacks() if need is CanIsolate else ""

    # The whole

    def last_words(self, server: Server) -> str:
        """The last line of its log that says something."""
        lines: list[str] = []
        with suppress(OSError):
            lines = self.layout.log(server.name).read_text("utf-8", "replace").splitlines()
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "no output")

    def _settled(self, server: Server) -> bool:
        """Whether it listens, or at least still runs after a while; False where it has ended."""
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while self._clock.monotonic() < deadline:
            if any(_listens(server.node.address, port) for port in server.ports):
                return True
            state = self.supervisor.state(server.name)
            if not state.running or not (server.ports or state.state == "starting"):
                return state.running
            self._clock.sleep(0.1)
        return True

    def _register(self, server: Server) -> None:
        with self._update_lock:
            self.supervisor.update([server.name])

    def _write_file(self, path: Path, file: ConfigFile) -> None:
        owner = self.user.uid if self.user.name else None
        write_atomic(path, file.text, mode=_mode_of(file), owner=owner)

    def _program_file(self, server: Server) -> Path:
        return self.supervisor.programs / f"{server.name}.conf"

    def _program_text(self, server: Server) -> str:
        folder, log = self.layout.node(server.node), self.layout.log(server.name)
        return self._programs.text(server, folder, log)

    def _stamp(self, server: Server, event: str) -> Path:
        return self.supervisor.programs / f"{server.name}.{event}"

    def _only_live_files_differ(self, server: Server) -> bool:
        fixed = (file for file in server.files if not file.live and file.fixed is None)
        rest = replace(server, files=tuple(fixed))
        return self.is_written(rest) and not self.is_written(server)

    def started_as_written(self, server: Server) -> bool:
        """Whether the running process has the arguments and files that it cannot take anew."""
        started = processes.started_at(self.supervisor.state(server.name).pid or 0)
        if started is None or not self._stamp(server, "started").exists():
            return False
        mark, stamped = self._stamp(server, "started").read_text().split()
        return mark == _start_mark(server) and started >= float(stamped) - CLOCK_TICK

    def _mark_loaded(self, server: Server) -> None:
        write_atomic(self._stamp(server, "loaded"), _loaded_mark(server), mode=0o600)


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def _start_mark(server: Server) -> str:
    """What must be equal for a running process to be the one that is wanted."""
    restarts = server.on_change is OnChange.RESTART
    files = [file for file in server.files if restarts and not file.live]
    text = "\0".join([*server.argv, *(f"{key}={value}" for key, value in server.env)])
    return hashlib.sha256((text + _digest(files)).encode()).hexdigest()[:16]


def _loaded_mark(server: Server) -> str:
    """What must be equal for a process not to have to read its files anew."""
    return _digest([file for file in server.files if not file.live])


def _digest(files: Sequence[ConfigFile]) -> str:
    text = "\0".join(
        f"{file.name}\0{file.text if file.fixed is None else file.fixed}" for file in files
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _mode_of(file: ConfigFile) -> int:
    return 0o600 if file.secret else 0o644


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text("utf-8") == text
    except FileNotFoundError:
        return False
