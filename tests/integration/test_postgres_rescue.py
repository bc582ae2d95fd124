"""Members that a crash left half made, in the very states in which Patroni waits for ever."""

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from cluster.clock import wait_for
from cluster.errors import OpsError
from cluster.inventory import Kind, Node
from cluster.local import processes
from cluster.local.steps import start_steps, supervisor_step
from cluster.plan import Finished, Outcome, Step, execute, in_order
from cluster.web import request
from postgres import archive as pgbackrest
from postgres import backup, names, patroni, remake, rescue
from postgres.client import superuser, value
from postgres.scopes import data_folder, dr_scope, primary_scope, scopes
from postgres.servers import configuration_step, servers
from postgres.steps import archive, steps
from skillswap_ops.provisioning import make_home
from skillswap_ops.wiring import LocalContext
from tests.conftest import make_lab, remove_lab

pytestmark = pytest.mark.servers


@pytest.fixture
def context() -> Iterator[LocalContext]:
    lab = make_lab("127.84.0.0/16", "pglab")
    context = lab.context
    make_home(context)
    yield context
    remove_lab(lab)


def test_half_made_members_are_finished(context: LocalContext) -> None:
    """Founder and DR died while they made their data, the standby while it was cloned."""
    run(context, upto={configuration_step(scope) for scope in scopes(context)})
    for scope in scopes(context):
        put(context, scope.etcd[0], scope.name, rescue.prefix(scope) + "initialize", "")
    for node in context.inventory.of(Kind.POSTGRES):
        half_make(context, node)
    run(context)
    primary = primary_scope(context)
    assert patroni.leader_of(primary) == primary.founder
    states = patroni.states(primary.members)
    assert [name for name, state in states.items() if state.primary] == [primary.founder.name]
    assert {end.outcome for end in run(context)} == {Outcome.UNCHANGED}
    _stopped_though_paused(context)


def _stopped_though_paused(context: LocalContext) -> None:
    """A paused Patroni leaves PostgreSQL running when it ends; who stops a scope means both."""
    primary = primary_scope(context)
    password = names.password(context, names.REST_USER)
    patroni.change_config(patroni.leader_of(primary), password, {"pause": True})
    wait_for(
        "the pause",
        lambda: all(state.paused for state in patroni.states(primary.members).values()),
        seconds=60,
    )
    remake.stop_members(context, primary)
    assert not [node.name for node in primary.members if remake.listens(node)]


def test_a_half_made_archive_is_made_anew(context: LocalContext) -> None:
    """`stanza-create` was killed between its two files: pgBackRest would refuse for ever."""
    run(context, upto={archive.STANZA})
    [folder] = (context.layout.archive / "backup").iterdir()
    for file in folder.glob("backup.info*"):
        file.unlink()
    run(context, upto={archive.STANZA})
    # Where it was killed before it took its `stop` back, no WAL would be archived for ever.
    leader = patroni.leader_of(primary_scope(context))
    stop = (pgbackrest.program(context), f"--stanza={pgbackrest.stanza(context)}", "stop")
    env = pgbackrest.environment(context, leader)
    assert context.target.run_tool(leader, stop, env=env).code == 0
    run(context)
    assert {end.outcome for end in run(context)} == {Outcome.UNCHANGED}
    _refused_because_of_another(context)


