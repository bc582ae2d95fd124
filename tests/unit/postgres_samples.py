"""Answers that real servers gave, and a context of the PostgreSQL side that reaches none."""

import json
from pathlib import Path
from typing import Any, cast

from cluster.context import Context, trust
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.programs import Programs
from cluster.secrets import SecretStore
from cluster.target import Target
from tests.unit.topology_samples import topology

ANSWERS = Path(__file__).with_name("postgres_answers")


def text(name: str) -> str:
    """A captured answer as it came."""
    return (ANSWERS / name).read_text("utf-8")


def answer(name: str) -> dict[str, Any]:
    """A captured JSON answer."""
    return cast("dict[str, Any]", json.loads(text(f"{name}.json")))


class FakePrograms(Programs):
    """A machine with every program."""

    def find(self, name: str, package: str, folders: object = ()) -> str:
        return f"/usr/bin/{name}"


def context(folder: Path, edits: dict[str, object] | None = None) -> Context:
    """A context of the shipped topology with changed fields; nothing of it runs."""
    shape = topology(edits)
    return Context(
        topology=shape,
        inventory=inventory(shape, trust(shape, Layout(folder))),
        layout=Layout(folder),
        secrets=SecretStore(folder / "secrets"),
        target=cast("Target", None),
        programs=FakePrograms(),
    )
