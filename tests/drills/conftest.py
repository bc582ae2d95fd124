"""Fixtures of the drills."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.runbook_proving import Row

TABLE = "SKILLSWAP_OPS_PROOF_TABLE"


@pytest.fixture(scope="module")
def table() -> Iterator[list[Row]]:
    """The times of a module's proofs: printed, and added to the file that TABLE names."""
    rows: list[Row] = []
    yield rows
    text = "\n".join(map(str, rows))
    print(f"\n{text}")
    if rows and (path := os.environ.get(TABLE)):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
