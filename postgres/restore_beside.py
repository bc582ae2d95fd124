"""A restore beside the cluster: into a folder, replayed to its target, for people to look at."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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
MODEST = {"shared_buffers": "128MB"}  # a copy for a look: the cluster's own memory is not its


def plan(
    context: Context,
    target: Target,
    say: Say,
    repository: int = 0,
    bench: Context | None = None,
) -> Plan:
    """Decide where a restore begins and ends; what is not archived yet is archived now.

    `repository`: from this one alone (0: the first that can). `bench`: who reads it, see
    `BackupEngine.restore_beside`.

    Raises InvalidInputError with the possible range where the target cannot be reached.
    """
    place = bench or context
    found = stocks(place, repository)
    last = max((window.last for stock in found for window in windows(stock)), default=None)
    beyond = target.time is not None and (last is None or target.time > last)
    if beyond or target.time is None:
        say("postgres: archiving what was written until now")
        if close_wal(context):
            found = stocks(place, repository)
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
    bench: Context | None = None,
) -> Restored:
    """Restore into an empty folder that the servers' user owns; the server is stopped again.

    An earlier try that was cut off there is removed first. Raises as `BackupEngine` says, which
    says what a `bench` is, too.
    """
    place = bench or context
    began = context.clock.monotonic()
    node = reader(context)
    made = at(node, folder, address=address, port=port)
    instance.check_socket(made)
    chosen = plan(context, target, say, repository, bench)
    _clear(place, made)
    instance.put(place, node, folder / MARK, json.dumps({"to": str(target), "done": False}))
    fill(place, made, chosen, say, action=ACTION_BESIDE, settings=MODEST)
    instance.start(place, made)
    reached = instance.wait_promoted(place, made)
    instance.stop(place, made)
    # From now on it is a server as any other: its start reads no archive.
    instance.put(place, node, folder / MARK, json.dumps({"to": str(target), "done": True}))
    return Restored(
        engine="postgres",
        label=chosen.backup.label,
        reached=reached,
        seconds=context.clock.monotonic() - began,
        bytes_restored=chosen.backup.bytes_total,
        folder=folder,
        how=f"start: {command(place, made, 'start')}\nstop:  {command(place, made, 'stop')}\n"
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


def fill(
    context: Context,
    made: Instance,
    plan: Plan,
    say: Say,
    *,
    action: str,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
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
    instance.configure(context, made, {**settings, "restore_command": fetch})
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
