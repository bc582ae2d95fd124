"""The whole PostgreSQL side put back to a point in its past.

The data is restored and replayed *beside* the running cluster first: a damaged repository or a
target that cannot be reached costs nothing. Only then the members are stopped, the prepared data
begins its new timeline and takes the founder's place, and everybody else is made anew from it.
Each stage is written down before it begins and can be repeated; see
docs/decisions/restore-in-place.md.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cluster.backup.contracts import Restored, Say, Target
from cluster.context import Context
from cluster.errors import OpsError, RefusedError
from cluster.plan import Step, in_order
from postgres import (
    access,
    archive,
    backup_stock,
    instance,
    names,
    remake,
    restore_beside,
    restore_state,
    rules,
    servers,
)
from postgres.client import value
from postgres.instance import Instance
from postgres.restore_state import Phase, Restoring
from postgres.scopes import Scope, data_folder, dr_scope, primary_scope
from postgres.servers import configuration_step, source_step
from postgres.steps import steps
from postgres.steps.common import RIGHTS, leader_step

PRIVATE_PORT = 5433
ROOM = 1.2  # of the backup's size: WAL that is replayed comes on top of it
ARCHIVE_SECONDS = 120.0


def in_place(
    context: Context,
    target: Target,
    say: Say,
    repository: int = 0,
    before: Callable[[], None] = lambda: None,
) -> Restored:
    """Put the cluster back to the target, or go on with what was cut off.

    `repository`: from this one alone (0: the first that can). `before` is called when nothing can
    be refused any more, and nothing was stopped yet.

    The caller holds the cluster's lock. Raises InvalidInputError for a target that cannot be
    reached, RefusedError where another restore is half done or there is no room.
    """
    began = context.clock.monotonic()
    state = _begin(context, target, say, repository)
    before()
    stages: Mapping[Phase, Callable[[Context, Restoring, Say], Restoring]] = {
        Phase.STOP: _stop,
        Phase.PROMOTE: _promote,
        Phase.SWAP: _swap,
        Phase.LEAD: _lead,
        Phase.MEMBERS: _members,
    }
    order = list(stages)
    for phase in order[order.index(state.phase) :]:
        state = state.model_copy(update={"phase": phase})
        restore_state.save(context.layout, state)
        state = stages[phase](context, state, say)
    restore_state.done(context.layout)
    return Restored(
        engine="postgres",
        label=state.label,
        reached=state.reached,
        seconds=context.clock.monotonic() - began,
        bytes_restored=state.bytes_total,
        how=f"the cluster is on timeline {state.new_timeline}; take a full backup soon",
    )


def _begin(context: Context, target: Target, say: Say, repository: int) -> Restoring:
    state = restore_state.load(context.layout)
    if state is not None and state.phase.touched:
        if state.to != str(target):
            restore_state.refuse_half_done(context.layout)
        say(f"postgres: going on with the restore that was cut off at {state.phase}")
        return state
    return _prepare(context, target, say, repository)


def _prepare(context: Context, target: Target, say: Say, repository: int) -> Restoring:
    """Restore and replay beside the running cluster, which feels nothing of it."""
    made = _private(context)
    if backup_stock.close_wal(context):  # what was written until now stays within reach
        say("postgres: what was written until now is archived")
    plan = restore_beside.plan(context, target, say, repository)
    _clean(context, made)
    _check_room(made.folder.parent, plan.backup.bytes_total)
    state = Restoring(
        to=str(target),
        phase=Phase.PREPARE,
        repository=plan.repository,
        label=plan.backup.label,
        timeline=plan.timeline,
        bytes_total=plan.backup.bytes_total,
        began=datetime.now(UTC),
    )
    restore_state.save(context.layout, state)
    _tool(context, made, "mkdir", "-m", "700", str(made.folder))
    restore_beside.fill(context, made, plan, say, action="shutdown")
    instance.start(context, made)
    instance.wait_stopped_at_target(context, made)
    return state.model_copy(update={"phase": Phase.STOP})


def _stop(context: Context, state: Restoring, say: Say) -> Restoring:
    say("postgres: stopping every member")
    following = dr_scope(context)
    for scope in ([following] if following else []) + [primary_scope(context)]:
        remake.stop_members(context, scope)
    return state


def _promote(context: Context, state: Restoring, say: Say) -> Restoring:
    """Begin the new timeline in private, and have its history archived before anyone follows it.

    Patroni would start the data as a standby, and replay the archive past the target.
    """
    made = _private(context)
    control = instance.control(context, made.node, made.data)
    if state.new_timeline is None or control.get(instance.STATE) != instance.CLEAN:
        say("postgres: beginning a new timeline at the target")
        push = f"{archive.program(context)} --config={archive.config_path(context, made.node)}"
        push += f' --stanza={archive.stanza(context)} --pg1-path={made.data} archive-push "%p"'
        settings = {"archive_mode": "on", "archive_command": push}
        instance.configure(context, made, {**settings, "recovery_target_action": "promote"})
        if not instance.is_running(context, made):
            instance.start(context, made)
        reached = instance.wait_promoted(context, made)
        state = _written_down(context, made, state, reached)
        instance.stop(context, made)
    return state


def _written_down(
    context: Context, made: Instance, state: Restoring, reached: datetime | None
) -> Restoring:
    """Today's passwords, the timeline, and its history in every repository."""
    topology = context.topology
    with instance.superuser(made) as connection:
        for role in rules.roles(topology):
            known = value(connection, "SELECT to_regrole(%s)::text", role.name)
            if role.login and known:
                access.set_password(connection, role.name, names.password(context, role.name))
        segment = str(value(connection, "SELECT pg_walfile_name(pg_switch_wal())"))
    timeline = int(segment[:8], 16)
    for name in (f"{timeline:08X}.history", segment):
        backup_stock.wait_until_archived(context, made.node, name, ARCHIVE_SECONDS)
    known_reached = reached or state.reached
    state = state.model_copy(update={"reached": known_reached, "new_timeline": timeline})
    restore_state.save(context.layout, state)
    return state


