"""The checkers of the restore drills, on made-up runs; what each drill hits, and what heals it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import cast

import pytest

from cluster.drill.outcome import Outcome
from cluster.drill.verdict import Validity
from cluster.target import Target
from postgres import regions, restore_checks
from postgres.drills import DRILLS, healers
from postgres.drills.skips import no_dr
from postgres.faults.destroyed_data import RESTORE_TO, DestroyData, destroyed, restore_to
from postgres.faults.flipped_byte import UNFLIP
from postgres.faults.region_lost import (
    PARTITION,
    REGION_BACK,
    LoseRegion,
    _members,
    _rejoin,
    lose_region,
)
from postgres.regions import Regions, Stage
from postgres.scopes import primary_scope
from tests.unit.drill_samples import FAULT, RATE, MadeUp, Op, ns
from tests.unit.postgres_samples import context
from tests.unit.test_postgres_drills import LED_BY_PG1, run_check, validities

INSTANT = 15.0  # seconds; the data is destroyed at FAULT
NOTED = {
    "at": "2026-03-01T12:00:15Z",
    "at_ns": ns(INSTANT),
    "timeline": 1,
    "switched": False,
    "reached": None,
    "seconds": 9.5,
}


def kept(*extra: int, without: Iterable[int] = ()) -> object:
    """What is read after the restore: all sent by the instant, all sent behind the fault."""

    def read(stored: list[int]) -> list[int]:
        split, resumed = int(INSTANT * RATE), int(FAULT * RATE)
        place = {op: n for n, op in enumerate(sorted(stored))}
        return [
            op
            for op, n in place.items()
            if (n < split or n >= resumed or n in extra) and n not in without
        ]

    return read


@pytest.mark.parametrize(
    ("read", "validity"),
    [
        (kept(), Validity.VALID),
        (kept(without=(100,)), Validity.INVALID),
        (kept(175), Validity.INVALID),
        (None, Validity.UNKNOWN),
    ],
)
def test_each_write_is_held_to_the_instant(
    tmp_path: Path, read: object, validity: Validity
) -> None:
    run = MadeUp(op=Op, read=read)  # type: ignore[arg-type]
    found = run_check(restore_checks.to_the_instant, run, tmp_path / "run", pitr=NOTED)
    assert validities(found) == [validity], found


def test_a_restore_that_did_not_end_is_unknown(tmp_path: Path) -> None:
    files = {"pitr": {**NOTED, "seconds": None}}
    found = run_check(restore_checks.to_the_instant, MadeUp(), tmp_path / "run", **files)
    assert validities(found) == [Validity.UNKNOWN]


def test_nothing_written_after_the_instant_tells_nothing(tmp_path: Path) -> None:
    files = {"pitr": {**NOTED, "at_ns": ns(FAULT + 1)}}
    found = run_check(restore_checks.to_the_instant, MadeUp(op=Op), tmp_path / "run", **files)
    assert validities(found) == [Validity.UNKNOWN]


@pytest.mark.parametrize(
    ("commits", "validity"),
    [(3, Validity.VALID), (5, Validity.VALID), (2, Validity.INVALID), (6, Validity.INVALID),
     (None, Validity.UNKNOWN)],
)  # fmt: skip
def test_the_stated_loss_is_the_ledgers(
    tmp_path: Path, commits: int | None, validity: Validity
) -> None:
    """Three acknowledged are missing, and two whose answer never came."""

    def op(due: float) -> Op:
        return Op(due, Outcome.UNKNOWN) if due in {18.0, 18.1} else Op(due)

    def read(stored: list[int]) -> list[int]:
        return sorted(stored)[3:]

    stated = {"received": "0/5000000", "received_at": None, "commits": commits, "bytes": 7}
    run = MadeUp(op=op, read=read)
    found = run_check(restore_checks.stated_loss, run, tmp_path / "run", dr_loss=stated)
    assert validities(found) == [validity], found


SEEN = {
    "flipped": [
        "/a/archive/payments/15-1/0000000100000000/000000010000000000000007-7d9a.lz4",
        "/a/backup/payments/20261126-003135F/bundle/1",
    ],
    "found": [
        "15-1/0000000100000000/000000010000000000000007-7d9a.lz4: cannot be read",
        "20261126-003135F/pg_data/base/4/2704.lz4: invalid checksum",
    ],
    "data_refused": "pgbackrest restore",
    "wal_refused": "archive-get",
    "left": [],
}


@pytest.mark.parametrize(
    ("change", "validity"),
    [
        ({}, Validity.VALID),
        ({"found": SEEN["found"][:1]}, Validity.INVALID),
        ({"found": SEEN["found"][1:]}, Validity.INVALID),
        ({"data_refused": ""}, Validity.INVALID),
        ({"wal_refused": ""}, Validity.INVALID),
        ({"left": ["x: invalid checksum"]}, Validity.INVALID),
        ({"left": None}, Validity.UNKNOWN),
        ({"flipped": SEEN["flipped"][:1]}, Validity.UNKNOWN),
    ],
)
def test_damage_must_be_found_and_refused(
    tmp_path: Path, change: dict[str, object], validity: Validity
) -> None:
    files = {"corruption": {**SEEN, **change}}
    found = run_check(restore_checks.damage_found, MadeUp(), tmp_path / "run", **files)
    assert validities(found) == [validity], found


def test_the_instant_is_the_seeds(tmp_path: Path) -> None:
    of = context(tmp_path)
    scope = primary_scope(of)
    one, two = (destroyed(of, scope, LED_BY_PG1, Random(7)) for _ in range(2))
    assert one == two
    assert isinstance(one, DestroyData)
    assert one.gap != destroyed(of, scope, LED_BY_PG1, Random(8)).gap  # type: ignore[attr-defined]
    assert one.undo.kind == RESTORE_TO


def test_nothing_is_restored_where_nothing_was_destroyed(tmp_path: Path) -> None:
    of = context(tmp_path)
    restore_to(of)(DestroyData(of, primary_scope(of), 1.0).undo)  # asks no server


@pytest.mark.parametrize("stage", Stage)
def test_the_lost_region_is_the_topologys_whoever_leads(tmp_path: Path, stage: Stage) -> None:
    """`drill heal` comes at any stage, and must never start the wrong region's servers."""
    of = context(tmp_path)
    regions.save(of.layout, Regions(stage=stage))
    names = {server.node.name for server in _members(of, away=False)}
    assert names == {"pg1", "pgsync1", "etcd-1", "etcd-2", "etcd-3"}
    assert {server.node.name for server in _members(of, away=True)} >= {"pgdr1"}


