"""The Kubernetes target: servers are containers; Kubernetes itself keeps them running.

What starts and stops pods is Kubernetes: `start` waits, `stop` deletes a pod, which then comes
again. Faults act on pods, and prove that they hit.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.clock import Clock, wait_for
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.kubernetes import scripts
from cluster.kubernetes.api import Api, PodState
from cluster.kubernetes.labels import COMPONENT, INSTANCE, JOINED, PEERS, TOOL
from cluster.kubernetes.scripts import Process
from cluster.server import Server
from cluster.target import (
    CanFreeze,
    CanIsolate,
    CanKill,
    CanLoseMachines,
    CanRestore,
    CanRestoreBeside,
    CanWipe,
    Hit,
    ServerState,
    ToolResult,
)

FLEETS = {Kind.ROUTER, Kind.HAPROXY, Kind.SERVICE}  # any number of pods that are all alike
START_SECONDS = 600  # an image is fetched, a disk is attached
GONE_SECONDS = 60
STILL_SECONDS = 15
CUT_SECONDS = 30  # until the network plugin has taken in whom a policy chooses now
TRY_SECONDS = 2
EVICT_SECONDS = 600
SILENT_SECONDS = 120  # of a folder on its way
CUT = "cut-"  # begins a pod's PEERS label while it is cut off; the cut's name follows
NO_BENCH = "copies are restored in a pod of their own: `backup prove` starts it"
POSSIBLE = (CanKill, CanFreeze, CanIsolate, CanWipe, CanLoseMachines)


class KubernetesTarget:
    """Pods of a namespace. Every call may raise what `Api` raises.

    `has_bench`: this process is in the pod that has the engines' programs, and room for copies.
    """

    def __init__(self, api: Api, clock: Clock, *, has_bench: bool = False) -> None:
        self._api = api
        self._clock = clock
        self.has_bench = has_bench

    @property
    def name(self) -> str:
        """`kubernetes`."""
        return "kubernetes"

    # Servers

    def pods(self, node: Node) -> tuple[PodState, ...]:
        """The node's pod; those of a router or a proxy, which have one node and many pods."""
        if node.kind in FLEETS:
            return self._api.pods({INSTANCE: node.group})
        pod = self._api.pod(node.name)
        return (pod,) if pod else ()

    def start(self, server: Server) -> None:
        """Wait until its pod runs. Raises UnreachableError that says what it waits for."""

        def running() -> bool:
            state = self.state(server)
            if not state.running:
                raise UnreachableError(f"{server.name}: {state.detail}")
            return True

        wait_for(f"{server.name}'s pod", running, seconds=START_SECONDS, clock=self._clock)

    def is_newest(self, node: Node, stateful_set: str) -> bool:
        """Whether the node's pod is of its set's newest revision."""
        wanted = self._api.revision(stateful_set)
        return all(pod.revision == wanted and not pod.ending for pod in self.pods(node)) and bool(
            self.pods(node)
        )

    def stop(self, server: Server) -> None:
        """Delete its pod, cleanly; Kubernetes makes another."""
        for pod in self.pods(server.node):
            self._api.delete_pod(pod)

    def reload(self, server: Server) -> None:
        """SIGHUP to its program."""
        for pod in self.pods(server.node):
            chosen = [each for each in self._processes(pod) if each.name == container(server)]
            self._execute(pod, scripts.send_signal("HUP", chosen))

    def state(self, server: Server) -> ServerState:
        """Whether its pod runs; of a fleet, whether any does."""
        found = self.pods(server.node)
        if not found:
            return ServerState(running=False, detail="there is no pod")
        up = [pod for pod in found if pod.running]
        words = ", ".join(f"{pod.name} {pod.why or pod.phase}" for pod in found if pod not in up)
        if not up:
            return ServerState(running=False, detail=words)
        where = ", ".join(sorted({pod.node for pod in up}))
        return ServerState(running=True, detail=f"{len(up)} of {len(found)} pods run on {where}")

    def run_tool(
        self,
        node: Node,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> ToolResult:
        """Run a program in the node's first container. `env` comes on its standard input."""
        pod = self._one_running(node)
        if not env:
            return self._api.execute(pod.name, first_container(pod), argv, seconds=seconds)
        text = scripts.environment_lines(dict(env))
        words = scripts.with_environment(argv)
        container = first_container(pod)
        return self._api.execute(pod.name, container, words, text=text, seconds=seconds)

    def read(self, node: Node, path: Path) -> bytes | None:
        """A small file of a node; None where there is none."""
        pod = self._one_running(node)
        ended = self._api.execute(pod.name, first_container(pod), ["cat", str(path)])
        return None if ended.code else ended.stdout.encode()

    def fetch(self, node: Node, folder: Path, into: Path, leave_out: Sequence[str]) -> None:
        """Copy a node's folder here as it is read there, with tar on both sides."""
        pod = self._one_running(node)
        argv = scripts.pack(str(folder), leave_out)
        with subprocess.Popen(scripts.unpack(str(into)), stdin=subprocess.PIPE) as unpacking:
            assert unpacking.stdin is not None  # noqa: S101 - it was asked for
            code = self._api.download(
                pod.name, first_container(pod), argv, unpacking.stdin.write, SILENT_SECONDS
            )
            unpacking.stdin.close()
        # 1: a file changed while it was read, which is for the caller to judge.
        if code not in {0, 1} or unpacking.returncode:
            raise OpsError(f"{pod.name}: {folder} did not come whole (tar ended with {code})")

    def lacks(self, need: type) -> str:
        """Why a fault cannot be had on this target; "" if it can."""
        if need in POSSIBLE:
            return ""
        if need is CanRestore:
            return "restores work in folders of the servers' own machine: see docs/kubernetes.md"
        if need is CanRestoreBeside:
            return "" if self.has_bench else NO_BENCH
        return f"the kubernetes target has no {need.__name__.removeprefix('Can').lower()} fault"

    # Faults

    def kill(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        """Delete their pods at once; with `program`, SIGKILL that program of theirs.

        Of a router's or a proxy's pods, which are all one node, one: that is the loss of a router.
        """
        pods = self._victims(servers)
        at = self._clock.monotonic()
        if program is not None:
            return self._kill_program(pods, program, at)
        for pod in pods:
            self._api.delete_pod(pod, grace_seconds=0)
        self._wait_gone(pods)
        return Hit(at, f"deleted without grace: {_names(pods)} are gone")

    def _kill_program(self, pods: Sequence[PodState], program: str, at: float) -> Hit:
        chosen = [(pod, self._named(pod, program)) for pod in pods]
        for pod, processes in chosen:
            if not processes:
                raise OpsError(f"no {program} runs in {pod.name}")
            self._execute(pod, scripts.send_signal("KILL", processes))

        def gone() -> bool:
            return all(
                not {p.pid for p in processes} & {p.pid for p in self._named(pod, program)}
                for pod, processes in chosen
            )

        wait_for(f"end of {program}", gone, seconds=GONE_SECONDS, clock=self._clock)
        count = sum(len(processes) for _, processes in chosen)
        return Hit(at, f"SIGKILL: {count} {program} of {_names(pods)} are gone")

    def freeze(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        """SIGSTOP everything in their pods, or the program of that name."""
        pods = self._pods_of(servers)
        at = self._clock.monotonic()
        count = 0
        for pod in pods:
            processes = self._named(pod, program)
            if not processes:
                raise OpsError(f"no {program or 'process'} runs in {pod.name}")
            self._execute(pod, scripts.send_signal("STOP", processes))
            count += len(processes)

        def still() -> bool:
            return all(each.stopped for pod in pods for each in self._named(pod, program))

        wait_for("standstill", still, seconds=STILL_SECONDS, clock=self._clock)
        return Hit(at, f"SIGSTOP: {count} processes of {_names(pods)} stand still")

    def thaw(self, servers: Sequence[Server]) -> None:
        """SIGCONT whatever of them stands still."""
        for pod in self._pods_of(servers, some=False):
            stopped = [each for each in self._processes(pod) if each.stopped]
            if stopped:
                self._execute(pod, scripts.send_signal("CONT", stopped))

    def isolate(self, name: str, servers: Sequence[Server], peers: Sequence[Server]) -> Hit:
        """Take `servers` out of the policy that lets members reach each other.

        For members of PostgreSQL that is Kubernetes' API too, where their leader's lease is. Proved
        by connections that do not come about; raises OpsError where they still do, because a
        cluster whose network plugin does not enforce policies would make a drill of nothing.
        """
        pods, others = self._pods_of(servers), self._pods_of(peers)
        at = self._clock.monotonic()
        for pod in pods:
            self._api.label_pod(pod.name, {PEERS: f"{CUT}{name}"})
        port = servers[0].ports[0]

        def cut() -> bool:
            return not any(self._connects(pod, other, port) for pod in pods for other in others)

        try:
            wait_for("cut", cut, seconds=CUT_SECONDS, clock=self._clock)
        except UnreachableError as error:
            raise OpsError(
                f"{_names(pods)} still reach {_names(others)}",
                "the cluster's network plugin must enforce network policies",
            ) from error
        return Hit(at, f"network policies: {_names(pods)} reach none of {_names(others)}")

    def rejoin(self, name: str) -> None:
        """Let the members of that cut reach their peers again."""
        for pod in self._api.pods({PEERS: f"{CUT}{name}"}):
            self._api.label_pod(pod.name, {PEERS: JOINED})

    def wipe(self, server: Server) -> Hit:
        """Delete the pod and its volume claim: it comes back with an empty disk."""
        pods = self._pods_of([server])
        claims = {f"data-{pod.name}": self._api.claim_uid(f"data-{pod.name}") for pod in pods}
        at = self._clock.monotonic()
        for claim in claims:
            self._api.delete_claim(claim)
        for pod in pods:
            self._api.delete_pod(pod, grace_seconds=0)
        self._wait_gone(pods)

        def replaced() -> bool:
            return all(self._api.claim_uid(name) != uid for name, uid in claims.items())

        wait_for("end of the claim", replaced, seconds=GONE_SECONDS, clock=self._clock)
        return Hit(at, f"claims {', '.join(claims)} are deleted, with their pods")

    def drain_machine(self, machine: str) -> Hit:
        """Cordon a machine and evict our pods from it, as an update of the machine does.

        Disruption budgets decide how fast. Raises UnreachableError where they never let it end.
        """
        at = self._clock.monotonic()
        self._api.cordon(machine, away=True)

        def empty() -> bool:
            left = [pod for pod in self._others() if pod.node == machine]
            for pod in left:
                self._api.evict(pod)
            return not left

        wait_for(f"end of the drain of {machine}", empty, seconds=EVICT_SECONDS, clock=self._clock)
        return Hit(at, f"drained: no pod of ours is on {machine}")

    def stop_zone(self, zone: str) -> Hit:
        """Cordon every machine of a zone and delete our pods there at once, as when it is lost."""
        machines = [each.name for each in self._api.machines() if each.zone == zone]
        if not machines:
            raise OpsError(f"no machine is labelled as of zone {zone}")
        at = self._clock.monotonic()
        for machine in machines:
            self._api.cordon(machine, away=True)
        pods = [pod for pod in self._others() if pod.node in machines]
        for pod in pods:
            self._api.delete_pod(pod, grace_seconds=0)
        self._wait_gone(pods)
        return Hit(at, f"zone {zone}: {len(machines)} machines cordoned, {len(pods)} pods gone")

    def open_machines(self, machines: Sequence[str]) -> None:
        """Let pods come to these machines again. Idempotent."""
        for machine in machines:
            self._api.cordon(machine, away=False)

    def machine_of(self, node: Node) -> str:
        """The machine that a node's pod runs on."""
        return self._one_running(node).node

    def machines_of(self, zone: str) -> tuple[str, ...]:
        """The machines of a zone, which `stop_zone` takes."""
        return tuple(each.name for each in self._api.machines() if each.zone == zone)

    # Looking

    def _pods_of(self, servers: Sequence[Server], *, some: bool = True) -> tuple[PodState, ...]:
        nodes = {server.node.name: server.node for server in servers}
        found = {pod.name: pod for node in nodes.values() for pod in self.pods(node)}
        if some and not found:
            raise OpsError(f"{', '.join(nodes)}: there is no pod")
        return tuple(found.values())

    def _others(self) -> tuple[PodState, ...]:
        """Every pod but the tool's own: whoever breaks things must live to undo it."""
        return tuple(pod for pod in self._api.pods() if pod.labels.get(COMPONENT) != TOOL)

    def _victims(self, servers: Sequence[Server]) -> tuple[PodState, ...]:
        nodes = {server.node.name: server.node for server in servers}
        return tuple(
            pod
            for node in nodes.values()
            for pod in ([self._one_running(node)] if node.kind in FLEETS else self.pods(node))
        )

    def _one_running(self, node: Node) -> PodState:
        for pod in self.pods(node):
            if pod.running:
                return pod
        raise UnreachableError(f"no pod of {node.name} runs", "look at `status`")

    def _named(self, pod: PodState, program: str | None) -> tuple[Process, ...]:
        found = self._processes(pod)
        return tuple(each for each in found if program is None or each.name == program)

    def _processes(self, pod: PodState) -> tuple[Process, ...]:
        return scripts.parse_processes(self._execute(pod, scripts.list_processes()).stdout)

    def _execute(self, pod: PodState, argv: Sequence[str]) -> ToolResult:
        ended = self._api.execute(pod.name, first_container(pod), argv)
        if ended.code:
            raise OpsError(f"{pod.name}: {ended.stderr.strip()[:200] or f'exit {ended.code}'}")
        return ended

    def _connects(self, pod: PodState, other: PodState, port: int) -> bool:
        words = scripts.connects(other.address, port, TRY_SECONDS)
        return self._api.execute(pod.name, first_container(pod), words).code == 0

    def _wait_gone(self, pods: Sequence[PodState]) -> None:
        def gone() -> bool:
            return all(self._is_gone(pod) for pod in pods)

        wait_for(f"end of {_names(pods)}", gone, seconds=GONE_SECONDS, clock=self._clock)

    def _is_gone(self, pod: PodState) -> bool:
        now = self._api.pod(pod.name)
        return now is None or now.uid != pod.uid


def first_container(pod: PodState) -> str | None:
    """The server itself, where helpers stand beside it: of several, Kubernetes wants one named."""
    return pod.containers[0] if pod.containers else None


def container(server: Server) -> str:
    """The name of a server's container: its program's."""
    return server.argv[0].rpartition("/")[2]


def _names(pods: Sequence[PodState]) -> str:
    return ", ".join(pod.name for pod in pods) or "nothing"
