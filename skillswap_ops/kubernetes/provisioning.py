"""Plan, provision and destroy on Kubernetes: Pulumi makes the objects, then the tool's own Job in
the cluster does what objects cannot.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from cluster.clock import SYSTEM_CLOCK
from cluster.errors import InvalidInputError, RefusedError
from cluster.files import write_atomic
from cluster.kubernetes.api import Api, connect
from cluster.kubernetes.labels import namespace
from cluster.layout import Layout
from cluster.plan import Event, Finished, Outcome, Started, Step, todo
from cluster.secrets import SecretStore
from cluster.topology import Topology
from cluster.topology_file import dump_topology, load_topology
from manifests.kubernetes.build import components
from manifests.kubernetes.component import Component
from manifests.kubernetes.volumes import claims
from manifests.pulumi.changes import Change, Verb
from manifests.pulumi.program import program
from manifests.pulumi.stack import Backend, Engine, local_backend, require_engine
from skillswap_ops import console
from skillswap_ops.kubernetes.client import cluster_api
from skillswap_ops.kubernetes.context import blueprint
from skillswap_ops.kubernetes.definitions import defined
from skillswap_ops.options import Selection, confirm
from skillswap_ops.wiring import home_folder, selected_topology

PASSPHRASE = "pulumi-passphrase"  # noqa: S105 - the name of the secret
OTHER = "Not in the topology any more"
SHOWN_VOLUMES = 40


def plan(selection: Selection, state: str | None) -> list[Finished]:
    """What `provision` would do to the objects as they are now, drift included."""
    require_engine()
    topology = _topology(selection)
    refuse_other_tls(_layout(selection, topology), topology)
    found = _components(selection, topology)
    steps = steps_of(found)
    changes = _engine(selection, topology, found, state).preview()
    # Pulumi tells of them as it comes to them, in parallel; a plan is to be the same twice.
    order = {name: number for number, name in enumerate(steps)}
    ordered = sorted(changes, key=lambda each: (order.get(each.key, len(order)), each.key))
    return [finished(steps, change, preview=True) for change in ordered]


def provision(selection: Selection, state: str | None) -> list[Finished]:
    """Make the objects, and wait for the Job that makes a cluster of them."""
    from skillswap_ops.kubernetes.job import follow
    from skillswap_ops.progress import Progress

    require_engine()
    topology = _topology(selection)
    layout = _layout(selection, topology)
    refuse_other_tls(layout, topology)
    found = _components(selection, topology)
    steps = steps_of(found)
    engine = _engine(selection, topology, found, state)
    write_atomic(layout.topology, dump_topology(topology), mode=0o644)
    progress = Progress(steps.values())
    with progress.shown():
        changes = engine.up(_teller(steps, progress.on_event))
    ends = [finished(steps, change, preview=False) for change in changes]
    follow(topology, console.note)
    return ends


def destroy(selection: Selection, state: str | None, *, yes: bool) -> None:
    """Remove every object, after asking; names the volumes."""
    require_engine()
    topology = _topology(selection)
    found = _all(selection, topology)
    engine = _engine(selection, topology, found, state)
    volumes = claims(found)
    shown = ", ".join(volumes[:SHOWN_VOLUMES])
    more = len(volumes) - SHOWN_VOLUMES
    confirm(
        f"This removes every object of {topology.name}, and with them the volume claims "
        f"{shown}{f' and {more} more' if more > 0 else ''}. The storage class keeps their disks, "
        "with nothing that leads to them. Go on?",
        yes=yes,
    )
    changes = engine.destroy(_not_a_word)
    console.say(f"Destroyed: {len(changes)} objects of {topology.name}.")


def _not_a_word(_: Change) -> None:
    """Nothing is told while objects go."""


def refuse_other_tls(layout: Layout, topology: Topology) -> None:
    """Raises RefusedError where pods that take TLS alone would meet those that know none."""
    if not layout.topology.exists():
        return
    if load_topology(layout.topology).tls.enabled is not topology.tls.enabled:
        raise RefusedError(
            f"tls.enabled would change to {str(topology.tls.enabled).lower()}: members could "
            "elect nobody while some have it and some have not",
            f"keep it; for a cluster that is begun anew after `destroy`, remove {layout.topology}",
        )


def steps_of(found: Iterable[Component]) -> dict[str, Step]:
    """A step for each object, so that plans and progress look as they do everywhere."""
    return {
        each.key: _step(each.key, f"{component.idea} {component.name}", f"{each.kind} {each.name}")
        for component in found
        for each in component.objects
    }


def _step(name: str, component: str, what: str) -> Step:
    return Step(name, component, what, lambda: todo("Pulumi knows"), lambda: None)


def finished(steps: dict[str, Step], change: Change, *, preview: bool) -> Finished:
    """A change as an end of its object's step."""
    step = steps.get(change.key) or _step(change.key, OTHER, change.key)
    now = SYSTEM_CLOCK.monotonic()
    outcome = Outcome.UNCHANGED
    if change.verb is not Verb.SAME:
        outcome = Outcome.WOULD_CHANGE if preview else Outcome.CHANGED
    return Finished(step, outcome, change.why, now, now)


def _teller(steps: dict[str, Step], tell: Callable[[Event], None]) -> Callable[[Change], None]:
    """Tells of each object once that it is begun, and once that it is done."""
    begun: set[str] = set()
    over: set[str] = set()

    def take(change: Change) -> None:
        step = steps.get(change.key)
        if step is None:
            return
        if change.key not in begun:
            begun.add(change.key)
            tell(Started(step))
        if change.over and change.key not in over:
            over.add(change.key)
            tell(finished(steps, change, preview=False))

    return take


def _components(selection: Selection, topology: Topology) -> Sequence[Component]:
    """Without what the cluster could not take."""
    return defined(_all(selection, topology), partial(_api, topology), console.say)


def _all(selection: Selection, topology: Topology) -> Sequence[Component]:
    return components(blueprint(topology, _store(selection, topology)))


def _api(topology: Topology, component: Component) -> Api:
    """Of the cluster that a component is made in."""
    dr = topology.kubernetes.dr_cluster
    if component.away and dr:
        return connect(namespace(topology), dr.context)
    return cluster_api(topology)


def _store(selection: Selection, topology: Topology) -> SecretStore:
    return SecretStore(_layout(selection, topology).secrets)


def _layout(selection: Selection, topology: Topology) -> Layout:
    return Layout(home_folder(selection.home) / topology.name)


def _topology(selection: Selection) -> Topology:
    return selected_topology(selection, home_folder(selection.home))


def _engine(
    selection: Selection, topology: Topology, found: Sequence[Component], state: str | None
) -> Engine:
    layout = _layout(selection, topology)
    if (layout.root / "supervisor").is_dir():
        raise InvalidInputError(
            f"{topology.name} is a cluster of the local target in {layout.root}",
            "give the topology another name, or take another --home",
        )
    backend = Backend(
        state or local_backend(layout.root / "pulumi"),
        _store(selection, topology).get(PASSPHRASE),
    )
    away = topology.kubernetes.dr_cluster
    run = program(found, context=topology.kubernetes.context, away=away.context if away else None)
    return Engine(topology.name, backend, run)