def _swap(context: Context, state: Restoring, _say: Say) -> Restoring:
    """The prepared data takes the founder's place."""
    made, scope = _private(context), primary_scope(context)
    remake.assert_stopped(context, scope)
    if _exists(context, made, made.data):
        # Patroni's own settings would lose against these.
        _tool(context, made, "truncate", "-s", "0", str(made.data / "postgresql.auto.conf"))
        remake.empty(context, made.node)
        if context.topology.postgres.wal_volume:
            _move_wal(context, made)
        place = str(data_folder(context.layout, made.node))
        _tool(context, made, "mv", "-T", str(made.data), place)
    _tool(context, made, "rm", "-rf", str(made.folder))
    return state


def _lead(context: Context, state: Restoring, say: Say) -> Restoring:
    scope = primary_scope(context)
    remake.start_etcd(context, scope)
    founder = servers.patroni(context, scope, scope.founder)
    if not context.target.state(founder).running:
        remake.forget_leader(context, scope, anew=False)
        remake.settle(*_named(context, configuration_step(scope)))
        context.target.start(founder)
    say(f"postgres: waiting until {scope.founder.name} leads")
    remake.settle(*_named(context, leader_step(scope), RIGHTS))
    return state


def _members(context: Context, state: Restoring, say: Say) -> Restoring:
    """Everybody else is emptied once, and cloned; then everything that provisioning looks at."""
    scope, following = primary_scope(context), dr_scope(context)
    for node in scope.members:
        if node != scope.founder:
            state = _remade(context, state, scope, [node.name], say)
    if following:
        remake.start_etcd(context, following)
        remake.settle(*_named(context, source_step(following), configuration_step(following)))
        state = _remade(context, state, following, [n.name for n in following.members], say)
    say("postgres: waiting until every member follows")
    remake.settle(*_ordered(context))
    return state


def _remade(
    context: Context, state: Restoring, scope: Scope, members: list[str], say: Say
) -> Restoring:
    nodes = [node for node in scope.members if node.name in members]
    if not set(members) <= set(state.remade):
        say(f"postgres: making {', '.join(members)} anew")
        for node in nodes:
            context.target.stop(servers.patroni(context, scope, node))
        if scope.follows:
            remake.forget_leader(context, scope, anew=True)
        for node in nodes:
            remake.empty(context, node)
        state = state.model_copy(update={"remade": (*state.remade, *members)})
        restore_state.save(context.layout, state)
    for node in nodes:
        server = servers.patroni(context, scope, node)
        if not context.target.state(server).running:
            context.target.start(server)
    return state


def _named(context: Context, *wanted: str) -> list[Step]:
    by_name = {step.name: step for step in steps(context)}
    return [by_name[name] for name in wanted]


def _ordered(context: Context) -> list[Step]:
    """Every step of the engine, as far as each other's needs order them."""
    every = steps(context)
    known = {step.name for step in every}
    return in_order([_without(step, known) for step in every])


def _without(step: Step, known: set[str]) -> Step:
    return replace(step, needs=tuple(need for need in step.needs if need in known))


def _private(context: Context) -> Instance:
    """Where the founder's next data is prepared: beside its data, on a socket of its own."""
    node = primary_scope(context).founder
    folder = context.layout.data(node) / "restore"
    return Instance(node, folder, folder / "data", context.layout.run(node), PRIVATE_PORT)


def _clean(context: Context, made: Instance) -> None:
    if _exists(context, made, made.data):
        instance.stop(context, made, "immediate")
    _tool(context, made, "rm", "-rf", str(made.folder))


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size * ROOM:
        raise RefusedError(
            f"{folder} has {free / 1e9:.1f} GB free, and the restored data needs "
            f"{size * ROOM / 1e9:.1f}: it is prepared beside the present data",
            "make room, or restore into a folder elsewhere",
        )


def _move_wal(context: Context, made: Instance) -> None:
    """WAL goes to its own volume; a copy that was cut off is made again."""
    own, now = context.layout.wal(made.node) / "pg_wal", made.data / "pg_wal"
    script = (
        'if [ ! -L "$0" ]; then rm -rf "$1" && cp -a "$0" "$1" && rm -rf "$0" && '
        'ln -s "$1" "$0"; fi'
    )
    _tool(context, made, "sh", "-c", script, str(now), str(own))


def _exists(context: Context, made: Instance, path: Path) -> bool:
    return context.target.run_tool(made.node, ("test", "-e", str(path))).code == 0


def _tool(context: Context, made: Instance, *argv: str) -> None:
    ended = context.target.run_tool(made.node, argv, seconds=1800)
    if ended.code:
        raise OpsError(f"{argv[0]} on {made.node.name}: {ended.stderr.strip()[:200]}")
