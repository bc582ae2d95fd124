"""The few calls of Kubernetes' API that the tool makes, with its errors mapped once."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import urllib3
from kubernetes import client, config, stream, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDOUT_CHANNEL
from websocket import ABNF, WebSocketException

from cluster.errors import MissingPrerequisiteError, OpsError, RefusedError, UnreachableError
from cluster.kubernetes.labels import REGION, ZONE
from cluster.target import ToolResult

SECONDS = 10.0
GONE, DENIED, CONFLICT, TOO_MANY = 404, (401, 403), 409, 429


@dataclass(frozen=True)
class PodState:
    """A pod as Kubernetes sees it. `uid` tells it from its successor of the same name."""

    name: str
    uid: str
    phase: str
    ready: bool
    node: str
    address: str
    labels: Mapping[str, str]
    restarts: int
    why: str
    revision: str
    ending: bool
    containers: tuple[str, ...] = ()
    exit_code: int | None = None  # of its first container, once it has ended

    @property
    def running(self) -> bool:
        """Whether its containers run."""
        return self.phase == "Running" and not self.ending


@dataclass(frozen=True)
class Machine:
    """A node of the Kubernetes cluster."""

    name: str
    zone: str
    region: str
    schedulable: bool


@dataclass(frozen=True)
class JobState:
    """How far a job is; `failed`: no pod of it is tried any more."""

    complete: bool
    failed: bool
    why: str = ""


class Api:
    """A namespace of a cluster.

    Every call may raise UnreachableError (nobody answers), MissingPrerequisiteError (no right to)
    or OpsError (what the API says).
    """

    def __init__(self, namespace: str, connection: client.ApiClient) -> None:
        self.namespace = namespace
        self._connection: Any = connection
        self._core: Any = client.CoreV1Api(connection)
        self._apps: Any = client.AppsV1Api(connection)
        self._batch: Any = client.BatchV1Api(connection)

    # Pods

    def pods(self, selector: Mapping[str, str] | None = None) -> tuple[PodState, ...]:
        """The pods with these labels."""
        with _mapped("list pods"):
            found = self._core.list_namespaced_pod(
                self.namespace, label_selector=_selector(selector), _request_timeout=SECONDS
            )
        return tuple(_pod(item) for item in found.items)

    def pod(self, name: str) -> PodState | None:
        """The pod of that name, or None."""
        with _mapped(f"read pod {name}", absent=True):
            return _pod(
                self._core.read_namespaced_pod(name, self.namespace, _request_timeout=SECONDS)
            )
        return None

    def delete_pod(self, pod: PodState, grace_seconds: int | None = None) -> None:
        """Delete this very pod, not one that took its name. Idempotent."""
        options = client.V1DeleteOptions(
            grace_period_seconds=grace_seconds, preconditions=client.V1Preconditions(uid=pod.uid)
        )
        with _mapped(f"delete pod {pod.name}", absent=True, conflict=True):
            self._core.delete_namespaced_pod(
                pod.name, self.namespace, body=options, _request_timeout=SECONDS
            )

    def evict(self, pod: PodState) -> bool:
        """Ask it away; False where a disruption budget says not now."""
        body = client.V1Eviction(
            metadata=client.V1ObjectMeta(name=pod.name, namespace=self.namespace)
        )
        try:
            with _mapped(f"evict {pod.name}", absent=True):
                self._core.create_namespaced_pod_eviction(
                    pod.name, self.namespace, body, _request_timeout=SECONDS
                )
        except RefusedError:
            return False
        return True

    def label_pod(self, name: str, labels: Mapping[str, str | None]) -> None:
        """Set labels of a pod; None takes one away."""
        with _mapped(f"label pod {name}"):
            self._core.patch_namespaced_pod(
                name,
                self.namespace,
                {"metadata": {"labels": dict(labels)}},
                _request_timeout=SECONDS,
            )

    def logs(self, pod: str, container: str | None, lines: int | None) -> str:
        """The end of a container's log."""
        with _mapped(f"read the log of {pod}"):
            return str(
                self._core.read_namespaced_pod_log(
                    pod,
                    self.namespace,
                    container=container,
                    tail_lines=lines,
                    _request_timeout=SECONDS,
                )
            )

    def follow(self, pod: str, container: str | None, lines: int | None) -> Iterator[str]:
        """A container's log from its last `lines` on, until it ends."""
        with _mapped(f"follow the log of {pod}"):
            watching: Any = watch
            yield from watching.Watch().stream(
                self._core.read_namespaced_pod_log,
                pod,
                self.namespace,
                container=container,
                follow=True,
                tail_lines=lines,
            )

    def execute(
        self,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        text: str | None = None,
        seconds: float = 60,
    ) -> ToolResult:
        """Run a program in a container; `text` is its standard input."""
        with _mapped(f"run {argv[0]} in {pod}"):
            session = stream.stream(
                self._apart().connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                command=list(argv),
                container=container,
                stdin=text is not None,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
            )
            if text is not None:
                session.write_stdin(text)
            session.run_forever(timeout=seconds)
            if session.is_open():
                session.close()
                raise UnreachableError(f"{argv[0]} in {pod} did not end within {seconds:g} s")
            code = session.returncode
            return ToolResult(
                -1 if code is None else int(code), session.read_stdout(), session.read_stderr()
            )

    def converse(
        self,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        *,
        out: Callable[[str], None],
        err: Callable[[str], None],
        seconds: float,
    ) -> int:
        """Run a program in a container and pass on what it prints as it comes; its exit code."""
        with _mapped(f"run {argv[0]} in {pod}"):
            session = stream.stream(
                self._apart().connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                command=list(argv),
                container=container,
                stdin=False,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
                _request_timeout=seconds,
            )
            while session.is_open():
                session.update(timeout=1)
                if session.peek_stdout():
                    out(session.read_stdout())
                if session.peek_stderr():
                    err(session.read_stderr())
            code = session.returncode
        if code is None:
            raise UnreachableError(f"the connection to {pod} was lost", "run the command again")
        return int(code)

    def download(
        self,
        pod: str,
        container: str | None,
        argv: Sequence[str],
        take: Callable[[bytes], object],
        seconds: float,
    ) -> int:
        """Run a program in a container and pass its output on, byte for byte; its exit code.

        `seconds` is the longest silence. Raises UnreachableError where it is cut off.
        """
        with _mapped(f"run {argv[0]} in {pod}"):
            session = stream.stream(
                self._apart().connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                command=list(argv),
                container=container,
                stdin=False,
                stdout=True,
                stderr=False,
                tty=False,
                binary=True,
                _preload_content=False,
                _request_timeout=seconds,
            )
            ended = _take_all(session.sock, take, seconds)
            session.sock.shutdown()
        code = _exit_code(ended)
        if code is None:
            raise UnreachableError(f"{argv[0]} in {pod} was cut off", "run the command again")
        return code

    def _apart(self) -> Any:
        """A client for one session: it is turned into a WebSocket while it lasts, for every caller
        of it, and steps run beside each other.
        """
        return client.CoreV1Api(client.ApiClient(self._connection.configuration))

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster knows objects of this kind (`group/version`)."""
        group, _, version = api_version.rpartition("/")
        with _mapped(f"ask for {api_version}", absent=True):
            found = client.CustomObjectsApi(self._connection).get_api_resources(
                group, version, _request_timeout=SECONDS
            )
            return any(each.kind == kind for each in found.resources)
        return False

    # Claims, machines, workloads

    def delete_claim(self, name: str) -> None:
        """Delete a volume claim; it goes when no pod holds it any more. Idempotent."""
        with _mapped(f"delete claim {name}", absent=True):
            self._core.delete_namespaced_persistent_volume_claim(
                name, self.namespace, _request_timeout=SECONDS
            )

    def claim_uid(self, name: str) -> str | None:
        """What tells a claim from its successor; None where there is none."""
        with _mapped(f"read claim {name}", absent=True):
            found = self._core.read_namespaced_persistent_volume_claim(
                name, self.namespace, _request_timeout=SECONDS
            )
            return str(found.metadata.uid)
        return None

    def machines(self) -> tuple[Machine, ...]:
        """The cluster's machines."""
        with _mapped("list nodes"):
            found = self._core.list_node(_request_timeout=SECONDS)
        return tuple(_machine(item) for item in found.items)

    def cordon(self, machine: str, *, away: bool) -> None:
        """Let no new pod come to a machine (`away`), or let them come again. Idempotent."""
        with _mapped(f"{'cordon' if away else 'uncordon'} {machine}"):
            body = {"spec": {"unschedulable": away}}
            self._core.patch_node(machine, body, _request_timeout=SECONDS)

    def revision(self, stateful_set: str) -> str | None:
        """The revision that a stateful set's pods should have."""
        with _mapped(f"read stateful set {stateful_set}", absent=True):
            found = self._apps.read_namespaced_stateful_set(
                stateful_set, self.namespace, _request_timeout=SECONDS
            )
            return str(found.status.update_revision or "")
        return None

    def job(self, name: str) -> JobState | None:
        """How far a job is; None where there is none."""
        with _mapped(f"read job {name}", absent=True):
            found = self._batch.read_namespaced_job(name, self.namespace, _request_timeout=SECONDS)
            return _job(found)
        return None

    def start_job(self, cron_job: str, name: str, argv: Sequence[str]) -> None:
        """A job as a cron job would make it, now and with other words."""
        with _mapped(f"start a job of {cron_job}"):
            found = self._batch.read_namespaced_cron_job(
                cron_job, self.namespace, _request_timeout=SECONDS
            )
            spec = self._connection.sanitize_for_serialization(found.spec.job_template.spec)
            spec["template"]["spec"]["containers"][0]["command"] = list(argv)
            labels = dict(found.metadata.labels or {})
            body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
            self._batch.create_namespaced_job(self.namespace, body, _request_timeout=SECONDS)

    def patch_deployment(self, name: str, body: Mapping[str, Any]) -> None:
        """Change a deployment."""
        with _mapped(f"change deployment {name}"):
            self._apps.patch_namespaced_deployment(
                name, self.namespace, dict(body), _request_timeout=SECONDS
            )

    def deployment(self, name: str) -> Mapping[str, Any] | None:
        """A deployment; None where there is none."""
        with _mapped(f"read deployment {name}", absent=True):
            found = self._apps.read_namespaced_deployment(
                name, self.namespace, _request_timeout=SECONDS
            )
            plain: Mapping[str, Any] = self._connection.sanitize_for_serialization(found)
            return plain
        return None