def _refused_because_of_another(context: LocalContext) -> None:
    """A segment of that name is there already, with other content: it is said, not waited for."""
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader) as connection:
        # At the border of two segments the name would be the last one's: a record first.
        connection.execute("SELECT pg_logical_emit_message(false, 'skillswap-ops', 'test')")
        current = str(value(connection, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"))
    other = backup.archived(context, leader)[-1]
    wal = data_folder(context.layout, leader) / "pg_wal"
    target = wal.parent / current
    shutil.copy2(wal / other, target)
    shutil.chown(target, *_owner(wal / other))
    try:
        assert backup.push(context, leader, str(target)).code == 0
    finally:
        target.unlink()
    with superuser(context, leader) as connection:  # `check` would be content with the planted one
        connection.execute("SELECT pg_switch_wal()")
    with pytest.raises(OpsError, match=rf"archive-push of {current} on pg1: .*\[045\].*checksum"):
        backup.check(context, leader)


def _owner(path: Path) -> tuple[int, int]:
    seen = path.stat()
    return seen.st_uid, seen.st_gid


@pytest.mark.parametrize(
    ("server", "word"),
    [
        # A valid control file, and no database yet.
        pytest.param("pg1", "performing post-bootstrap", marks=pytest.mark.exhaustive),
        pytest.param("pgsync1", "replica has been created", marks=pytest.mark.exhaustive),
        pytest.param(
            "pgdr1", "replica has been created", marks=pytest.mark.exhaustive
        ),  # with the primary's own configuration in it
    ],
)
def test_power_loss_in_the_middle(context: LocalContext, server: str, word: str) -> None:
    """Everything dies the moment a member's log says `word`; the next run finishes."""
    log = context.layout.log(server)
    first = get_context("fork").Process(target=execute, args=(every_step(context), print))
    first.start()
    wait_for(word, lambda: log.exists() and word in log.read_text(), seconds=60, every=0.005)
    first.kill()
    processes.kill_all(context.layout.root, None, context.clock)
    first.join()
    run(context)
    followers = dr_scope(context)
    assert followers is not None
    assert not [name for name, state in patroni.states(followers.members).items() if state.primary]
    assert {end.outcome for end in run(context)} == {Outcome.UNCHANGED}


def test_an_unreaped_postgres_is_no_primary(context: LocalContext) -> None:
    """initdb was killed, nobody has reaped its postgres: Patroni takes it for alive."""
    run(context, upto={configuration_step(scope) for scope in scopes(context)})
    scope = primary_scope(context)
    put(context, scope.etcd[0], scope.name, rescue.prefix(scope) + "initialize", "")
    founder = scope.founder
    folder = data_folder(context.layout, founder)
    for each in (context.layout.node(founder), context.layout.data(founder)):
        context.target.make_folder(each)
    initdb = context.programs.postgres("initdb", context.topology.postgres.version)
    made = context.target.run_tool(founder, (initdb, "-D", str(folder), "-U", "postgres"))
    assert made.code == 0, made.stderr
    postgres = context.programs.postgres("postgres", context.topology.postgres.version)
    account = context.target.user
    as_its_user = {"user": account.uid, "group": account.gid} if account.name else {}
    with subprocess.Popen(
        [postgres, "--single", "-D", str(folder), "postgres"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        **as_its_user,
    ) as unreaped:
        assert unreaped.stdout is not None
        assert unreaped.stdout.read(7)  # its prompt
        os.kill(unreaped.pid, signal.SIGKILL)  # Popen.kill() would reap it where it can
        wait_for("its end", lambda: not processes.alive(unreaped.pid), seconds=60)
        run(context)
    assert patroni.leader_of(scope) == founder
    assert "single-user server is running" in context.layout.log(founder.name).read_text()


def every_step(context: LocalContext) -> tuple[Step, ...]:
    """All steps of the PostgreSQL side."""
    return (
        supervisor_step(context.target, context.clock),
        *start_steps(context.target, servers(context)),
        *steps(context),
    )


def run(context: LocalContext, upto: set[str] | None = None) -> list[Finished]:
    """All steps of the PostgreSQL side, or those up to some; asserts that none fails."""
    every = every_step(context)
    ends = execute(every if upto is None else needed(every, upto), lambda _: None)
    broken = [(end.step.name, end.why) for end in ends if end.error]
    assert not broken, "\n".join([str(broken), *tails(context)])
    return ends


def tails(context: LocalContext, lines: int = 40) -> list[str]:
    """The end of every Patroni's log: what it was waiting for."""
    logs = [context.layout.log(node.name) for node in context.inventory.of(Kind.POSTGRES)]
    logs.append(context.layout.log("supervisord"))
    found = [log for log in logs if log.exists()]
    return ["\n".join([f"== {log.name}", *log.read_text().splitlines()[-lines:]]) for log in found]


def needed(every: tuple[Step, ...], names_of: set[str]) -> list[Step]:
    """These steps and all that they need."""
    wanted = set(names_of)
    chosen = []
    for step in reversed(in_order(every)):
        if step.name in wanted:
            chosen.append(step)
            wanted |= set(step.needs)
    return chosen


def half_make(context: LocalContext, node: Node) -> None:
    """A data folder as a killed initdb or pg_basebackup leaves it: no valid control file."""
    for folder in (context.layout.node(node), context.layout.data(node)):
        context.target.make_folder(folder)
    folder = data_folder(context.layout, node)
    context.target.make_folder(folder)
    (folder / "PG_VERSION").write_text("15\n")
    (folder / "global").mkdir()
    (folder / "global" / "pg_control").write_bytes(b"")
    if context.target.user.name:
        for path in folder.rglob("*"):
            os.chown(path, context.target.user.uid, context.target.user.gid)


def put(context: LocalContext, node: Node, scope: str, key: str, value: str) -> None:
    """Write a key as Patroni's user of that etcd."""
    login = {
        "name": names.ETCD_USER,
        "password": names.etcd_password(context, scope, names.ETCD_USER),
    }
    token = call(node, "/v3/auth/authenticate", login)["token"]
    body = {"key": encode(key), "value": encode(value)}
    call(node, "/v3/kv/put", body, {"Authorization": str(token)})


def call(
    node: Node, path: str, body: object, headers: dict[str, str] | None = None
) -> dict[str, object]:
    answer = request(
        node.address, names.ETCD_PORT, "POST", path, body=body, headers=headers, seconds=5
    )
    assert answer.ok, answer.text
    return answer.object()


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
