"""The services' drills without a cluster: what is skipped, whom they hit, what a load shows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import cast

import pytest

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.drill.evidence import load_run
from cluster.drill.judge import judge
from cluster.drill.measures import Measures
from cluster.drill.selftest.genuine import write_genuine
from cluster.drill.verdict import Finding, Validity
from cluster.target import Hit, Target
from manifests.services import releases
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import GATEWAY
from manifests.services.model import Stage as RoadmapStage
from manifests.services.releases import Outcome, Release, Releases, Revision
from mongo.drills import DRILLS as OF_MONGO
from postgres.drills import DRILLS as OF_POSTGRES
from skillswap_ops import service_drills
from skillswap_ops.catalogue import all_checks, all_drills
from skillswap_ops.service_drills import common
from skillswap_ops.service_drills.common import NOT_DEPLOYED, shard_of
from skillswap_ops.service_drills.instance_kill import one_instance
from skillswap_ops.service_drills.proxy_loss import one_web_proxy
from skillswap_ops.service_drills.redis_loss import all_of_redis
from skillswap_ops.traffic.load import served
from tests.unit.mongo_samples import context

MVP = [service.name for service in CATALOGUE.at(RoadmapStage.MVP)]


class KillingTarget:
    """Says what it was asked to kill."""

    name = "fake"

    def kill(self, servers: tuple[object, ...]) -> Hit:
        return Hit(1.5, f"killed {len(servers)}")


@pytest.fixture
def here(tmp_path: Path) -> Context:
    made = replace(context(tmp_path), target=cast("Target", KillingTarget()))
    made.layout.root.mkdir(parents=True, exist_ok=True)
    return made


def deploy(made: Context, *names: str) -> None:
    """As `services deploy` writes it down."""
    revision = Revision(
        number=1,
        version="0-1",
        source="here",
        python="/usr/bin/python3",
        replicas=2,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
        outcome=Outcome.LIVE,
    )
    release = Release(replicas=2, current=1, revisions=(revision,))
    found = Releases(upto=RoadmapStage.MVP, services=dict.fromkeys(names, release))
    made.layout.releases.write_text(found.model_dump_json())


def test_names_are_unique_over_all_engines() -> None:
    names = [spec.name for spec in (*OF_MONGO, *OF_POSTGRES, *service_drills.DRILLS)]
    assert len(names) == len(set(names))
    assert set(names) < {spec.name for spec in all_drills()}


def test_every_check_of_theirs_is_known_to_recheck() -> None:
    assert set(service_drills.CHECKS) <= set(all_checks())


def test_nothing_is_drilled_where_nothing_is_deployed(here: Context) -> None:
    for spec in service_drills.DRILLS:
        assert spec.skip(here) == NOT_DEPLOYED
    assert "services deploy" in NOT_DEPLOYED


def test_half_of_the_mvp_is_not_deployed(here: Context) -> None:
    deploy(here, *MVP[1:])
    assert common.not_deployed(here) == NOT_DEPLOYED
    deploy(here, *MVP)
    assert releases.load(here.layout.releases).services
    for spec in service_drills.DRILLS:
        assert spec.skip(here) == ""


def test_where_requests_are_kept(here: Context) -> None:
    groups = {name: shard_of(here, name).name for name in ("COMPETENCE", "SESSION", "MESSAGE")}
    assert groups == {"COMPETENCE": "shard-a", "SESSION": "shard-b", "MESSAGE": "shard-b"}


@pytest.mark.parametrize(
    ("choose", "victims"),
    [
        (lambda *a: one_instance(a[0], "sessions", *a[1:]), {"sessions-1", "sessions-2"}),
        (lambda *a: one_instance(a[0], GATEWAY, *a[1:]), {"gateway-1", "gateway-2"}),
        (one_web_proxy, {"web-1", "web-2"}),
        (all_of_redis, {"redis-1"}),
    ],
)
def test_victims(
    here: Context,
    monkeypatch: pytest.MonkeyPatch,
    choose: Callable[[Context, Seen, Random], Fault],
    victims: set[str],
) -> None:
    deploy(here, *MVP)
    monkeypatch.setattr("cluster.programs.Programs.find", lambda _self, name, *_: name)
    found = {choose(here, {}, Random(seed)).undo.targets for seed in range(20)}
    assert {name for targets in found for name in targets} == victims
    assert all(len(targets) == 1 for targets in found)


# Under load


@pytest.fixture
def measures(tmp_path: Path) -> Measures:
    write_genuine(tmp_path)
    return Measures(load_run(tmp_path))


def of(measures: Measures, name: str) -> Finding:
    return served(next(each for each in measures.streams if each.config.name == name))


def test_service_is_ninety_nine_of_a_hundred(measures: Measures) -> None:
    good, bad = of(measures, "elsewhere"), of(measures, "promised")
    assert (good.validity, good.message) == (Validity.VALID, "600 of 600 acknowledged")
    assert bad.validity is Validity.INVALID
    assert bad.message.endswith("of 600 acknowledged, 99 % is service")


def test_a_genuine_run_still_passes(measures: Measures) -> None:
    """What `genuine` is used for above rests on it."""
    assert judge(measures).exit_code == 0
