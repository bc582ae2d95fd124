"""All rules of a topology: what refuses it, and what only warns."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

from cluster.problems import Problem
from cluster.rules import advice, machines, mongo, names, parameters, places, postgres
from cluster.topology import Topology

RULES = (
    *places.RULES,
    *names.RULES,
    *mongo.RULES,
    *postgres.RULES,
    *parameters.RULES,
    *machines.RULES,
)
SECTIONS = frozenset(Topology.model_fields)


def check_topology(topology: Topology, sections: Collection[str] = SECTIONS) -> tuple[Problem, ...]:
    """The contradictions in a topology, by the rules that read only `sections`."""
    return tuple(
        problem
        for rule in RULES
        if rule.reads.issubset(sections)
        for problem in _found(rule.find, topology)
    )


def lint_topology(topology: Topology) -> tuple[Problem, ...]:
    """The warnings of a topology that `check_topology` has nothing against."""
    return tuple(problem for advise in advice.ADVICE for problem in _found(advise, topology))


def _found(find: Callable[[Topology], Iterable[Problem]], topology: Topology) -> Iterator[Problem]:
    return (replace(problem, rule=find.__name__) for problem in find(topology))
