"""Answers that a real mongod 6.0.5 gave, and a context that reaches no server."""

from pathlib import Path
from typing import Any, cast

from bson import json_util

from cluster.context import Context
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.programs import Programs
from cluster.secrets import SecretStore
from cluster.target import Target
from tests.unit.topology_samples import topology

ANSWERS = Path(__file__).with_name("mongo_answers")


def answer(name: str) -> dict[str, Any]:
    """A captured answer."""
    text = (ANSWERS / f"{name}.json").read_text("utf-8")
    return cast("dict[str, Any]", json_util.loads(text))


class FakePrograms(Programs):
    """A machine with mongod, and with mongos where a path is given."""

    def __init__(self, mongos: str | None = None) -> None:
        super().__init__()
        object.__setattr__(self, "_mongos", mongos)

    def mongod(self) -> str:
        return "/usr/bin/mongod"

    def mongos(self, binary: str | None) -> str | None:
        return binary or cast("str | None", self._mongos)  # type: ignore[attr-defined]

    def python(self) -> str:
        return "/usr/bin/python3"


def context(
    folder: Path, edits: dict[str, object] | None = None, *, mongos: str | None = None
) -> Context:
    """A context of the shipped topology with changed fields; nothing of it runs."""
    shape = topology(edits)
    return Context(
        topology=shape,
        inventory=inventory(shape),
        layout=Layout(folder),
        secrets=SecretStore(folder / "secrets"),
        target=cast("Target", None),
        programs=FakePrograms(mongos),
    )
