"""Topologies for tests: the shipped one, with fields changed by the path that messages use."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import InvalidInputError
from cluster.topology import Topology
from cluster.topology_file import SHIPPED, parse_topology

DELETED = object()
TP3: dict[str, Any] = yaml.safe_load(SHIPPED.read_text("utf-8"))


def changed(edits: Mapping[str, object]) -> str:
    """The shipped topology, as YAML text, with each path set to a value, or DELETED."""
    data = copy.deepcopy(TP3)
    for path, value in edits.items():
        *parents, last = [int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", path)]
        place: Any = data
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        if value is DELETED:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return json.dumps(data)  # JSON is YAML, and has one way to write a value


def topology(edits: Mapping[str, object] | None = None) -> Topology:
    """The shipped topology with changed fields, checked."""
    return parse_topology(changed(edits or {}), "test")


def errors(text: str) -> list[str]:
    """What is said of a text that must be refused, without file and line."""
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(text, "bad")
    return [re.sub(r"^bad(:\d+)?: ", "", line) for line in caught.value.message.splitlines()]


def bad_topologies() -> list[tuple[dict[str, object], list[str]]]:
    """The cases of bad_topologies.txt: changed fields, and exactly what is said of them."""
    cases: list[tuple[dict[str, object], list[str]]] = []
    for block in Path(__file__).with_name("bad_topologies.txt").read_text("utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        edits = dict(line.split(" = ", 1) for line in lines if not line.startswith(" "))
        said = [line.strip() for line in lines if line.startswith(" ")]
        if lines:
            cases.append(({path: _value(text) for path, text in edits.items()}, said))
    return cases


def _value(text: str) -> object:
    return DELETED if text == "DELETED" else json.loads(text)
