"""The steps that make the services what the state file says: of `provision` and of deployments."""

from collections.abc import Callable, Collection, Iterable, Sequence

from cluster.clock import wait_for
from cluster.errors import OpsError, UnreachableError
from cluster.local.steps import SUPERVISOR_STEP, start_steps
from cluster.plan import Finding, Finished, Outcome, Step, done, todo
from cluster.web import request
from manifests.services import edge, executor, images, places, planning
from manifests.services.catalogue import CATALOGUE
from manifests.services.executor import Book, Desk
from manifests.services.images import Image
from manifests.services.model import GATEWAY
from manifests.services.releases import Releases
from skillswap_ops.service_stores import stores
from skillswap_ops.wiring import LocalContext

PUBLIC_STEP = "public API"
PUBLIC_SECONDS = 30

Say = Callable[[str], None]


def steps(
    context: LocalContext,
    book: Book,
    say: Say,
    brought: Sequence[Image] = (),
    needs: Sequence[str] = (),
    only: Collection[str] | None = None,
) -> tuple[Step, ...]:
    """What makes the services (or `only` those) as the state says.

    They need the supervisor's step and `needs`.
    """
    found = book.releases
    if not found.services:
        return ()
    names = found.services if only is None else only
    desk = _desk(context, book, say)
    code = _image_steps(context, found, brought)
    proxies = start_steps(context.target, edge.servers(context, found.replicas))
    before = [step.name for step in (*code, *proxies)] + [SUPERVISOR_STEP, *needs]
    rows = []
    for name in CATALOGUE.dependencies_first(names):
        after = [
            executor.step_name(other)
            for other in CATALOGUE.named(name).depends_on
            if other in names
        ]
        rows.append(executor.step(desk, name, (*before, *after)))
    public = [_public_step(context, rows)] if GATEWAY in names else []
    return (*code, *proxies, *rows, *public)


def _desk(context: LocalContext, book: Book, say: Say) -> Desk:
    return Desk(context, context.target, stores(context), book, say)


def _image_steps(
    context: LocalContext, found: Releases, brought: Sequence[Image]
) -> tuple[Step, ...]:
    """The code of everything that runs, or is to run."""
    at_hand = {image.version: image for image in brought}
    versions = {
        revision.version: None
        for release in found.services.values()
        for revision in map(release.revision, (release.current, release.goal))
        if revision is not None
    }
    place = context.layout.images
    return tuple(
        images.step(at_hand[version], place)
        if version in at_hand
        else images.missing_step(version, place)
        for version in versions
    )


def _public_step(context: LocalContext, services: Sequence[Step]) -> Step:
    """The gateway answers through every proxy."""
    gateway = CATALOGUE.named(GATEWAY)
    nodes = places.proxies(context.topology)

    def check() -> Finding:
        for node in nodes:
            path = gateway.probes.alive.path
            try:
                answer = request(node.address, places.PORT, "GET", path, trust=context.trust)
            except UnreachableError as error:
                return todo(error.message)
            if not answer.ok:
                return todo(f"{node.name} answers {answer.status}")
        return done(f"answers through {' and '.join(node.name for node in nodes)}")

    def act() -> None:
        def ready() -> bool:
            finding = check()
            if not finding.done:
                raise UnreachableError(finding.why)
            return True

        wait_for("the public API", ready, seconds=PUBLIC_SECONDS, clock=context.clock)

    return Step(
        PUBLIC_STEP,
        edge.COMPONENT,
        "answer through every proxy",
        check,
        act,
        tuple(step.name for step in services),
    )


def close(context: LocalContext, book: Book, ends: Iterable[Finished], say: Say) -> None:
    """After the steps: send back what they did not reach, and write down what came of it."""
    change = book.releases.change
    if change is None:
        return
    outcomes = {end.step.name: end for end in ends}
    for name in change.services:
        end = outcomes.get(executor.step_name(name))
        if end is not None and end.outcome is Outcome.SKIPPED:
            book.fail(name, end.why)
    desk = _desk(context, book, say)
    change = book.releases.change or change
    if change.failed:
        for name in reversed(CATALOGUE.dependencies_first(change.services)):
            _settle(desk, name)
    if not any(executor.due(desk, name) for name in change.services):
        book.write(planning.closed(book.releases))
        images.prune(context.layout.images, book.releases.versions)


def _settle(desk: Desk, name: str) -> None:
    """Take it back; where that fails too, say so, and let the change stay open."""
    try:
        executor.settle(desk, name)
    except OpsError as error:
        desk.say(f"{name} cannot go back: {error.message}")
