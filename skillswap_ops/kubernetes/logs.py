"""`logs` on Kubernetes: of a pod, a container (`pg1-0/pgbouncer`), or all pods of a workload."""

import click

from cluster.errors import InvalidInputError
from cluster.kubernetes.api import Api, PodState
from cluster.kubernetes.labels import INSTANCE
from cluster.kubernetes.target import first_container
from cluster.problems import suggestion
from skillswap_ops.kubernetes.client import JOB_LABEL, cluster_api
from skillswap_ops.options import Selection
from skillswap_ops.wiring import home_folder, selected_topology


def print_logs(selection: Selection, name: str, lines: int, *, follow: bool) -> None:
    """The end of each log. Raises InvalidInputError where nothing has that name.

    Several pods can be looked at, but only one followed.
    """
    api = cluster_api(selected_topology(selection, home_folder(selection.home)))
    chosen, _, container = name.partition("/")
    pods = named(api, chosen)
    if follow and len(pods) > 1:
        raise InvalidInputError(
            f"{chosen} is {len(pods)} pods, and one can be followed",
            f"name one of {', '.join(pod.name for pod in pods)}",
        )
    for pod in pods:
        part = container or first_container(pod)
        prefix = f"{pod.name} | " if len(pods) > 1 else ""
        found = (
            api.follow(pod.name, part, lines)
            if follow
            else api.logs(pod.name, part, lines).splitlines()
        )
        for line in found:
            click.echo(prefix + line)


def named(api: Api, name: str) -> tuple[PodState, ...]:
    """The pod of that name, or the pods of the workload."""
    pod = api.pod(name)
    if pod is not None:
        return (pod,)
    if found := api.pods({JOB_LABEL: name}):
        return found
    for instance in (name, f"service-{name}"):
        if found := api.pods({INSTANCE: instance}):
            return found
    known = sorted({each.name for each in api.pods()})
    raise InvalidInputError(
        f"there is no pod or workload {name}{suggestion(name, known)}",
        f"there are: {', '.join(known) or 'none'}",
    )
