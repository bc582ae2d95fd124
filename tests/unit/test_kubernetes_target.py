"""The Kubernetes target: its scripts on real processes, its faults on an API that remembers."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import click
import pytest

from cluster.clock import Clock
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind
from cluster.kubernetes import scripts
from cluster.kubernetes.api import Api, JobState, Machine, PodState
from cluster.kubernetes.labels import COMPONENT, INSTANCE, JOINED, PEERS
from cluster.kubernetes.target import KubernetesTarget
from cluster.server import Server
from cluster.target import (
    CanFill,
    CanFreeze,
    CanIsolate,
    CanKill,
    CanLoseMachines,
    CanThrottle,
    CanWipe,
    ToolResult,
)
from skillswap_ops.kubernetes.remote import inside_words, run_job
from skillswap_ops.kubernetes.rolling import order
from skillswap_ops.kubernetes.rollout import rollout
from tests.unit.kubernetes_samples import plan

# Scripts, on this machine


def run(argv: Sequence[str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, input=text, timeout=60, check=False)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def state_of(pid: int) -> scripts.Process | None:
    found = scripts.parse_processes(run(scripts.list_processes()).stdout)
    return next((each for each in found if each.pid == pid), None)


def wait_for_state(pid: int, letters: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = state_of(pid)
        if (found.state if found else "gone") in letters.split():
            return found.state if found else "gone"
    raise AssertionError(f"{pid} did not get to {letters}")


def test_processes_are_listed_frozen_thawed_and_killed(sleeper: "subprocess.Popen[bytes]") -> None:
    mine = state_of(sleeper.pid)
    assert mine is not None
    assert (mine.name, mine.stopped) == ("sleep", False)
    assert run(scripts.send_signal("STOP", [mine])).returncode == 0
    assert wait_for_state(sleeper.pid, "T") == "T"
    run(scripts.send_signal("CONT", [mine]))
    assert wait_for_state(sleeper.pid, "S R") in "SR"
    run(scripts.send_signal("KILL", [mine]))
    assert wait_for_state(sleeper.pid, "gone") == "gone"


def test_the_list_leaves_out_the_first_process_and_the_looker() -> None:
    argv = scripts.list_processes()
    ended = run([*argv[:2], f"echo looker $$; {argv[2]}"])
    first, *rows = ended.stdout.splitlines()
    pids = {each.pid for each in scripts.parse_processes("\n".join(rows))}
    assert pids
    assert not pids & {1, int(first.removeprefix("looker "))}


def test_names_with_blanks_and_the_dead() -> None:
    text = "12 S postgres: checkpointer\n13 Z mongod\nnoise\n14 T a (b) c\n"
    assert scripts.parse_processes(text) == (
        scripts.Process(12, "S", "postgres: checkpointer"),
        scripts.Process(14, "T", "a (b) c"),
    )


def test_passwords_come_on_standard_input() -> None:
    env = {"PGPASSWORD": "a b'c\"$d\\e", "OTHER": "x=y"}
    words = scripts.with_environment(
        [sys.executable, "-c", "import os; print(os.environ['PGPASSWORD'], os.environ['OTHER'])"]
    )
    assert env["PGPASSWORD"] not in " ".join(words)
    ended = run(words, scripts.environment_lines(env))
    assert ended.stdout == f"{env['PGPASSWORD']} x=y\n"
    with pytest.raises(ValueError, match="several lines"):
        scripts.environment_lines({"A": "x\nRM=1"})


def test_a_connection_that_comes_about_and_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run(scripts.connects("127.0.0.1", port, 2)).returncode == 0
    assert run(scripts.connects("127.0.0.1", port, 2)).returncode != 0


# The target, on an API that remembers


@dataclass
class FakeApi:
    """Pods, machines and claims as values. A deleted pod comes again with another uid."""

    found: dict[str, PodState]
    machines_: tuple[Machine, ...] = ()
    processes: dict[str, list[scripts.Process]] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    enforced: bool = True
    refused: int = 0
    comes_back: bool = True
    calls: list[str] = field(default_factory=list)

    def pods(self, selector: Mapping[str, str] | None = None) -> tuple[PodState, ...]:
        wanted = (selector or {}).items()
        return tuple(p for p in self.found.values() if wanted <= p.labels.items())

    def pod(self, name: str) -> PodState | None:
        return self.found.get(name)

    def delete_pod(self, pod: PodState, grace_seconds: int | None = None) -> None:
        self.calls.append(f"delete {pod.name} {grace_seconds}")
        if self.comes_back:
            self.found[pod.name] = replace(
                pod, uid=f"{pod.uid}'", node="elsewhere", labels={**pod.labels, PEERS: JOINED}
            )

    def evict(self, pod: PodState) -> bool:
        self.calls.append(f"evict {pod.name}")
        if self.refused:
            self.refused -= 1
            return False
        self.found[pod.name] = replace(pod, uid=f"{pod.uid}'", node="elsewhere")
        return True

    def label_pod(self, name: str, labels: Mapping[str, str | None]) -> None:
        pod = self.found[name]
        kept = {key: value for key, value in {**pod.labels, **labels}.items() if value is not None}
        self.found[name] = replace(pod, labels=kept)

    def execute(
        self,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        text: str | None = None,
        seconds: float = 60,
    ) -> ToolResult:
        script = argv[2] if len(argv) > 2 else ""
        rows = self.processes.get(pod, [])
        if "/dev/tcp" in script:
            cut = self.enforced and self.found[pod].labels[PEERS] != JOINED
            return ToolResult(1 if cut else 0, "", "")
        if "for d in /proc" in script:
            return ToolResult(0, "".join(f"{p.pid} {p.state} {p.name}\n" for p in rows), "")
        if script.startswith("for p in "):
            self._signal(pod, script)
            return ToolResult(0, "", "")
        self.calls.append(f"run {' '.join(argv)} <{text}>")
        return ToolResult(0, "ok", "")

    def _signal(self, pod: str, script: str) -> None:
        pids = {int(pid) for pid in script.partition(";")[0].removeprefix("for p in ").split()}
        signal = script.partition("kill -")[2].split()[0]
        states = {"STOP": "T", "CONT": "S"}
        rows = self.processes[pod]
        if signal == "KILL":
            self.processes[pod] = [p for p in rows if p.pid not in pids]
        else:
            self.processes[pod] = [
                replace(p, state=states[signal]) if p.pid in pids else p for p in rows
            ]

    def claim_uid(self, name: str) -> str | None:
        return self.claims.get(name)

    def delete_claim(self, name: str) -> None:
        self.claims[name] += "'"

    def machines(self) -> tuple[Machine, ...]:
        return self.machines_

    def cordon(self, machine: str, *, away: bool) -> None:
        self.machines_ = tuple(
            replace(m, schedulable=not away) if m.name == machine else m for m in self.machines_
        )

    def revision(self, stateful_set: str) -> str | None:
        return "new"


class StepClock:
    """Time goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pod(name: str, instance: str, machine: str = "m1") -> PodState:
    labels = {INSTANCE: instance, PEERS: JOINED}
    return PodState(
        name, f"uid-{name}", "Running", True, machine, "10.0.0.1", labels, 0, "", "new", False
    )