def connect(namespace: str, context: str | None = None) -> Api:
    """The API as a pod sees it, else the kubeconfig's. Raises MissingPrerequisiteError: neither."""
    loader: Any = config  # the package types its calls in some of its versions
    settings = client.Configuration()
    try:
        try:
            loader.load_incluster_config(client_configuration=settings)
        except ConfigException:
            # Looked up now: the package has read the variable when it was imported.
            file = os.environ.get("KUBECONFIG") or None
            loader.load_kube_config(file, context=context, client_configuration=settings)
    except ConfigException as error:
        raise MissingPrerequisiteError(
            f"no Kubernetes cluster is configured: {error}",
            "set KUBECONFIG, or `kubernetes.context` in the topology file",
        ) from error
    settings.retries = False
    return Api(namespace, client.ApiClient(settings))


@contextmanager
def _mapped(what: str, *, absent: bool = False, conflict: bool = False) -> Iterator[None]:
    """Errors of the API as ours; `absent`, `conflict`: these two are no errors."""
    try:
        yield
    except ApiException as error:
        if (error.status == GONE and absent) or (error.status == CONFLICT and conflict):
            return
        raise _told(what, error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(
            f"cannot {what}: Kubernetes' API does not answer: {error}"
        ) from error


def _told(what: str, error: ApiException) -> OpsError:
    reason = str(error.reason or "").strip() or f"HTTP {error.status}"
    if error.status in DENIED:
        return MissingPrerequisiteError(
            f"not allowed to {what} ({reason})", "use an account that has the tool's role"
        )
    if error.status == TOO_MANY:
        return RefusedError(f"cannot {what} now: a disruption budget forbids it")
    return OpsError(f"cannot {what}: {reason}: {_message(error)}")


def _message(error: ApiException) -> str:
    text = error.body if isinstance(error.body, str) else ""
    start = text.find('"message":"')
    return text[start + 11 :].partition('"')[0][:300] if start >= 0 else text[:300]


def _selector(labels: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _pod(item: Any) -> PodState:
    status, spec, meta = item.status, item.spec, item.metadata
    conditions = {each.type: each.status == "True" for each in status.conditions or ()}
    states = list(status.container_statuses or ())
    waiting = [each.state.waiting for each in states if each.state and each.state.waiting]
    ended = [each.state.terminated for each in states if each.state and each.state.terminated]
    labels = dict(meta.labels or {})
    return PodState(
        name=meta.name,
        uid=meta.uid,
        phase=status.phase or "Unknown",
        ready=conditions.get("Ready", False),
        node=spec.node_name or "",
        address=status.pod_ip or "",
        labels=labels,
        restarts=sum(each.restart_count for each in states),
        why=next((each.reason for each in waiting if each.reason), status.reason or ""),
        revision=labels.get("controller-revision-hash", ""),
        ending=meta.deletion_timestamp is not None,
        containers=tuple(each.name for each in spec.containers or ()),
        exit_code=ended[0].exit_code if ended else None,
    )


def _job(item: Any) -> JobState:
    held = {each.type: each for each in item.status.conditions or () if each.status == "True"}
    failed = held.get("Failed")
    why = f"{failed.reason}: {failed.message}" if failed else ""
    return JobState("Complete" in held, failed is not None, why)


def _machine(item: Any) -> Machine:
    labels = item.metadata.labels or {}
    return Machine(
        item.metadata.name,
        labels.get(ZONE, ""),
        labels.get(REGION, ""),
        not item.spec.unschedulable,
    )


def _take_all(sock: Any, take: Callable[[bytes], object], seconds: float) -> bytes:
    """Pass on what a program prints, a frame at a time; what Kubernetes says of its end.

    Not by the client's own `update`, which reads as long as there is something to read: a program
    that is faster than `take` would fill the memory.
    """
    ended = b""
    sock.settimeout(seconds)
    with suppress(WebSocketException):  # cut off: then nothing was said of the end
        while True:
            code, frame = sock.recv_data_frame(control_frame=True)
            if code == ABNF.OPCODE_CLOSE:
                break
            if code not in {ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT} or not frame.data:
                continue
            channel, data = frame.data[0], frame.data[1:]
            if channel == STDOUT_CHANNEL:
                take(data)
            elif channel == ERROR_CHANNEL:
                ended += data
    return ended


def _exit_code(status: bytes) -> int | None:
    """What Kubernetes says of a program that has ended; None where it says nothing."""
    try:
        said = json.loads(status)
    except ValueError:
        return None
    if said.get("status") == "Success":
        return 0
    causes = said.get("details", {}).get("causes", ())
    codes = [one["message"] for one in causes if one.get("reason") == "ExitCode"]
    return int(codes[0]) if codes else -1
