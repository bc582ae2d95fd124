"""The local target with a real server (Redis): start, stop, change, kill, strays, ports, lock."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml

from cluster import tls
from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.errors import BusyError, OpsError, RefusedError
from cluster.files import write_atomic
from cluster.handshake import presented
from cluster.inventory import Kind, inventory
from cluster.local import preflight, processes
from cluster.local.steps import retire_steps, start_steps, supervisor_step
from cluster.lock import exclusive
from cluster.plan import Finished, Outcome, execute
from cluster.server import ConfigFile, OnChange, Server
from cluster.topology import Topology
from cluster.topology_file import dump_topology
from manifests import redis
from skillswap_ops.changes import check_change
from skillswap_ops.provisioning import all_steps, make_home, stop
from skillswap_ops.wiring import LocalContext
from tests.conftest import make_lab, remove_lab

pytestmark = pytest.mark.servers


@pytest.fixture
def context() -> Iterator[LocalContext]:
    lab = make_lab("127.85.0.0/16", "target")
    context = lab.context
    make_home(context)
    yield context
    remove_lab(lab)


DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def redis_server(context: LocalContext) -> Server:
    return redis.servers(context)[0]


def bring_up(context: LocalContext, server: Server) -> dict[str, Outcome]:
    steps = (
        supervisor_step(context.target, context.clock),
        *start_steps(context.target, [server]),
        *redis.steps(context),
    )
    ends = execute(steps, lambda _: None)
    assert not [end for end in ends if end.outcome in {Outcome.FAILED, Outcome.SKIPPED}], ends
    return {end.step.name: end.outcome for end in ends}


def pid_of(context: LocalContext, server: Server) -> int:
    pid = context.target.state(server).pid
    assert pid is not None
    return pid


def test_second_run_changes_nothing(context: LocalContext) -> None:
    server = redis_server(context)
    first = bring_up(context, server)
    assert first["supervisord"] is first[server.start_step] is Outcome.CHANGED
    pid = pid_of(context, server)
    assert set(bring_up(context, server).values()) == {Outcome.UNCHANGED}
    assert pid_of(context, server) == pid


def test_servers_are_not_root_and_own_their_folder(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    uid = psutil.Process(pid_of(context, server)).uids().effective
    assert uid == context.target.user.uid != 0
    folder = context.layout.node(server.node)
    assert folder.stat().st_uid == uid
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (context.layout.conf(server.node) / "redis.conf").stat().st_mode & 0o777 == 0o600


def test_no_secret_in_any_command_line_or_environment(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    secret = context.secrets.get("redis-app").get_secret_value()
    for process in processes.owned(context.layout.root):
        found = psutil.Process(process.pid)
        assert secret not in " ".join(found.cmdline())
        assert secret not in str(found.environ())


def test_a_killed_server_stays_down_and_is_the_only_one_started(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    hit = context.target.kill([server])
    assert "SIGKILL" in hit.proof
    wait_for("supervisord's notice", lambda: not context.target.state(server).running, seconds=60)
    outcomes = bring_up(context, server)
    assert outcomes["supervisord"] is Outcome.UNCHANGED
    assert outcomes[server.start_step] is Outcome.CHANGED


def test_kill_of_nothing_is_no_hit(context: LocalContext) -> None:
    with pytest.raises(OpsError, match="nothing to kill"):
        context.target.kill([redis_server(context)])


def test_changed_configuration_restarts_that_server(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    pid = pid_of(context, server)
    conf = server.files[0]
    changed = replace(server, files=(ConfigFile(conf.name, conf.text + "\nhz 20\n", secret=True),))
    outcomes = bring_up(context, changed)
    assert outcomes[server.start_step] is Outcome.CHANGED
    assert pid_of(context, server) != pid
    assert bring_up(context, changed)[server.start_step] is Outcome.UNCHANGED


def test_a_file_that_was_opened_to_others_is_closed_without_a_restart(
    context: LocalContext,
) -> None:
    server = redis_server(context)
    bring_up(context, server)
    pid = pid_of(context, server)
    conf = context.layout.conf(server.node) / "redis.conf"
    conf.chmod(0o644)
    assert bring_up(context, server)[server.start_step] is Outcome.CHANGED
    assert conf.stat().st_mode & 0o777 == 0o600
    assert pid_of(context, server) == pid


def test_reloadable_server_keeps_its_process(context: LocalContext) -> None:
    # Python's own http.server dies of SIGHUP, so a process that notes it stands in for HAProxy.
    code = (
        "import signal,time\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('reloaded', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    node = redis_server(context).node
    script = context.layout.conf(node) / "noter.py"

    def noter(setting: str) -> Server:
        files = (ConfigFile("noter.py", code), ConfigFile("a.conf", setting))
        return Server(
            "noter",
            node,
            "Test",
            ("/usr/bin/python3", str(script)),
            files=files,
            on_change=OnChange.RELOAD,
        )

    def run(setting: str) -> Outcome:
        target = context.target
        steps = supervisor_step(target, context.clock), *start_steps(target, [noter(setting)])
        return {end.step.name: end.outcome for end in execute(steps, lambda _: None)}["start noter"]

    log = context.layout.log("noter")
    assert run("1") is Outcome.CHANGED
    wait_for("its start", lambda: "up" in log.read_text(), seconds=60)
    pid = pid_of(context, noter("1"))
    assert run("2") is Outcome.CHANGED
    wait_for("its reload", lambda: "reloaded" in log.read_text(), seconds=60)
    assert pid_of(context, noter("2")) == pid
    assert run("2") is Outcome.UNCHANGED


def test_killed_supervisord_is_replaced_and_its_strays_with_it(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    old = pid_of(context, server)
    [supervisord] = [p for p in processes.owned(context.layout.root) if not p.server]
    processes.send([supervisord], signal.SIGKILL)
    wait_for("its end", lambda: not context.target.supervisor.alive(), seconds=60)
    assert psutil.pid_exists(old)
    assert bring_up(context, server)["supervisord"] is Outcome.CHANGED
    assert pid_of(context, server) != old
    assert len([p for p in processes.owned(context.layout.root) if p.server == server.name]) == 1


def test_stopped_cleanly_and_started_again(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    stop(context)
    assert processes.owned(context.layout.root) == ()
    assert bring_up(context, server)["supervisord"] is Outcome.CHANGED


def test_provision_waits_for_a_supervisord_that_is_shutting_down(context: LocalContext) -> None:
    """A program that ignores its stop signal keeps supervisord in that state for a while."""
    script = context.layout.conf(redis_server(context).node) / "deaf.py"
    deaf = replace(
        redis_server(context),
        name="deaf",
        argv=("/usr/bin/python3", str(script)),
        files=(ConfigFile("deaf.py", DEAF),),
        stop_seconds=2,
        ports=(),
    )
    steps = supervisor_step(context.target, context.clock), *start_steps(context.target, [deaf])
    execute(steps, lambda _: None)
    log = context.layout.log("deaf")
    wait_for("its start", lambda: log.exists() and "deaf" in log.read_text(), seconds=60)
    [supervisord] = [p for p in processes.owned(context.layout.root) if not p.server]
    processes.send([supervisord], signal.SIGTERM)
    wait_for("the state", lambda: not context.target.supervisor.alive(), seconds=60)
    assert not [end for end in execute(steps, lambda _: None) if end.outcome is Outcome.FAILED]
    assert context.target.state(deaf).running


def test_a_wrong_configuration_is_reported_with_its_last_words(context: LocalContext) -> None:
    server = redis_server(context)
    wrong = replace(server, files=(ConfigFile("redis.conf", "no-such-directive 1\n"),))
    ends: list[Finished] = execute(
        (supervisor_step(context.target, context.clock), *start_steps(context.target, [wrong])),
        lambda _: None,
    )
    [failed] = [end for end in ends if end.outcome is Outcome.FAILED]
    assert "ended right after its start" in failed.why


def test_a_port_in_use_names_who_has_it(context: LocalContext) -> None:
    server = redis_server(context)
    with socket.socket() as squatter:
        squatter.bind((server.node.address, server.ports[0]))
        squatter.listen()
        with pytest.raises(RefusedError, match=rf"in use by .*\(pid {os.getpid()}\)"):
            preflight.check_ports([server], context.layout.root)
    preflight.check_ports([server], context.layout.root)


def test_a_signal_never_hits_a_recycled_pid(context: LocalContext) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        stale = processes.Owned(bystander.pid, created=1.0, server="pg1", name="postgres")
        processes.send([stale], signal.SIGKILL)
        with pytest.raises(subprocess.TimeoutExpired):
            bystander.wait(0.3)
        found = processes.Owned(
            bystander.pid, psutil.Process(bystander.pid).create_time(), "pg1", "postgres"
        )
        processes.send([found], signal.SIGKILL)
        assert bystander.wait(5) == -signal.SIGKILL
    finally:
        bystander.kill()
        bystander.wait()


def test_a_second_run_at_once_is_refused_by_name(context: LocalContext) -> None:
    with exclusive(context.layout.lock, "provision"):
        code = (
            "import sys; from pathlib import Path; from cluster.lock import exclusive\n"
            "from cluster.errors import BusyError\n"
            "try:\n"
            "    with exclusive(Path(sys.argv[1]), 'destroy'): print('got it')\n"
            "except BusyError as error: print(error.message)"
        )
        argv = [sys.executable, "-c", code, str(context.layout.lock)]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert f"`provision` (pid {os.getpid()})" in said
    with exclusive(context.layout.lock, "destroy"):
        pass
    assert BusyError.exit_code == 1


def test_a_topology_that_moves_or_drops_a_node_with_data_is_refused(context: LocalContext) -> None:
    bring_up(context, redis_server(context))
    write_atomic(context.layout.topology, dump_topology(context.topology))
    written = yaml.safe_load(dump_topology(context.topology))
    check_change(context)

    def after(**changes: object) -> LocalContext:
        topology = Topology.model_validate(written | changes)
        return replace(context, topology=topology, inventory=inventory(topology))

    with pytest.raises(RefusedError, match=r"redis-1 would move from 127.85.70.1 to 127.88.70.1"):
        check_change(after(local={"network": "127.88.0.0/16"}))
    with pytest.raises(RefusedError, match="not in the topology any more: redis-1"):
        check_change(after(redis={"members": 0}))
    with pytest.raises(RefusedError, match=r"tls.enabled would change to true"):
        check_change(after(tls={"enabled": True}))
    check_change(after(tls={"enabled": False, "leaf_days": 30}))


def test_an_etcd_that_has_data_gets_no_member(context: LocalContext) -> None:
    """Three that are there would not know the four new ones, who would be a quorum of seven."""
    write_atomic(context.layout.topology, dump_topology(context.topology))
    postgres = context.topology.postgres
    topology = context.topology.model_copy(
        update={"postgres": postgres.model_copy(update={"etcd": 7})}
    )
    after = replace(context, topology=topology, inventory=inventory(topology))
    check_change(after)  # nothing was founded yet
    for node in context.inventory.of(Kind.ETCD)[:2]:  # a provision that was killed in its midst
        context.layout.data(node).mkdir(parents=True)
    check_change(context)
    wanted = (
        "etcd-4, etcd-5, etcd-6, etcd-7 would found a second etcd beside etcd-1, etcd-2, etcd-3"
    )
    with pytest.raises(RefusedError, match=wanted):
        check_change(after)


def test_a_router_that_the_topology_has_no_more_goes_last(context: LocalContext) -> None:
    kept, dropped = (
        Server(node.name, node, "Routers", ("/bin/sleep", "600"), folders=("conf",))
        for node in context.inventory.of(Kind.ROUTER)
    )
    starts = start_steps(context.target, [kept, dropped])
    ends = execute((supervisor_step(context.target, context.clock), *starts), lambda _: None)
    assert {end.outcome for end in ends} == {Outcome.CHANGED}
    assert retire_steps(context.target, context.inventory, ()) == ()
    topology = context.topology.model_copy(
        update={"mongo": context.topology.mongo.model_copy(update={"routers": 1})}
    )
    smaller = replace(context, topology=topology, inventory=inventory(topology))
    assert all_steps(smaller)[-1].name == "retire router-2"
    [step] = retire_steps(context.target, inventory(topology), ["x"])
    assert (step.name, step.needs[-1]) == ("retire router-2", "x")
    assert not step.check().done
    step.act()
    assert step.check().done
    assert not context.layout.node(dropped.node).exists()
    assert context.target.state(kept).running
    assert not [one for one in processes.owned(context.layout.root) if one.server == dropped.name]
    step.act()  # killed after that, it is done again
    assert retire_steps(context.target, inventory(topology), ()) == ()


def test_two_clusters_do_not_see_each_other(context: LocalContext) -> None:
    server = redis_server(context)
    bring_up(context, server)
    other = make_lab("127.86.0.0/16", "target")
    try:
        make_home(other.context)
        bring_up(other.context, redis_server(other.context))
        processes.kill_all(other.context.layout.root, None, SYSTEM_CLOCK)
        assert context.target.state(server).running
    finally:
        remove_lab(other)


def test_servers_read_nothing_and_supervisord_s_pipe_has_a_reader(context: LocalContext) -> None:
    """A pipe without one is an error at every poll of supervisord's: it would never sleep again."""
    server = redis_server(context)
    bring_up(context, server)
    [supervisord] = [one for one in processes.owned(context.layout.root) if not one.server]
    pid = pid_of(context, server)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")

    def read_by_the_server() -> bool:
        pipes = set(_pipes(supervisord.pid, os.O_WRONLY))
        return bool(pipes) and pipes <= set(_pipes(pid, os.O_RDONLY))

    wait_for("a reader for each of supervisord's pipes", read_by_the_server, seconds=30)


