"""supervisord: one a cluster, spoken to over its XML-RPC socket.

A server that dies stays down: on this target a death is a fault to be seen, and `provision` (or a
drill's undo) is what starts it again.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from cluster.clock import Clock, wait_for
from cluster.errors import UnreachableError
from cluster.files import write_atomic
from cluster.local.processes import CLUSTER_MARK, SERVER_MARK
from cluster.render import render
from cluster.server import Server

LOG_BYTES = "20MB"
SHUTDOWN_SECONDS = 150  # more than twice any program's stopwaitsecs
STOP_MARGIN = 15  # seconds beyond stopwaitsecs, in which supervisord kills and reaps
SOCKET_PATH_LIMIT = 107  # sun_path, less its NUL


@dataclass(frozen=True)
class ProgramState:
    """What supervisord knows of a program."""

    running: bool
    state: str
    pid: int | None
    detail: str

    @property
    def gone(self) -> bool:
        """Whether it may be started (a program that is being stopped may not)."""
        return self.state in {"stopped", "exited", "fatal", "backoff", "unknown"}


# supervisord gives each program a pipe as its standard input that never ends. A PostgreSQL backend
# whose postmaster dies while it waits for the synchronous standby goes on to read commands from
# there, and holds the shared memory for ever; with systemd and in a container it reads an end.
# The pipe stays open beside it: supervisord 4.3 polls numbers of closed pipes, and spins on one
# that has become a pipe without a reader.
NO_INPUT = ("/bin/sh", "-c", 'exec "$0" "$@" 9<&0 </dev/null')


@dataclass(frozen=True)
class Programs:
    """How servers become programs: as which user, where they log."""

    root: Path
    user: str | None

    def text(self, server: Server, folder: Path, log: Path) -> str:
        """The program section of a server."""
        marks = {
            CLUSTER_MARK: str(self.root),
            SERVER_MARK: server.name,
            "HOME": str(folder),
            "USER": self.user or os.environ.get("USER", ""),
            **dict(server.env),
        }
        return render(
            "cluster.local",
            "program.conf.j2",
            server=server,
            command=_escape(shlex.join((*NO_INPUT, *server.argv))),
            environment=_environment(marks),
            folder=_escape(str(folder)),
            log=_escape(str(log)),
            log_bytes=LOG_BYTES,
            user=None if server.as_operator else self.user,
        )


class Supervisor:
    """The supervisord of one cluster, in `folder`."""

    def __init__(self, folder: Path, root: Path, supervisord: str, clock: Clock) -> None:
        self._folder = folder
        self._root = root
        self._supervisord = supervisord
        self._clock = clock

    @property
    def socket(self) -> Path:
        """Where supervisorctl finds it: `supervisorctl -s unix://SOCKET`."""
        return self._folder / "supervisor.sock"

    @property
    def programs(self) -> Path:
        """The folder of program files."""
        return self._folder / "programs"

    def alive(self) -> bool:
        """Whether it answers, and is not shutting down."""
        try:
            self._call("getState")
        except UnreachableError:
            return False
        except Fault as fault:
            if fault.faultCode != Faults.SHUTDOWN_STATE:
                raise
            return False
        return True

    def _is_there(self) -> bool:
        try:
            self._call("getState")
        except UnreachableError:
            return False
        except Fault:
            return True
        return True

    def launch(self) -> None:
        """Start it with a clean environment; raises UnreachableError when it does not answer."""
        self.programs.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self._folder / "supervisord.conf"
        text = render(
            "cluster.local", "supervisord.conf.j2", folder=self._folder, root=os.geteuid() == 0
        )
        write_atomic(config, text, mode=0o600)
        clean = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            CLUSTER_MARK: str(self._root),
        }
        ended = subprocess.run(
            [self._supervisord, "-c", str(config)],
            env=clean,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            reason = (ended.stderr or ended.stdout).strip().splitlines() or ["no output"]
            raise UnreachableError(
                f"supervisord did not start: {reason[-1]}", f"see {self._folder}/supervisord.log"
            )
        wait_for("supervisord's answer", self.alive, seconds=15, every=0.05, clock=self._clock)

    def shutdown(self) -> None:
        """Stop every program cleanly, then supervisord itself; returns when it is gone.

        All programs at once: supervisord by itself would stop one after another.
        """
        with suppress(Fault):  # it is shutting down already
            self._call("stopAllProcesses", False)  # noqa: FBT003
            wait_for(
                "end of every server",
                lambda: all(state.gone for state in self.states().values()),
                seconds=SHUTDOWN_SECONDS,
                every=0.2,
                clock=self._clock,
            )
        self._tolerate({Faults.SHUTDOWN_STATE}, "shutdown")
        self.wait_until_down()

    def wait_until_down(self) -> None:
        """Until one that is shutting down has stopped its programs and is gone."""
        wait_for(
            "end of supervisord",
            lambda: not self._is_there(),
            seconds=SHUTDOWN_SECONDS,
            every=0.1,
            clock=self._clock,
        )

    def update(self, names: Sequence[str]) -> None:
        """Make it know these programs' files as they are now; they must not run."""
        self._call("reloadConfig")
        for name in names:
            self._tolerate({Faults.BAD_NAME}, "removeProcessGroup", name)
            self._tolerate({Faults.ALREADY_ADDED}, "addProcessGroup", name)

    def remove(self, name: str) -> None:
        """Make it forget a program that does not run, whose file is gone."""
        self._call("reloadConfig")
        self._tolerate({Faults.BAD_NAME}, "removeProcessGroup", name)

    def states(self) -> dict[str, ProgramState]:
        """All programs by name."""
        rows = self._call("getAllProcessInfo")
        return {str(row["name"]): _state(row) for row in rows}  # type: ignore[attr-defined]

    def state(self, name: str) -> ProgramState:
        """One program; "unknown" where supervisord does not know it."""
        try:
            row = self._call("getProcessInfo", name)
        except Fault as fault:
            if fault.faultCode != Faults.BAD_NAME:
                raise
            return ProgramState(running=False, state="unknown", pid=None, detail="never started")
        return _state(row)  # type: ignore[arg-type]

    def start(self, name: str) -> None:
        """Start a program without waiting; raises UnreachableError where it cannot be run."""
        try:
            self._tolerate({Faults.ALREADY_STARTED}, "startProcess", name, False)  # noqa: FBT003
        except Fault as fault:
            raise UnreachableError(f"{name} cannot be started: {fault.faultString}") from fault

    def stop(self, name: str, seconds: float) -> None:
        """Stop a program and wait until it is gone; `seconds` is its `stopwaitsecs`.

        supervisord would wait for us, but polls without a pause while it does.
        """
        self._tolerate({Faults.NOT_RUNNING, Faults.BAD_NAME}, "stopProcess", name, False)  # noqa: FBT003
        self.wait_until_gone(name, seconds + STOP_MARGIN)

    def wait_until_gone(self, name: str, seconds: float) -> None:
        """Until supervisord has seen the program's end. Raises UnreachableError."""
        wait_for(
            f"end of {name}",
            lambda: self.state(name).gone,
            seconds=seconds,
            every=0.05,
            clock=self._clock,
        )

    def signal(self, name: str, number: str) -> None:
        """Signal a running program."""
        self._tolerate({Faults.NOT_RUNNING}, "signalProcess", name, number)

    def _tolerate(self, faults: set[int], method: str, *arguments: object) -> None:
        try:
            self._call(method, *arguments)
        except Fault as fault:
            if fault.faultCode not in faults:
                raise

    def _call(self, method: str, *arguments: object) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            proxy = ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, HTTPException) as error:
            raise UnreachableError(
                f"supervisord does not answer on {self.socket} ({error})", "run `provision`"
            ) from error
        finally:
            transport.close()


def _state(row: Mapping[str, object]) -> ProgramState:
    name = str(row["statename"])
    running = name in {"RUNNING", "STARTING"}
    pid = int(str(row["pid"])) or None
    detail = str(row["spawnerr"]) or str(row["description"])
    return ProgramState(running=running, state=name.lower(), pid=pid, detail=detail)


def _escape(text: str) -> str:
    """supervisord expands %(...)s in its files."""
    return text.replace("%", "%%")


def _environment(values: Mapping[str, str]) -> str:
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items()}
    return ",".join(f'{key}="{_escape(value)}"' for key, value in quoted.items())