def servers(*names: str) -> list[Server]:
    return [server for server in plan("tp3").servers if server.name in names]


@pytest.fixture
def api() -> FakeApi:
    pods = [
        *(pod(f"shard-a-{n}", "shard-a", f"m{n}") for n in (1, 2, 3)),
        pod("pg1-0", "payments", "m1"),
        replace(pod("console-x", "console"), labels={COMPONENT: "operations", INSTANCE: "console"}),
        pod("routers-x", "routers", "m2"),
        pod("routers-y", "routers", "m3"),
    ]
    machines = tuple(Machine(f"m{n}", f"zone-{n}", "r", True) for n in (1, 2, 3))
    return FakeApi({p.name: p for p in pods}, machines, claims={"data-shard-a-1": "c"})


@pytest.fixture
def target(api: FakeApi) -> KubernetesTarget:
    return KubernetesTarget(cast("Api", api), cast("Clock", StepClock()))


def test_it_can_what_its_faults_need(target: KubernetesTarget) -> None:
    for can in (CanKill, CanFreeze, CanIsolate, CanWipe, CanLoseMachines):
        assert isinstance(target, can)
        assert target.lacks(can) == ""
    for cannot in (CanThrottle, CanFill):
        assert not isinstance(target, cannot)
        assert "no" in target.lacks(cannot)


def test_kill_deletes_the_pod_and_waits_for_its_end(api: FakeApi, target: KubernetesTarget) -> None:
    hit = target.kill(servers("shard-a-1"))
    assert api.calls == ["delete shard-a-1 0"]
    assert "shard-a-1" in hit.proof
    api.comes_back = False
    with pytest.raises(UnreachableError):
        target.kill(servers("shard-a-2"))


