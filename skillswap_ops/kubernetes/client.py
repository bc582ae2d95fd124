"""The cluster that a topology names, for commands: its API, and the tool's Job in it."""

from collections.abc import Callable

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.errors import OpsError, UnreachableError
from cluster.kubernetes.api import Api, PodState, connect
from cluster.kubernetes.labels import namespace
from cluster.topology import Topology

SHOWN_LINES = 15
LOOK_SECONDS = 1.0
JOB_LABEL = "batch.kubernetes.io/job-name"

Say = Callable[[str], None]


def cluster_api(topology: Topology) -> Api:
    """Raises MissingPrerequisiteError where no cluster is configured."""
    return connect(namespace(topology), topology.kubernetes.context)


def wait_for_job(
    api: Api, name: str, say: Say, seconds: float, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Pass on what a job's pods print until one of them succeeds.

    Raises OpsError with the last lines where the job has failed, UnreachableError after `seconds`.
    """
    deadline = clock.monotonic() + seconds
    told: dict[str, int] = {}
    while clock.monotonic() < deadline:
        state = api.job(name)
        if state is None:
            raise OpsError(f"there is no job {name}", "`provision` makes it")
        pods = api.pods({JOB_LABEL: name})
        for pod in pods:
            _pass_on(api, pod, told, say)
        if state.complete:
            return
        if state.failed:
            raise OpsError(f"job {name} failed: {state.why}", _last_words(api, pods))
        clock.sleep(LOOK_SECONDS)
    raise UnreachableError(
        f"job {name} did not end within {seconds:g} s", "look at `logs provision`"
    )


def _pass_on(api: Api, pod: PodState, told: dict[str, int], say: Say) -> None:
    if pod.phase == "Pending":
        return
    lines = api.logs(pod.name, None, None).splitlines()
    for line in lines[told.get(pod.name, 0) :]:
        say(f"  {line}")
    told[pod.name] = len(lines)


def _last_words(api: Api, pods: tuple[PodState, ...]) -> str:
    if not pods:
        return "no pod of it was ever there"
    lines = api.logs(pods[-1].name, None, SHOWN_LINES).splitlines()
    return "\n       ".join(lines)
