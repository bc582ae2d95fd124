"""Deploys services on the local target: every change of what is deployed goes through here.

A change is written into the state file, then the same steps are run that `provision` runs; they
look at what is there. So whatever was killed is taken up by the next command, whichever it is.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cluster.errors import InvalidInputError
from cluster.local.steps import start_steps, supervisor_step
from cluster.lock import exclusive
from cluster.plan import (
    Event,
    Finished,
    Outcome,
    Step,
    execute,
    preview,
)
from cluster.server import Server
from manifests import objects
from manifests.services import (
    edge,
    executor,
    images,
    instances,
    places,
    planning,
    releases,
)
from manifests.services.catalogue import CATALOGUE
from manifests.services.executor import Book
from manifests.services.images import Image
from manifests.services.model import Stage
from manifests.services.releases import Releases, Value
from skillswap_ops import service_steps
from skillswap_ops.provisioning import check_machine
from skillswap_ops.schema import schema_steps
from skillswap_ops.service_stores import stores
from skillswap_ops.stepping import raise_failures
from skillswap_ops.wiring import LocalContext

AGAIN = "the same command again goes on from here"
SERVICES_AT_ONCE = 4  # of a rollout: two cores start four Pythons in about four seconds

Say = Callable[[str], None]
OnSteps = Callable[[Sequence[Step]], Callable[[Event], None]]


@dataclass(frozen=True)
class Intent:
    """What a command wants: how it changes the state, and which images it brings.

    `services` are those that it is about; None: all that are deployed. `data_model` asks for the
    steps of `schema apply` before any service starts.
    """

    command: str
    change: Callable[[Releases], Releases]
    images: tuple[Image, ...] = ()
    data_model: bool = False
    services: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Work:
    """A cluster, what it says meanwhile, and how its steps are shown."""

    context: LocalContext
    say: Say
    on_steps: OnSteps


def deployment(
    context: LocalContext, stage: Stage, image: Path | None, replicas: Mapping[str, int]
) -> Intent:
    """`services deploy`."""
    python = context.programs.python()
    default = images.resolve(None, python)
    given = images.resolve(image, python) if image else None
    now = datetime.now(UTC)
    return Intent(
        "services deploy",
        lambda found: planning.deploy(found, CATALOGUE, stage, given, replicas, now, default),
        tuple(filter(None, (given, default))),
        data_model=True,
    )


def rollout(
    context: LocalContext,
    service: str | None,
    image: Path | None,
    settings: Mapping[str, Value],
) -> Intent:
    """`services rollout`: one service, or all that are deployed (None)."""
    instances.check_settings(settings)
    if service:
        CATALOGUE.named(service)
    given = images.resolve(image, context.programs.python())
    now = datetime.now(UTC)

    def change(found: Releases) -> Releases:
        names = [service] if service else _deployed(found)
        return planning.rollout(found, names, given, settings, now)

    about = (service,) if service else None
    return Intent("services rollout", change, (given,), services=about)


def rollback(service: str, to: int | None) -> Intent:
    """`services rollback`."""
    CATALOGUE.named(service)
    now = datetime.now(UTC)
    return Intent(
        "services rollback",
        lambda found: planning.rollback(found, service, to, now),
        services=(service,),
    )


def scaling(replicas: Mapping[str, int]) -> Intent:
    """`services scale`."""
    for name in replicas:
        CATALOGUE.named(name)
    return Intent(
        "services scale", lambda found: planning.scale(found, replicas), services=tuple(replicas)
    )


def _deployed(found: Releases) -> list[str]:
    names = [name for name, release in found.services.items() if release.current is not None]
    if not names:
        raise InvalidInputError(
            "no service is deployed", "`skillswap-ops services deploy --stage mvp` deploys them"
        )
    return names


def plan(context: LocalContext, intent: Intent) -> list[Finished]:
    """What the command would do. Changes nothing; what was left half done is finished first."""
    found = releases.load(context.layout.releases)
    meant = intent.change(planning.closed(found))
    book = Book(context.layout.releases, meant)
    return preview(_steps(context, book, intent, lambda _: None))


def carry_out(work: Work, intent: Intent) -> Releases:
    """Do it; returns what is deployed now.

    Raises OpsError where a service did not become what it should: a new revision was taken back
    then. A change that an earlier command left half done is finished, or taken back, before.
    """
    context = work.context
    with exclusive(context.layout.lock, intent.command):
        book = Book(context.layout.releases, releases.load(context.layout.releases))
        _finish_earlier(work, book, intent)
        meant = intent.change(book.releases)
        check_machine(context, _servers(context, meant))
        book.write(meant)
        raise_failures(_run(work, book, _steps(context, book, intent, work.say)), AGAIN)
        return book.releases


def _finish_earlier(work: Work, book: Book, intent: Intent) -> None:
    change = book.releases.change
    if change is None:
        return
    work.say(f"finishing what was interrupted: {change.what}")
    steps = _steps(work.context, book, replace(intent, services=None), work.say)
    ends = _run(work, book, steps)
    if book.releases.change is not None:
        raise_failures(ends, AGAIN)
    for end in ends:
        if end.outcome is Outcome.FAILED:
            work.say(f"{end.step.what}: {end.why}")


def _run(work: Work, book: Book, steps: Sequence[Step]) -> list[Finished]:
    """The steps of a change, and what a failure asks for; then the change is closed.

    What could not be brought to its end stays open, and is taken up by the next command.
    """
    ends = execute(steps, work.on_steps(steps), workers=_workers(book.releases))
    service_steps.close(work.context, book, ends, work.say)
    return ends


def _workers(found: Releases) -> int:
    return SERVICES_AT_ONCE if found.change and found.change.whole else 16


def _steps(context: LocalContext, book: Book, intent: Intent, say: Say) -> tuple[Step, ...]:
    """Supervision, the object store with its buckets, the data model, and the services."""
    model = schema_steps(context, prune=False) if intent.data_model else ()
    store = (
        *start_steps(context.target, objects.servers(context)),
        *objects.steps(context),
    )
    return (
        supervisor_step(context.target, context.clock),
        *store,
        *model,
        *service_steps.steps(
            context,
            book,
            say,
            intent.images,
            tuple(step.name for step in (*store, *model)),
            intent.services,
        ),
    )


def _servers(context: LocalContext, found: Releases) -> tuple[Server, ...]:
    ways = stores(context)
    return (
        *edge.servers(context, found.replicas),
        *(
            server
            for name in found.services
            for server in instances.servers(context, ways, found, name).values()
        ),
    )


# Undeploy


def undeploy(context: LocalContext) -> int:
    """Stop and remove every service, its proxies, its code and its secrets; how many instances.

    Data stays: it is the cluster's. Idempotent.
    """
    with exclusive(context.layout.lock, "services undeploy"):
        found = releases.load(context.layout.releases)
        if found.services:
            releases.save(context.layout.releases, planning.retired(found))
        nodes = [
            places.instance(context.topology, name, number)
            for name in found.services
            for number in (*range(1, executor.MOST + 1), places.CANARY)
        ]
        there = [node for node in nodes if context.layout.node(node).exists()]
        with ThreadPoolExecutor(16, thread_name_prefix="undeploy") as pool:
            list(pool.map(lambda node: context.target.forget(instances.blank(node)), there))
        proxies = places.proxies(context.topology)
        for node in proxies:
            context.target.forget(instances.blank(node))
        for node in (*nodes, *proxies):
            for log in context.layout.log(node.name).parent.glob(f"{node.name}.log*"):
                log.unlink()
        images.prune(context.layout.images, ())
        if context.layout.images.is_dir():
            context.layout.images.rmdir()
        context.secrets.forget(instances.SECRETS)
        context.layout.releases.unlink(missing_ok=True)  # last: an interrupted one goes on
        return len(there)
