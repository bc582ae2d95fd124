"""What a declaration of a service is made of, and the rules that hold between declarations."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cluster.errors import InvalidInputError
from cluster.problems import NOTHING, Problem, problems_of, suggestion
from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Store

_NAME = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$"
_PATH = r"^/[a-z0-9/_-]*$"
_VARIABLE = r"^[A-Z][A-Z0-9_]*$"
PATTERNS = {
    _NAME: "1 to 31 lower-case letters, digits and inner hyphens, a letter first",
    _PATH: "an absolute path of a URL",
    _VARIABLE: "upper-case letters, digits and underscores, a letter first",
}
Name = Annotated[str, StringConstraints(pattern=_NAME)]
UrlPath = Annotated[str, StringConstraints(pattern=_PATH)]
Variable = Annotated[str, StringConstraints(pattern=_VARIABLE)]

GATEWAY = "gateway"


class Stage(StrEnum):
    """A release of the roadmap (TP2 §2); each one contains those before it."""

    MVP = "mvp"
    V1_1 = "v1.1"
    V1_2 = "v1.2"
    V2_0 = "v2.0"

    @property
    def order(self) -> int:
        """Its place in time."""
        return list(Stage).index(self)

    def holds(self, other: "Stage") -> bool:
        """Whether what came with `other` is there at this stage."""
        return other.order <= self.order


class Model(BaseModel):
    """Frozen, and no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resources(Model):
    """What an instance asks for and may take at most: thousandths of a core, MiB of memory."""

    cpu_request: int = Field(50, ge=1, le=64_000)
    cpu_limit: int = Field(500, ge=1, le=64_000)
    memory_request: int = Field(96, ge=16, le=65_536)
    memory_limit: int = Field(256, ge=16, le=65_536)


class Probe(Model):
    """An HTTP check: seconds between two, seconds for an answer, how many in a row decide."""

    path: UrlPath
    period: float = Field(ge=0.1, le=600)
    timeout: float = Field(1, gt=0, le=60)
    failures: int = Field(ge=1, le=100)
    successes: int = Field(1, ge=1, le=10)


class Probes(Model):
    """Alive (else it is restarted, where the target does so) and ready (else it gets no traffic).

    `startup_seconds` is how long an instance may take until it is ready for the first time.
    """

    alive: Probe = Probe(path="/healthz", period=10, timeout=2, failures=3)
    ready: Probe = Probe(path="/readyz", period=0.5, timeout=1.5, failures=2)
    startup_seconds: float = Field(60, gt=0, le=600)


class Replicas(Model):
    """How many instances, by target."""

    local: int = Field(2, ge=1, le=16)
    kubernetes: int = Field(3, ge=1, le=200)