def test_every_fault_has_its_healer_and_its_place(tmp_path: Path) -> None:
    of = context(tmp_path)
    assert {REGION_BACK, RESTORE_TO, UNFLIP} <= healers(of).keys()
    fault = lose_region(of, primary_scope(of), 2.0, LED_BY_PG1, Random(1))
    assert isinstance(fault, LoseRegion)
    assert fault.undo.kind == REGION_BACK
    names = {spec.name for spec in DRILLS}
    assert {"pg-pitr", "pg-pitr-failover", "pg-dr-promote", "pg-backup-corruption"} <= names


class Network:
    """A target that can cut, if its user may."""

    name = "made up"

    def __init__(self, lacks: str) -> None:
        self._lacks = lacks
        self.rejoined: list[str] = []

    def lacks(self, _need: type) -> str:
        return self._lacks

    def isolate(self, *_: object) -> None:
        raise NotImplementedError

    def rejoin(self, name: str) -> None:
        self.rejoined.append(name)


@pytest.mark.parametrize(("lacks", "rejoined"), [("", [PARTITION]), ("needs root", [])])
def test_who_may_not_cut_has_nothing_to_join_again(
    tmp_path: Path, lacks: str, rejoined: list[str]
) -> None:
    network = Network(lacks)
    _rejoin(replace(context(tmp_path), target=cast("Target", network)))
    assert network.rejoined == rejoined


def test_without_a_dr_region_there_is_nobody_to_promote(tmp_path: Path) -> None:
    assert no_dr(context(tmp_path)) == ""
    assert no_dr(context(tmp_path, {"postgres.dr": None}))
