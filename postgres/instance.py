"""A PostgreSQL of its own out of a backup: configured, replayed to its target, inspected, stopped.

It is no member of any cluster: it archives nothing, streams from nobody, and listens where it is
told to and nowhere else. During replay it takes no connections (`hot_standby` off): a restored
server may have fewer slots than its primary once had, and a hot standby would wait for ever then.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster import tls
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, UnreachableError
from cluster.inventory import Node
from postgres import archive, names
from postgres.client import Connection, session, value

REPLAY_SECONDS = 24 * 3600.0
START_SECONDS = 60
STOP_SECONDS = 120
NOT_RUNNING = 3  # pg_ctl status: https://www.postgresql.org/docs/15/app-pg-ctl.html
SOCKET_BYTES = 107  # the kernel's limit of a socket's path
NOT_REACHED = "recovery ended before configured recovery target was reached"
TOO_EARLY = "requested recovery stop point is before consistent recovery point"
STATE = "Database cluster state"
STOPPED_AT_TARGET = "shut down in recovery"
CLEAN = "shut down"
SERVING = "in production"
TURNED_AWAY = ("not accepting connections", "not yet accepting", "is starting up")


@dataclass(frozen=True)
class Instance:
    """Where it is: `folder` holds `data`, the log and the socket. No `address`: its socket only."""

    node: Node
    folder: Path
    data: Path
    socket: Path
    port: int = names.POSTGRES_PORT
    address: str = ""

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "postgresql.log"


def check_socket(instance: Instance) -> None:
    """Raises InvalidInputError where the socket's path would be too long."""
    path = instance.socket / f".s.PGSQL.{instance.port}"
    if len(str(path)) > SOCKET_BYTES:
        raise InvalidInputError(f"{path} is too long for a socket", "take a shorter folder")


def configure(context: Context, instance: Instance, extra: Mapping[str, str]) -> None:
    """Append its settings to those that pgBackRest has written; later ones win."""
    hba, ident = instance.folder / "pg_hba.conf", instance.folder / "pg_ident.conf"
    pem = tls.pem_file(context, instance.node) if tls.issued_here(context) else ""
    ways = f"local all all trust\n{'hostssl' if pem else 'host'} all all samenet scram-sha-256\n"
    put(context, instance.node, hba, ways)
    put(context, instance.node, ident, "")
    settings = {
        "listen_addresses": instance.address,
        "port": str(instance.port),
        "unix_socket_directories": str(instance.socket),
        "unix_socket_permissions": "0700",
        "hba_file": str(hba),
        "ident_file": str(ident),
        "hot_standby": "off",
        "archive_mode": "off",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "synchronous_standby_names": "",
        "cluster_name": "restored",
        **_secured(context, pem),
        **extra,
    }
    lines = "".join(f"{name} = {_quoted(text)}\n" for name, text in settings.items())
    put(context, instance.node, instance.data / "postgresql.auto.conf", lines, append=True)


def _secured(context: Context, pem: str) -> dict[str, str]:
    """A bench in a pod has no certificate, and the configuration in a backup names one."""
    if pem:
        return {"ssl": "on", "ssl_cert_file": pem, "ssl_key_file": pem}
    return {"ssl": "off"} if context.trust else {}


def restore_command(context: Context, node: Node, data: Path, repository: int) -> str:
    """Fetches WAL from the repository that the backup is from, and from no other."""
    config = archive.config_path(context, node)
    call = f"{archive.program(context)} --config={config} --stanza={archive.stanza(context)}"
    return f'{call} --repo={repository} --pg1-path={data} archive-get %f "%p"'


def start(context: Context, instance: Instance) -> None:
    """Start it; whether replay got anywhere is for the `wait_…` functions to say.

    pg_ctl's own opinion does not count: a server that stops at its target has not failed to start.
    """
    patience = ("-w", "-t", str(START_SECONDS), "-l", str(instance.log))
    argv = (_program(context, "pg_ctl"), "-s", "-D", str(instance.data), *patience, "start")
    context.target.run_tool(instance.node, argv, seconds=START_SECONDS + 10)


def stop(context: Context, instance: Instance, mode: str = "fast") -> None:
    """Stop it, where it runs. Idempotent."""
    if is_running(context, instance):
        _ctl(context, instance, "stop", "-m", mode, "-w", "-t", str(STOP_SECONDS))