class Service(Model):
    """One microservice. `owns` and `shares` are collections and tables of the data model.

    What it shares is another service's, which it reads or writes as well. `redis` and `s3` say that
    it needs these too. `depends_on` are the services that it cannot work without; with
    `reaches_all` it also calls every other one that is deployed, and does without one that is not.
    `environment` never holds a secret.
    """

    name: Name
    title: str = Field(min_length=1)
    stage: Stage
    owns: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    redis: bool = False
    s3: bool = False
    depends_on: tuple[Name, ...] = ()
    reaches_all: bool = False
    replicas: Replicas = Replicas()
    resources: Resources = Resources()
    probes: Probes = Probes()
    image: Name = "skillswap-services"
    environment: dict[Variable, str] = {}

    @property
    def entities(self) -> tuple[str, ...]:
        """Everything of the data model that it touches."""
        return (*self.owns, *self.shares)

    def uses(self, store: Store) -> bool:
        """Whether it needs that engine."""
        return any(BY_NAME[name].store is store for name in self.entities)

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores, for people."""
        engines = [store.value for store in Store if self.uses(store)]
        return (*engines, *(["Redis"] if self.redis else []), *(["S3"] if self.s3 else []))


class Catalogue(Model):
    """All services. A service's place in it gives its instances their addresses: append only."""

    services: Annotated[tuple[Service, ...], Field(min_length=1, max_length=80)]

    def named(self, name: str) -> Service:
        """The service of that name. Raises InvalidInputError that names the nearest one."""
        for service in self.services:
            if service.name == name:
                return service
        names = self.names
        raise InvalidInputError(
            f'there is no service "{name}"{suggestion(name, names)}',
            f"services: {', '.join(names)}",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(service.name for service in self.services)

    def place(self, name: str) -> int:
        """Where it stands, from 0."""
        return self.names.index(name)

    def at(self, stage: Stage) -> tuple[Service, ...]:
        """What is there at a stage."""
        return tuple(service for service in self.services if stage.holds(service.stage))

    def dependencies_first(self, names: Iterable[str]) -> tuple[str, ...]:
        """These names, each after those of them that it depends on."""
        wanted = set(names)
        graph = {name: sorted(wanted & {*self.named(name).depends_on}) for name in sorted(wanted)}
        return tuple(TopologicalSorter(graph).static_order())

    @classmethod
    def checked(cls, data: Mapping[str, object]) -> Self:
        """The catalogue in plain data.

        Raises InvalidInputError: a line `sessions.depends_on[0]: reason (got value)` an error.
        """
        plain = json.loads(json.dumps(data, default=_plain))
        try:
            catalogue = cls.model_validate(plain)
        except ValidationError as error:
            problems = problems_of(error, cls, plain, PATTERNS)
        else:
            problems = list(broken_rules(catalogue.services))
        if problems:
            raise InvalidInputError(
                "\n".join(str(_by_name(problem, plain)) for problem in problems),
                "correct it in manifests/services/catalogue.py",
            )
        return catalogue


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no plain data")


def _by_name(problem: Problem, data: Mapping[str, Any]) -> Problem:
    """The problem with its service's name in place of its number."""
    match problem.path:
        case ("services", int(index), *rest):
            name = data["services"][index].get("name")
            return replace(problem, path=(name, *rest)) if isinstance(name, str) else problem
    return problem


def broken_rules(services: Sequence[Service]) -> Iterator[Problem]:
    """What is wrong between declarations that are right by themselves."""
    known = {service.name: service for service in services}
    owners: dict[str, str] = {}
    for index, service in enumerate(services):
        if known[service.name] is not service:
            yield Problem(("services", index, "name"), "is declared twice", service.name)
        yield from _of_dependencies(index, service, known)
        yield from _of_stores(index, service, owners)
        yield from _of_resources(index, service)
    for entity in BY_NAME:
        if entity not in owners:
            yield Problem(("services",), f"no service owns {entity}", NOTHING)
    yield from _of_cycles(services)


def _of_dependencies(
    index: int, service: Service, known: Mapping[str, Service]
) -> Iterator[Problem]:
    for number, name in enumerate(service.depends_on):
        path = ("services", index, "depends_on", number)
        if name == service.name:
            yield Problem(path, "must not be the service itself", name)
        elif name not in known:
            yield Problem(path, f"unknown service{suggestion(name, known)}", name)
        elif not service.stage.holds(known[name].stage):
            yield Problem(
                path,
                f"must be there at stage {service.stage}; it comes with {known[name].stage}",
                name,
            )


def _of_stores(index: int, service: Service, owners: dict[str, str]) -> Iterator[Problem]:
    for field, names in (("owns", service.owns), ("shares", service.shares)):
        for number, name in enumerate(names):
            path = ("services", index, field, number)
            if name not in BY_NAME:
                reason = f"no collection or table of that name{suggestion(name, BY_NAME)}"
                yield Problem(path, reason, name)
                continue
            if service.entities.count(name) > 1:
                yield Problem(path, "is named twice", name)
            if field == "owns" and owners.setdefault(name, service.name) != service.name:
                yield Problem(path, f"has an owner already: {owners[name]}", name)


def _of_resources(index: int, service: Service) -> Iterator[Problem]:
    asked = service.resources
    for what in ("cpu", "memory"):
        request, limit = (getattr(asked, f"{what}_{kind}") for kind in ("request", "limit"))
        if request > limit:
            path = ("services", index, "resources", f"{what}_request")
            yield Problem(path, f"must be at most {what}_limit, {limit}", request)


def _of_cycles(services: Sequence[Service]) -> Iterator[Problem]:
    graph = {
        service.name: [name for name in service.depends_on if name != service.name]
        for service in services
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        loop: list[str] = error.args[1]
        yield Problem(("services",), f"depend on each other: {' → '.join(reversed(loop))}")
