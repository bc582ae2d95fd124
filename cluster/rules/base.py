"""What a rule is, and the few questions that several rules ask."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cluster.inventory import CONFIG_SET
from cluster.problems import Path, Problem, dotted
from cluster.topology import Region, ReplicaSet, Topology

H = TypeVar("H", bound=Hashable)
CONFIG_SERVERS: Path = ("mongo", "config_servers")


@dataclass(frozen=True)
class Rule:
    """A rule looks at `reads`, sections of the topology, and at nothing else.

    So it can run on a file whose other sections are wrong, and all errors are told at once.
    """

    find: Callable[[Topology], Iterable[Problem]]
    reads: frozenset[str]


def rule(find: Callable[[Topology], Iterable[Problem]], *reads: str) -> Rule:
    """A rule that reads these sections."""
    return Rule(find, frozenset(reads))


def replica_sets(topology: Topology) -> Iterator[tuple[Path, str, ReplicaSet]]:
    """Every replica set: its path, the name of its group, itself."""
    yield CONFIG_SERVERS, CONFIG_SET, topology.mongo.config_servers
    for index, shard in enumerate(topology.mongo.shards):
        yield ("mongo", "shards", index), shard.name, shard


def region_named(topology: Topology, name: str | None) -> Region | None:
    """The region, the first one for no name, or None where there is none of that name."""
    found = (region for region in topology.regions if name in {None, region.name})
    return next(found, None)


def repeated(
    named: Iterable[tuple[Path, H]], reason: str = "must be unique: {first} is the same"
) -> Iterator[Problem]:
    """A problem for every value that was there before, naming where it was first."""
    first: dict[H, Path] = {}
    for path, value in named:
        if value in first:
            yield Problem(path, reason.format(first=dotted(first[value])), value)
        first.setdefault(value, path)
