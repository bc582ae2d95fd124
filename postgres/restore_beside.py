"""A restore beside the cluster: into a folder, replayed to its target, for people to look at."""

import json
import os
import shlex
from pathlib import Path

from cluster.backup.contracts import Restored, Say, Target
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.inventory import Node
from postgres import backup, instance
from postgres.backup_stock import DAMAGED, close_wal, reader, stocks
from postgres.instance import Instance
from postgres.restore_points import points
from postgres.restore_target import Plan, choose, windows

MARK = "restore.json"
ACTION_BESIDE = "promote"


def plan(context: Context, target: Target, say: Say, repository: int = 0) -> Plan:
    """Decide where a restore begins and ends; what is not archived yet is archived now.

    `repository`: from this one alone (0: the first that can).

    Raises InvalidInputError with the possible range where the target cannot be reached.
    """
    found = stocks(context, repository)
    last = max((window.last for stock in found for window in windows(stock)), default=None)
    beyond = target.time is not None and (last is None or target.time > last)
    if beyond or target.time is None:
        say("postgres: archiving what was written until now")
        if close_wal(context):
            found = stocks(context, repository)
    return choose(target, found, points(context))


def beside(
    context: Context,
    target: Target,
    folder: Path,
    say: Say,
    *,
    address: str = "",
    port: int = 0,
    repository: int = 0,
) -> Restored:
    """Restore into an empty folder that the servers' user owns; the server is stopped again.

    An earlier try that was cut off there is removed first. Raises as `BackupEngine` says.
    """
    began = context.clock.monotonic()
    node = reader(context)
    made = at(node, folder, address=address, port=port)
    instance.check_socket(made)
    chosen = plan(context, target, say, repository)
    _clear(context, made)
    instance.put(context, node, folder / MARK, json.dumps({"to": str(target), "done": False}))
    fill(context, made, chosen, say, action=ACTION_BESIDE)
    instance.start(context, made)
    reached = instance.wait_promoted(context, made)
    instance.stop(context, made)
    # From now on it is a server as any other: its start reads no archive.
    instance.put(context, node, folder / MARK, json.dumps({"to": str(target), "done": True}))
    return Restored(
        engine="postgres",
        label=chosen.backup.label,
        reached=reached,
        seconds=context.clock.monotonic() - began,
        bytes_restored=chosen.backup.bytes_total,
        folder=folder,
        how=f"start: {command(context, made, 'start')}\nstop:  {command(context, made, 'stop')}\n"
        f"look:  psql -h {made.socket} -p {made.port} -U postgres",
    )


def start(context: Context, folder: Path, *, address: str = "", port: int = 0) -> Instance:
    """Start a finished restore. Raises OpsError where it does not come up."""
    made = at(reader(context), folder, address=address, port=port)
    instance.start(context, made)
    instance.wait_promoted(context, made)
    return made


def stop(context: Context, folder: Path) -> None:
    """Stop what `start` has started. Idempotent."""
    instance.stop(context, at(reader(context), folder))


def at(node: Node, folder: Path, *, address: str = "", port: int = 0) -> Instance:
    """The server of a restore in this folder."""
    made = Instance(node, folder, folder / "data", folder, address=address)
    return made if not port else Instance(node, folder, folder / "data", folder, port, address)


def fill(context: Context, made: Instance, plan: Plan, say: Say, *, action: str) -> None:
    """Put the backup's files there, configured to replay to the target."""
    node, data = made.node, str(made.data)
    say(f"postgres: restoring {plan.backup.label} from repository {plan.repository}")
    _run(context, node, "mkdir", "-p", "-m", "700", data)
    options = (
        f"--repo={plan.repository}",
        f"--set={plan.backup.label}",
        f"--pg1-path={data}",
        f"--lock-path={made.folder / 'lock'}",
        f"--type={plan.kind}",
        f"--target={plan.value}",
        f"--target-timeline={plan.timeline}",
        f"--target-action={action}",
        "--archive-mode=off",
    )
    try:
        backup.restore(context, node, options)
    except OpsError as error:
        raise OpsError(error.message, DAMAGED) from error
    fetch = instance.restore_command(context, node, made.data, plan.repository)
    instance.configure(context, made, {"restore_command": fetch})
    say(f"postgres: replaying WAL to {plan.value} on timeline {plan.timeline}")


def command(context: Context, made: Instance, what: str) -> str:
    """The command by which a person starts or stops it."""
    ctl = context.programs.postgres("pg_ctl", context.topology.postgres.version)
    words = [ctl, "-D", str(made.data), "-l", str(made.log), "-w", what]
    if os.geteuid() == 0:  # PostgreSQL refuses to be run by root
        words = ["runuser", "-u", context.topology.local.run_as, "--", *words]
    return shlex.join(words)


def _clear(context: Context, made: Instance) -> None:
    """Remove what an earlier try has left. Raises RefusedError for anything else that is there."""
    listed = _run(context, made.node, "ls", "-A", str(made.folder)).split()
    if not listed:
        return
    ended = context.target.run_tool(made.node, ("cat", str(made.folder / MARK)))
    unfinished = ended.code == 0 and not _is_done(ended.stdout)
    if not unfinished:
        raise RefusedError(f"{made.folder} is not empty", "name a folder that is, or a new one")
    instance.stop(context, made, "immediate")
    _run(context, made.node, "find", str(made.folder), "-mindepth", "1", "-delete")


def _is_done(text: str) -> bool:
    try:
        return bool(json.loads(text)["done"])
    except (ValueError, KeyError):
        return False


def _run(context: Context, node: Node, *argv: str) -> str:
    ended = context.target.run_tool(node, argv, seconds=600)
    if ended.code:
        reason = ended.stderr.strip().splitlines() or [f"exit code {ended.code}"]
        error = InvalidInputError if argv[0] in {"ls", "mkdir"} else OpsError
        raise error(f"{reason[-1]}", "the servers' user must be able to write there")
    return ended.stdout
