"""What is kept of a run under the services: what members rolled back, of this run alone."""

import json
import os
from pathlib import Path

import pytest

from cluster.context import Context
from cluster.errors import InvalidInputError
from mongo import nodes
from mongo.drill_checks import ROLLBACK_FOLDER, ROLLBACK_INDEX
from mongo.drills.rollbacks import keep_rollbacks
from skillswap_ops.administrators import make_administrator
from tests.unit.mongo_samples import context

MESSAGES, OTHERS = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"


@pytest.fixture
def here(tmp_path: Path) -> Context:
    return context(tmp_path / "cluster")


def rolled_back(here: Context, node: str, uuid: str, name: str, at: float) -> None:
    """A file as a member leaves it."""
    data = here.layout.data(here.inventory.named(node))
    file = data / "rollback" / uuid / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(name.encode())
    os.utime(file, (at, at))


def test_rollback_files_of_this_run_are_kept(here: Context, tmp_path: Path) -> None:
    rolled_back(here, "shard-b-1", MESSAGES, "removed.earlier.bson", 999.0)
    rolled_back(here, "shard-b-1", MESSAGES, "removed.now.bson", 1000.0)
    rolled_back(here, "shard-b-2", OTHERS, "removed.now.bson", 1001.0)
    folder = tmp_path / "collected"
    folder.mkdir()
    [hurt] = [one for one in nodes.shards(here) if one.name == "shard-b"]
    keep_rollbacks(here, hurt, {MESSAGES: "MESSAGE"}, folder, since=1000.0)
    keep_rollbacks(here, hurt, {OTHERS: "SESSION"}, folder, since=2000.0)
    kept = folder / ROLLBACK_FOLDER
    found = {str(path.relative_to(kept)) for path in kept.rglob("*.bson")}
    assert found == {f"{MESSAGES}/shard-b-1/removed.now.bson"}
    names = json.loads((kept / ROLLBACK_INDEX).read_text())
    assert names == {MESSAGES: "MESSAGE", OTHERS: "SESSION"}


def test_nobody_is_an_administrator_of_what_is_not_deployed(here: Context) -> None:
    with pytest.raises(InvalidInputError, match="not deployed"):
        make_administrator(here, "ada@example.org", "why not")
