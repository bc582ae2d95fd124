"""Defects of the write chain are planted and found; without its checker they are missed."""

from pathlib import Path

import pytest

from cluster.drill.selftest.genuine import write_genuine
from cluster.drill.selftest.suite import all_caught, on_copy, on_genuine
from skillswap_ops.catalogue import all_checks
from skillswap_ops.traffic.chain_checks import CHAINS
from skillswap_ops.traffic.selftest import CHAIN_DEFECTS, furnish


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("os.fdatasync", lambda _: None)


def test_every_defect_has_a_place_and_is_caught() -> None:
    planted = on_genuine(all_checks(), CHAIN_DEFECTS, furnish)
    chain = [one for one in planted if one.defect in {each.name for each in CHAIN_DEFECTS}]
    assert len(chain) == len(CHAIN_DEFECTS) == 8
    assert [one for one in planted if one.skipped or not one.caught] == []


def test_a_checker_that_says_nothing_is_found_out() -> None:
    silent = {**all_checks(), CHAINS: lambda _: []}
    missed = {one.defect for one in on_genuine(silent, CHAIN_DEFECTS, furnish) if not one.caught}
    lost = "an acknowledged chain is lost"  # what the ledger and the read-back say by themselves
    assert missed == {each.name for each in CHAIN_DEFECTS} - {lost}


def test_a_run_without_chains_has_no_place_for_them(tmp_path: Path) -> None:
    write_genuine(tmp_path)
    planted = {one.defect: one for one in on_copy(tmp_path, all_checks(), CHAIN_DEFECTS)}
    assert {planted[each.name].skipped for each in CHAIN_DEFECTS} == {
        "no chain was written in this run"
    }
    assert all_caught(tuple(planted.values()))
