"""The topology file: read, checked, written, and described to editors.

Every error of a file is told at once, each with its line; a rule between fields is checked as soon
as the sections that it reads are right.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from cluster.errors import InvalidInputError
from cluster.problems import Problem, problems_of, told
from cluster.strict_yaml import LIKE_A_NUMBER, MAX_BYTES, Document, YamlError, read_yaml
from cluster.topology import PATTERNS, Topology
from cluster.topology_rules import SECTIONS, check_topology

SHIPPED = Path(__file__).with_name("tp3.yaml")
# What `--topology` also takes by name, where no such file is there.
SHIPPED_NAMES = {"tp3": SHIPPED, "large": SHIPPED.with_name("large.yaml")}
HINT = "correct the file; `skillswap-ops topology show` prints one that is right"


def load_topology(path: Path | None) -> Topology:
    """The topology in a file; the shipped TP3 topology for None.

    Raises InvalidInputError: a line `file:line: field: reason (got value)` for each error.
    """
    path = path or SHIPPED
    return parse_topology(_text(path), str(path))


def parse_topology(text: str, name: str) -> Topology:
    """The topology in a YAML text; `name` is what errors call the file. Raises as load_topology."""
    examined = examine_topology(text, name)
    if examined.topology is None or examined.problems:
        lines = ((examined.line(problem), str(problem)) for problem in examined.problems)
        raise InvalidInputError(told(name, lines), HINT)
    return examined.topology


@dataclass(frozen=True)
class Examined:
    """A file and all that is wrong in it; `topology` is None where a field is."""

    document: Document
    topology: Topology | None
    problems: tuple[Problem, ...]

    def line(self, problem: Problem) -> int:
        """Where the problem is."""
        return problem.line or self.document.line(problem.path)


def examine_file(path: Path | None) -> Examined:
    """What is right and wrong in a file; the shipped TP3 topology for None.

    Raises InvalidInputError where it is no mapping in YAML at all.
    """
    path = path or SHIPPED
    return examine_topology(_text(path), str(path))


def examine_topology(text: str, name: str) -> Examined:
    """What is right and wrong in a YAML text. Raises as `examine_file`."""
    try:
        document = read_yaml(text)
    except YamlError as error:
        raise InvalidInputError(f"{name}:{error.line}: {error.reason}", HINT) from None
    if document.data is None and not document.problems:
        raise InvalidInputError(f"{name}: is empty", HINT)
    if not isinstance(document.data, dict):
        problem = Problem((), "must be a mapping of the topology's fields", document.data)
        raise InvalidInputError(f"{name}: {problem}", HINT)
    topology, problems = _validated(document, document.data)
    return Examined(document, topology, tuple(problems))


def _text(path: Path) -> str:
    if str(path) in SHIPPED_NAMES and not path.exists():
        path = SHIPPED_NAMES[str(path)]
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}", HINT) from None
    if len(content) > MAX_BYTES:
        raise InvalidInputError(f"{path}: is larger than {MAX_BYTES >> 10} KiB", HINT)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInputError(f"{path}:{line}: is not text in UTF-8", HINT) from None


def _validated(
    document: Document, data: dict[str, object]
) -> tuple[Topology | None, list[Problem]]:
    """The model where the fields are right, and all problems.

    JSON mode is strict about types and yet takes lists for tuples and text for enumerations.
    """
    problems = list(document.problems)
    topology = None
    try:
        topology = Topology.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        known = {problem.path for problem in problems}
        found = problems_of(error, Topology, data, PATTERNS)
        problems += [problem for problem in found if problem.path not in known]
    wrong = {problem.path[0] for problem in problems if problem.path}
    right = SECTIONS - wrong
    problems += check_topology(topology or _stand_in(data, right), right)
    return topology, problems


def _stand_in(data: dict[str, object], right: Iterable[str]) -> Topology:
    """The right sections, and in place of the others the shipped ones, which no rule will read."""
    shipped = read_yaml(_text(SHIPPED)).data
    assert isinstance(shipped, dict)  # noqa: S101 - a file of this package
    sections = shipped | {name: data[name] for name in right if name in data}
    return Topology.model_validate_json(json.dumps(sections), strict=True)


def topology_schema() -> str:
    """The JSON schema of topology files (draft 2020-12), for editors; cross-field rules apart."""
    schema = Topology.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Topology"}
    return json.dumps(head | schema, indent=2)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 takes for a number, as PyYAML does for YAML 1.1."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", LIKE_A_NUMBER, list("-+.0123456789"))


def dump_topology(topology: Topology) -> str:
    """The topology as a file that loads to an equal one; every default written out."""
    data = topology.model_dump(mode="json", exclude_none=True)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)