def test_a_router_is_every_pod_of_its_deployment(api: FakeApi, target: KubernetesTarget) -> None:
    (node,) = [n for n in plan("tp3").inventory.nodes if n.kind is Kind.ROUTER]
    assert {p.name for p in target.pods(node)} == {"routers-x", "routers-y"}
    state = target.state(servers("routers")[0])
    assert (state.running, state.detail) == (True, "2 of 2 pods run on m2, m3")


def test_the_loss_of_a_router_is_one_pods(api: FakeApi, target: KubernetesTarget) -> None:
    target.kill(servers("routers"))
    assert api.calls == ["delete routers-x 0"]


def test_freeze_and_thaw_prove_themselves(api: FakeApi, target: KubernetesTarget) -> None:
    api.processes["pg1-0"] = [
        scripts.Process(7, "S", "patroni"),
        scripts.Process(8, "S", "postgres"),
    ]
    hit = target.freeze(servers("pg1-0"), "patroni")
    assert [p.state for p in api.processes["pg1-0"]] == ["T", "S"]
    assert "1 processes of pg1-0 stand still" in hit.proof
    target.thaw(servers("pg1-0"))
    assert [p.state for p in api.processes["pg1-0"]] == ["S", "S"]
    with pytest.raises(OpsError, match="no etcd runs"):
        target.freeze(servers("pg1-0"), "etcd")


def test_a_program_is_killed_and_the_pod_stays(api: FakeApi, target: KubernetesTarget) -> None:
    api.processes["pg1-0"] = [
        scripts.Process(7, "S", "patroni"),
        scripts.Process(8, "S", "postgres"),
    ]
    target.kill(servers("pg1-0"), "postgres")
    assert [p.name for p in api.processes["pg1-0"]] == ["patroni"]
    assert not api.calls


def test_isolation_is_a_label_and_is_proved(api: FakeApi, target: KubernetesTarget) -> None:
    one, others = servers("shard-a-1"), servers("shard-a-2", "shard-a-3")
    hit = target.isolate("mongo_shard_a", one, others)
    assert "shard-a-1 reach none of" in hit.proof
    assert [p.labels[PEERS] for p in api.pods({INSTANCE: "shard-a"})] == [
        "cut-mongo_shard_a",
        JOINED,
        JOINED,
    ]
    target.rejoin("mongo_shard_a")
    target.rejoin("mongo_shard_a")
    assert {p.labels.get(PEERS, JOINED) for p in api.found.values()} == {JOINED}


def test_where_policies_are_not_enforced_isolation_says_so(
    api: FakeApi, target: KubernetesTarget
) -> None:
    api.enforced = False
    with pytest.raises(OpsError) as caught:
        target.isolate("x", servers("shard-a-1"), servers("shard-a-2"))
    assert "network plugin" in caught.value.hint


def test_wipe_replaces_the_claim(api: FakeApi, target: KubernetesTarget) -> None:
    hit = target.wipe(servers("shard-a-1")[0])
    assert api.claims["data-shard-a-1"] == "c'"
    assert "data-shard-a-1" in hit.proof


def test_a_drain_waits_for_budgets(api: FakeApi, target: KubernetesTarget) -> None:
    api.refused = 3
    target.drain_machine("m1")
    assert [p.name for p in api.found.values() if p.node == "m1"] == ["console-x"]
    assert len([call for call in api.calls if call.startswith("evict")]) > 3
    assert not api.machines_[0].schedulable
    target.open_machines(["m1"])
    assert api.machines_[0].schedulable


def test_a_zone_stops_at_once(api: FakeApi, target: KubernetesTarget) -> None:
    hit = target.stop_zone("zone-1")
    assert sorted(api.calls) == ["delete pg1-0 0", "delete shard-a-1 0"]
    assert hit.proof == "zone zone-1: 1 machines cordoned, 2 pods gone"
    assert target.machines_of("zone-1") == ("m1",)
    assert api.found["console-x"].node == "m1", "whoever breaks things must live to undo it"
    with pytest.raises(OpsError, match="zone nowhere"):
        target.stop_zone("nowhere")


def test_a_tools_password_is_in_no_argument(api: FakeApi, target: KubernetesTarget) -> None:
    (node,) = [n for n in plan("tp3").inventory.nodes if n.name == "pg1-0"]
    target.run_tool(node, ["psql"], env={"PGPASSWORD": "secret"})
    (call,) = api.calls
    words, _, text = call.partition("<")
    assert "secret" not in words
    assert "PGPASSWORD=secret" in text


# Around it


