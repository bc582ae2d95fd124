"""`services rollout` and `services status` on Kubernetes: Deployments, and what becomes of them.

Kubernetes replaces instances one by one and takes none away before its successor is ready. Where
that does not come about in time, the image from before is put back, and the command says why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.errors import InvalidInputError, OpsError
from cluster.kubernetes.api import Api
from manifests.kubernetes.names import service_name
from manifests.services.catalogue import CATALOGUE

ROLLOUT_SECONDS = 300.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Rolled:
    """A Deployment as its controller sees it."""

    name: str
    image: str
    wanted: int
    ready: int
    updated: int
    seen: bool
    stuck: str

    @property
    def complete(self) -> bool:
        """Whether every instance is a new one, ready, and no old one is left."""
        return self.seen and not self.stuck and self.updated == self.ready == self.wanted


def parse(data: Mapping[str, Any]) -> Rolled:
    """A Deployment's data. `stuck` is why its controller has given up."""
    status, spec = data.get("status", {}), data["spec"]
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    progress = conditions.get("Progressing", {})
    failed = progress.get("status") == "False"
    replicas = status.get("replicas", 0)
    wanted = spec.get("replicas", 1)
    return Rolled(
        name=data["metadata"]["name"],
        image=spec["template"]["spec"]["containers"][0]["image"],
        wanted=wanted,
        ready=status.get("readyReplicas", 0) if replicas == wanted else 0,
        updated=status.get("updatedReplicas", 0),
        seen=status.get("observedGeneration", 0) >= data["metadata"].get("generation", 0),
        stuck=str(progress.get("message", "")) if failed else "",
    )


def look(api: Api, service: str) -> Rolled:
    """A service's Deployment. Raises InvalidInputError where there is none."""
    name = service_name(CATALOGUE.named(service).name)
    data = api.deployment(name)
    if data is None:
        raise InvalidInputError(
            f"there is no deployment {name} in {api.namespace}", "`provision --target kubernetes`"
        )
    return parse(data)


def rollout(
    api: Api,
    services: Sequence[str],
    image: str,
    say: Callable[[str], None],
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Give these services the image, one after the other. Raises OpsError where one goes back."""
    for service in services:
        before = look(api, service)
        if before.image == image and before.complete:
            say(f"{service}: runs {image} already")
            continue
        say(f"{service}: {before.image} → {image}")
        _change(api, before.name, service, image)
        reason = _wait(api, service, clock)
        if reason:
            _change(api, before.name, service, before.image)
            raise OpsError(
                f"{service}: {image} did not get ready: {reason}; back to {before.image}",
                f"`skillswap-ops logs {service} --target kubernetes` says more",
            )
        say(f"{service}: {before.wanted} ready")


def _change(api: Api, name: str, service: str, image: str) -> None:
    container = {"name": service, "image": image}
    api.patch_deployment(name, {"spec": {"template": {"spec": {"containers": [container]}}}})


def _wait(api: Api, service: str, clock: Clock) -> str:
    """Why it is not complete in time; empty where it is."""
    deadline = clock.monotonic() + ROLLOUT_SECONDS
    while clock.monotonic() < deadline:
        now = look(api, service)
        if now.complete:
            return ""
        if now.seen and now.stuck:
            return now.stuck
        clock.sleep(LOOK_SECONDS)
    return f"not within {ROLLOUT_SECONDS:g} s"
