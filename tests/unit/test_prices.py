"""The monthly bill: what is counted, and that docs/capacity.md says what the program says."""

import re
from pathlib import Path

import pytest

from cluster.errors import InvalidInputError
from manifests.prices import SHIPPED, Amount, bill, load_prices, total
from tests.conftest import ROOT
from tests.unit.kubernetes_samples import NAMES, edited, parts, shipped

PAGE = (ROOT / "docs" / "capacity.md").read_text("utf-8")
PRICES = load_prices(None)


def lines(name: str) -> dict[str, tuple[Amount, float]]:
    return {row.name: (row.amount, row.cost) for row in bill(shipped(name), parts(name), PRICES)}


def test_a_shard_by_hand() -> None:
    """Three members of 1 core, 2 GiB, 50 GiB: the arithmetic written out."""
    amount, cost = lines("tp3")["MongoShard shard-a"]
    assert amount == Amount(pods=3, cores=3, memory=6, volumes=150)
    machines = 730 / (1 - 0.15) * (3 * 0.040 + 6 * 0.0045)
    assert cost == pytest.approx(machines + 150 * 0.095)


def test_services_are_counted_at_the_autoscalers_least() -> None:
    amount, _ = lines("large")["Services services"]
    assert amount.pods == 14 * 10


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_the_program_says(name: str) -> None:
    everything = total(bill(shipped(name), parts(name), PRICES))
    (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", PAGE, re.MULTILINE)
    told = [float(cell.strip().replace(",", "")) for cell in row.split("|")]
    amount = everything.amount
    assert told == [
        amount.pods,
        pytest.approx(amount.cores, abs=0.05),
        pytest.approx(amount.memory, abs=0.05),
        amount.volumes + amount.shared,
        pytest.approx(everything.cost, abs=0.5),
    ]


def test_the_page_knows_the_next_shard_and_router() -> None:
    shard, router = lines("large")["MongoShard users-1"], lines("large")["Routers routers"]
    assert f"One more shard of five members: EUR {shard[1]:,.0f}." in PAGE
    assert f"One more router: EUR {router[1] / 4:,.0f}." in PAGE


def test_a_second_cluster_has_a_control_plane() -> None:
    cluster = {"context": "c", "primary_host": "p.example.org", "networks": ["192.0.2.0/24"]}
    found = edited({"kubernetes.dr_cluster": cluster})
    (plane,) = [row for row in bill(shipped("tp3"), found, PRICES) if row.name == "Control plane"]
    assert plane.cost == 2 * PRICES.cluster_month


def test_prices_are_the_users(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(SHIPPED.read_text("utf-8").replace("core_hour: 0.040", "core_hour: 0.080"))
    dear = total(bill(shipped("tp3"), parts("tp3"), load_prices(file)))
    cheap = total(bill(shipped("tp3"), parts("tp3"), PRICES))
    assert dear.cost - cheap.cost == pytest.approx(cheap.amount.cores * 0.040 * 730 / 0.85)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("core_hour: 0.040", "core_hour: -1", "core_hour: must be at least 0 (got -1)"),
        ("core_hour", "core_ours", "core_ours"),
        ("currency: EUR", "currency: [", "is no YAML"),
    ],
)
def test_a_wrong_table_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(SHIPPED.read_text("utf-8").replace(old, new))
    with pytest.raises(InvalidInputError) as caught:
        load_prices(file)
    assert said in caught.value.message
    assert str(file) in caught.value.message