def _pipes(pid: int, mode: int) -> Iterator[str]:
    """The pipes that a process has open for that alone."""
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        flags = (handle.parent.parent / "fdinfo" / handle.name).read_text().split("flags:")[1]
        if int(flags.split()[0], 8) & os.O_ACCMODE == mode and "pipe:" in str(handle.readlink()):
            yield str(handle.readlink())


def test_a_renewed_certificate_is_taken_without_a_restart() -> None:
    lab = make_lab("127.85.0.0/16", "target", tls={"enabled": True})
    try:
        context = lab.context
        make_home(context)
        server = redis_server(context)
        bring_up(context, server)
        pid, first = pid_of(context, server), presented(server.node.address, 6379, context.trust)
        tls.authority(context).renew(server.node.name, tls.names(context.inventory, server.node))
        renewed = redis_server(context)
        outcomes = bring_up(context, renewed)
        assert outcomes[server.start_step] is Outcome.CHANGED
        assert outcomes[f"certificate {server.node.name}"] is Outcome.CHANGED
        assert presented(server.node.address, 6379, context.trust).serial != first.serial
        assert pid_of(context, server) == pid
        assert set(bring_up(context, renewed).values()) == {Outcome.UNCHANGED}
        both = replace(
            renewed,
            files=tuple(
                replace(
                    file,
                    text=file.text + ("\n" if file.live else "\nhz 20\n"),
                    fixed=None if file.fixed is None else f"{file.fixed}\nhz 20\n",
                )
                for file in renewed.files
            ),
        )
        bring_up(context, both)
        assert pid_of(context, server) != pid
    finally:
        remove_lab(lab)
