"""Decides what a change does, and which instance is to be touched next. Pure: no server is asked.

The executor looks at the instances, asks `next_moves`, does them, and looks again until there are
none. Nothing is remembered between two looks but the state file, so a command that was killed
anywhere is taken up by looking.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cluster.errors import InvalidInputError
from manifests.services.images import Image
from manifests.services.model import Catalogue, Stage
from manifests.services.places import CANARY
from manifests.services.releases import (
    KEPT,
    Change,
    Outcome,
    Release,
    Releases,
    Revision,
    Value,
)

# Changes


def deploy(
    releases: Releases,
    catalogue: Catalogue,
    stage: Stage,
    image: Image | None,
    replicas: Mapping[str, int],
    now: datetime,
    default: Image,
) -> Releases:
    """Every service of the stage, with `image` where one is asked for.

    Without one, what runs stays as it is and only new services get the `default`. A stage that is
    part of what is deployed takes nothing away.
    """
    services = dict(releases.services)
    for service in catalogue.at(stage):
        old = services.get(service.name, Release(replicas=service.replicas.local))
        wanted = replicas.get(service.name, old.replicas)
        release = old.model_copy(update={"replicas": wanted})
        last = release.revision(release.current)
        if last is None:
            release = _with_goal(release, _draft(image or default, {}, now))
        elif image is not None:
            release = _with_goal(release, _draft(image, last.settings, now))
        services[service.name] = release
    for name in replicas:
        if name not in services:
            raise InvalidInputError(
                f"--replicas {name}: it does not belong to stage {stage}",
                f"services: {', '.join(services)}",
            )
    upto = max(filter(None, (releases.upto, stage)), key=lambda each: each.order)
    return _begun(releases, services, upto, f"deploy --stage {stage}", whole=False)


def rollout(
    releases: Releases,
    names: Iterable[str],
    image: Image,
    settings: Mapping[str, Value],
    now: datetime,
) -> Releases:
    """These services with the image, and with settings that replace those of the same path."""
    services = dict(releases.services)
    for name in names:
        last = _live(releases, name)
        changed = {**last.settings, **settings}
        services[name] = _with_goal(services[name], _draft(image, changed, now))
    return _begun(releases, services, releases.upto, "rollout", whole=True)


def rollback(releases: Releases, name: str, to: int | None, now: datetime) -> Releases:
    """The service as it was in revision `to`, or before the live one. Replicas stay.

    Raises InvalidInputError where there is no such revision that was ever live.
    """
    last = _live(releases, name)
    release = releases.services[name]
    others = [
        each
        for each in release.revisions
        if each.outcome is Outcome.LIVE and each.number != last.number
    ]
    fits = [
        each
        for each in others
        if each.number == to or (to is None and each.number < last.number and _differ(each, last))
    ]
    if not fits:
        raise InvalidInputError(
            f"{name} has no revision {to} to go back to"
            if to
            else f"{name} has nothing to go back to",
            f"others that were live: {', '.join(str(each.number) for each in others) or 'none'}",
        )
    draft = fits[-1].model_copy(
        update={"made_at": now, "outcome": Outcome.PENDING, "why": f"as {fits[-1].number}"}
    )
    services = {**releases.services, name: _with_goal(release, draft)}
    return _begun(releases, services, releases.upto, f"rollback {name}", whole=True)


def scale(releases: Releases, replicas: Mapping[str, int]) -> Releases:
    """These services with so many instances; what they run stays."""
    services = dict(releases.services)
    for name, count in replicas.items():
        _live(releases, name)
        services[name] = services[name].model_copy(update={"replicas": count})
    return releases.model_copy(update={"services": services})


def retired(releases: Releases) -> Releases:
    """Nothing of any service should run any more, whatever a change was at."""
    services = {
        name: release.model_copy(update={"current": None, "goal": None})
        for name, release in releases.services.items()
    }
    return releases.model_copy(update={"services": services, "upto": None, "change": None})


def closed(releases: Releases) -> Releases:
    """Once every service of the change runs what it should: what came of it, written down."""
    change = releases.change
    if change is None:
        return releases
    services = dict(releases.services)
    for name in change.services:
        release, runs = services[name], releases.wanted(name)
        if release.goal is None:
            continue
        succeeded = runs is not None and runs.number == release.goal
        why = change.failed.get(name) or next(
            (f"{other} failed" for other in change.failed if other != name), ""
        )
        ends: dict[str, str] = {"outcome": Outcome.LIVE}
        if not succeeded:
            ends = {"outcome": Outcome.FAILED, "why": why}
        services[name] = release.model_copy(
            update={
                "current": release.goal if succeeded else release.current,
                "goal": None,
                "revisions": tuple(
                    each.model_copy(update=ends) if each.number == release.goal else each
                    for each in release.revisions
                ),
            }
        )
    return releases.model_copy(update={"services": services, "change": None})


def failed(releases: Releases, service: str, why: str) -> Releases:
    """The change goes back: for this service, and where it is whole for all of them."""
    change = releases.change
    if change is None or service in change.failed:
        return releases
    marked = change.model_copy(update={"failed": {**change.failed, service: why}})
    return releases.model_copy(update={"change": marked})


def may_go_back(releases: Releases, service: str) -> bool:
    """Whether a failure of it is one of a new revision, and not of what should be running."""
    change, wanted = releases.change, releases.wanted(service)
    release = releases.services[service]
    return change is not None and wanted is not None and release.goal == wanted.number


def _live(releases: Releases, name: str) -> Revision:
    release = releases.services.get(name)
    live = release.revision(release.current) if release else None
    if live is None:
        raise InvalidInputError(
            f"{name} is not deployed", "`skillswap-ops services deploy --stage …` deploys it"
        )
    return live


def _draft(image: Image, settings: Mapping[str, Value], now: datetime) -> Revision:
    return Revision(
        number=1,
        version=image.version,
        source=image.source,
        python=image.python,
        settings=dict(settings),
        replicas=1,
        made_at=now,
    )


def _with_goal(release: Release, draft: Revision) -> Release:
    """The release with a new revision to come; the same one where nothing would differ."""
    last = release.revision(release.current)
    if last is not None and not _differ(last, draft):
        return release
    number = max((each.number for each in release.revisions), default=0) + 1
    new = draft.model_copy(update={"number": number, "replicas": release.replicas})
    others = [each for each in release.revisions if each.number != release.current]
    kept = [*others[-(KEPT - 2) :], *([last] if last else [])]
    kept.sort(key=lambda each: each.number)
    return release.model_copy(update={"goal": number, "revisions": (*kept, new)})


def _differ(one: Revision, other: Revision) -> bool:
    fields = ("version", "python", "settings")
    return any(getattr(one, field) != getattr(other, field) for field in fields)


def _begun(
    releases: Releases,
    services: Mapping[str, Release],
    upto: Stage | None,
    what: str,
    *,
    whole: bool,
) -> Releases:
    coming = tuple(name for name, release in services.items() if release.goal is not None)
    change = Change(what=what, services=coming, whole=whole) if coming else None
    return releases.model_copy(update={"services": dict(services), "upto": upto, "change": change})


# Moves


@dataclass(frozen=True)
class Seen:
    """An instance as it was seen. `wanted`: it runs what it should; `ready`: it gets requests."""

    running: bool = False
    wanted: bool = False
    ready: bool = False


class Act(StrEnum):
    """What is done to an instance."""

    START = "start"  # with what is wanted; stopped before, where it runs
    AWAIT = "wait for"
    STOP = "stop"


@dataclass(frozen=True)
class Move:
    """One thing to do to one instance."""

    act: Act
    number: int


def next_moves(
    seen: Mapping[int, Seen], replicas: int, *, something: bool = True
) -> tuple[Move, ...]:
    """What to do now to the instances of a service, all at once; nothing: they are as wanted.

    Never takes a ready instance away before another one has proved what is wanted, and never more
    than one at a time; so a service that had all its instances keeps that number throughout.
    With `something` false nothing of it should run.
    """
    running = [number for number, each in seen.items() if each.running]
    if not something:
        return tuple(Move(Act.STOP, number) for number in running)
    places = range(1, replicas + 1)
    here = {number: seen.get(number, Seen()) for number in places}
    down = [number for number in places if not here[number].running]
    late = [number for number in places if here[number].running and not here[number].wanted]
    proved = any(each.wanted and each.ready for each in seen.values())
    serving = any(each.ready and not each.wanted for each in seen.values())
    if down and (proved or not serving or not late):
        return tuple(Move(Act.START, number) for number in down)
    if late and not proved and serving:
        return (_trial(seen, here, down, late),)
    starting = [number for number in places if here[number].wanted and not here[number].ready]
    if starting:
        return tuple(Move(Act.AWAIT, number) for number in starting)
    if late:
        return (Move(Act.START, min(late, key=lambda number: (here[number].ready, number))),)
    return tuple(Move(Act.STOP, number) for number in sorted(running) if number not in places)


def _trial(
    seen: Mapping[int, Seen],
    here: Mapping[int, Seen],
    down: Sequence[int],
    late: Sequence[int],
) -> Move:
    """The first one to try a revision: one that nobody misses, else the canary."""
    idle = [*down, *(number for number in late if not here[number].ready)]
    number = idle[0] if idle else CANARY
    already = seen.get(number, Seen())
    return Move(Act.AWAIT if already.running and already.wanted else Act.START, number)