def is_running(context: Context, instance: Instance) -> bool:
    """Whether its postmaster is there."""
    ended = context.target.run_tool(
        instance.node, (_program(context, "pg_ctl"), "-D", str(instance.data), "status")
    )
    return ended.code == 0


def control(context: Context, node: Node, data: Path) -> dict[str, str]:
    """`pg_controldata`, by its own words; empty where there is none."""
    ended = context.target.run_tool(node, (_program(context, "pg_controldata"), "-D", str(data)))
    return parse_control(ended.stdout) if ended.code == 0 else {}


def parse_control(text: str) -> dict[str, str]:
    """`name: value` a line."""
    rows = (line.partition(":") for line in text.splitlines())
    return {name.strip(): found.strip() for name, colon, found in rows if colon}


def wait_promoted(context: Context, instance: Instance) -> datetime | None:
    """Until it takes writes; the last commit that it replayed.

    Raises InvalidInputError where the target was not reached, OpsError where it ended otherwise.
    """
    found: list[datetime | None] = []

    def ready() -> bool:
        state = control(context, instance.node, instance.data).get(STATE)
        if state != SERVING and is_running(context, instance):
            return False  # each connection that it refused would be a line in its log
        try:
            with superuser(instance) as connection:
                if value(connection, "SELECT pg_is_in_recovery()"):
                    return False
                at = value(connection, "SELECT pg_last_xact_replay_timestamp()")
                found.append(at.astimezone(UTC) if at else None)
                return True
        except UnreachableError:
            if not is_running(context, instance):
                raise _ended(context, instance) from None
            return False

    wait_for("end of replay", ready, seconds=REPLAY_SECONDS, every=0.2, clock=context.clock)
    return found[0]


def wait_stopped_at_target(context: Context, instance: Instance) -> None:
    """Until it has shut itself down at its target. Raises as `wait_promoted` does."""
    wait_for(
        "end of replay",
        lambda: not is_running(context, instance),
        seconds=REPLAY_SECONDS,
        every=0.2,
        clock=context.clock,
    )
    if control(context, instance.node, instance.data).get(STATE) != STOPPED_AT_TARGET:
        raise _ended(context, instance)


def superuser(instance: Instance, database: str = "postgres") -> AbstractContextManager[Connection]:
    """A superuser's connection by its socket, which nobody else can enter."""
    return session(
        host=str(instance.socket),
        port=instance.port,
        user=names.SUPERUSER,
        password="",
        database=database,
        trust="",
    )


def put(context: Context, node: Node, path: Path, text: str, *, append: bool = False) -> None:
    """Write a file as the servers' user. No secret: the text is in the arguments of a process."""
    script = f'printf %s "$1" {">>" if append else ">"} "$0"'
    ended = context.target.run_tool(node, ("sh", "-c", script, str(path), text))
    if ended.code:
        raise OpsError(f"{path} cannot be written: {ended.stderr.strip()}")


def _ended(context: Context, instance: Instance) -> OpsError:
    tail = context.target.run_tool(instance.node, ("tail", "-n", "200", str(instance.log)))
    fatal = [
        line
        for line in tail.stdout.splitlines()
        if ("FATAL" in line or "PANIC" in line) and not any(text in line for text in TURNED_AWAY)
    ]
    words = fatal[-1].partition("FATAL:")[2].strip() or fatal[-1] if fatal else "it ended"
    if NOT_REACHED in words:
        unread = [line for line in tail.stdout.splitlines() if "ERROR: [" in line]
        if unread:
            return OpsError(
                f"WAL on the way to the target cannot be read: {unread[-1].strip()}",
                "`skillswap-ops backup verify` says what else is damaged",
            )
        return InvalidInputError(f"the target was not reached: {words}", "choose an earlier one")
    if TOO_EARLY in words:
        return InvalidInputError(f"the target is too early: {words}", "choose a later one")
    return OpsError(f"the restored server ended: {words}", f"its log is {instance.log}")


def _ctl(context: Context, instance: Instance, *words: str) -> None:
    argv = (_program(context, "pg_ctl"), "-s", "-D", str(instance.data), *words)
    ended = context.target.run_tool(instance.node, argv, seconds=STOP_SECONDS + 10)
    if ended.code:
        reason = (ended.stderr or ended.stdout).strip().splitlines() or ["no reason given"]
        raise OpsError(f"pg_ctl {words[0]}: {reason[-1]}", f"its log is {instance.log}")


def _program(context: Context, name: str) -> str:
    return context.programs.postgres(name, context.topology.postgres.version)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