def test_the_leader_is_replaced_last() -> None:
    members = plan("tp3").inventory.of(Kind.POSTGRES, group="payments")
    assert [node.name for node in order(members, "pg1-0")] == ["pgsync1-0", "pg1-0"]
    assert [node.name for node in order(members, "pgsync1-0")] == ["pg1-0", "pgsync1-0"]
    assert [node.name for node in order(members, None)] == ["pg1-0", "pgsync1-0"]


@pytest.mark.parametrize(
    ("words", "inside"),
    [
        ("status --target kubernetes", "status --target kubernetes"),
        ("status --home /x -f my.yaml --output json", "status --output json"),
        ("endpoints --topology=my.yaml pg-payments --reveal", "endpoints pg-payments --reveal"),
        ("drill run pg-node-kill -fmy.yaml --yes", "drill run pg-node-kill --yes"),
    ],
)
def test_a_command_goes_inside_without_its_places(words: str, inside: str) -> None:
    assert inside_words(words.split()) == inside.split()


# Rollouts, on Deployments as their controller writes them


@dataclass
class Deployments:
    """A Deployment that becomes ready, or does not, after a few looks."""

    image: str
    ready_after: int | None
    looks: int = 0
    namespace: str = "skillswap"

    def patch_deployment(self, name: str, body: Mapping[str, Any]) -> None:
        assert name == "service-auth"
        (container,) = body["spec"]["template"]["spec"]["containers"]
        assert container["name"] == "auth"
        self.image = container["image"]
        self.looks = 0

    def deployment(self, name: str) -> Mapping[str, Any]:
        self.looks += 1
        ready = self.image != "bad:1" and self.looks > (self.ready_after or 0)
        stuck = {"type": "Progressing", "status": "False", "message": "exceeded its deadline"}
        return {
            "metadata": {"name": name, "generation": 2},
            "spec": {
                "replicas": 3,
                "template": {"spec": {"containers": [{"image": self.image}]}},
            },
            "status": {
                "observedGeneration": 2,
                "replicas": 3 if ready else 4,
                "readyReplicas": 3,
                "updatedReplicas": 3 if ready else 1,
                "conditions": [stuck] if self.image == "bad:1" and self.looks > 3 else [],
            },
        }


def test_a_rollout_waits_until_no_old_instance_is_left() -> None:
    found, said = Deployments("old:1", 4), []
    rollout(cast("Api", found), ["auth"], "new:1", said.append, cast("Clock", StepClock()))
    assert found.image == "new:1"
    assert said[-1] == "auth: 3 ready"


def test_a_rollout_that_fails_goes_back() -> None:
    found = Deployments("old:1", 0)
    with pytest.raises(OpsError, match="exceeded its deadline; back to old:1"):
        rollout(cast("Api", found), ["auth"], "bad:1", print, cast("Clock", StepClock()))
    assert found.image == "old:1"


# Drills as Jobs


@dataclass
class Jobs:
    """A job that ends at once, and its pod."""

    code: int
    namespace: str = "skillswap"
    started: list[tuple[str, list[str]]] = field(default_factory=list)

    def start_job(self, cron_job: str, name: str, argv: Sequence[str]) -> None:
        self.started.append((cron_job, list(argv)))

    def job(self, name: str) -> JobState:
        return JobState(self.code == 0, self.code != 0, "BackoffLimitExceeded" if self.code else "")

    def pods(self, selector: Mapping[str, str]) -> tuple[PodState, ...]:
        return (replace(pod("drills-x", "drills"), phase="Succeeded", exit_code=self.code),)

    def logs(self, name: str, container: str | None, lines: int | None) -> str:
        return "pg-node-kill  pass\n"


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_a_drills_exit_code_is_its_jobs(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A fail, an inconclusive run and a fault left behind are told apart from here, too."""
    found = Jobs(code)
    words = ["drill", "run", "pg-node-kill", "--yes", "--target", "kubernetes"]
    assert run_job(cast("Api", found), words) == code
    assert found.started == [("drills", ["skillswap-ops", *words])]
    assert "pg-node-kill  pass" in capsys.readouterr().out


def test_a_proof_is_a_job_of_its_own_and_asks_nothing() -> None:
    """Its pod has the engines' programs; it breaks nothing."""
    found = Jobs(0)
    words = ["backup", "prove", "--target", "kubernetes"]
    assert run_job(cast("Api", found), words) == 0
    assert found.started == [("restore-proof", ["skillswap-ops", *words])]


def test_a_drill_asks_before_it_is_sent() -> None:
    found = Jobs(0)
    with pytest.raises(click.UsageError, match="--yes"):
        run_job(cast("Api", found), ["drill", "run", "pg-node-kill"])
    assert not found.started
