"""The service catalogue: what it holds, and exactly what is said of a wrong one."""

import copy
import json
from typing import Any

import pytest

from cluster.errors import InvalidInputError
from cluster.inventory import inventory
from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Store
from manifests.services import places
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import GATEWAY, Catalogue, Stage
from skillswap_ops.services.registry import NAMES, definition
from tests.unit.topology_samples import topology

DATA: dict[str, Any] = CATALOGUE.model_dump(mode="json")


def edited(service: str, **fields: object) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    data["services"][CATALOGUE.place(service)] |= fields
    return data


def said(data: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        Catalogue.checked(data)
    return caught.value.message.splitlines()


def test_thirteen_services_and_the_gateway() -> None:
    assert len(CATALOGUE.services) == 14
    assert Catalogue.checked(DATA) == CATALOGUE


def test_each_stage_contains_the_one_before() -> None:
    counts = [len(CATALOGUE.at(stage)) for stage in Stage]
    assert counts == [9, 11, 12, 14]
    for before, after in zip(Stage, list(Stage)[1:], strict=False):
        earlier, later = (
            {service.name for service in CATALOGUE.at(stage)} for stage in (before, after)
        )
        assert earlier < later


def test_every_mvp_service_has_two_instances_here() -> None:
    assert all(service.replicas.local >= 2 for service in CATALOGUE.at(Stage.MVP))


def test_every_entity_has_one_owner_and_no_service_but_the_gateway_lacks_one() -> None:
    owned = [entity for service in CATALOGUE.services for entity in service.owns]
    assert sorted(owned) == sorted(BY_NAME)
    assert {each.name for each in CATALOGUE.services if not each.owns} == {
        GATEWAY,
        "virtual-classroom",
    }


def test_stores_follow_from_the_data_model() -> None:
    assert CATALOGUE.named("payments").stores == ("PostgreSQL",)
    assert CATALOGUE.named("chat").stores == ("MongoDB", "Redis")
    assert CATALOGUE.named("files").stores == ("MongoDB", "S3")


def test_dependencies_come_first() -> None:
    order = CATALOGUE.dependencies_first(CATALOGUE.names)
    assert sorted(order) == sorted(CATALOGUE.names)
    for service in CATALOGUE.services:
        for other in service.depends_on:
            assert order.index(other) < order.index(service.name)
    assert CATALOGUE.dependencies_first(["reviews", "sessions"]) == ("sessions", "reviews")


@pytest.mark.parametrize(
    ("service", "fields", "lines"),
    [
        (
            "reviews",
            {"depends_on": ["session"]},
            ['reviews.depends_on[0]: unknown service (did you mean "sessions"?) (got "session")'],
        ),
        (
            "reviews",
            {"depends_on": ["files"]},
            ['reviews.depends_on[0]: must be there at stage mvp; it comes with v1.1 (got "files")'],
        ),
        (
            "payments",
            {"depends_on": ["sessions"]},
            ["services: depend on each other: sessions → payments → sessions"],
        ),
        (
            "reviews",
            {"depends_on": ["reviews"]},
            ['reviews.depends_on[0]: must not be the service itself (got "reviews")'],
        ),
        (
            "reviews",
            {"owns": ["AVI"]},
            [
                'reviews.owns[0]: no collection or table of that name (did you mean "AVIS"?) '
                '(got "AVI")',
                "services: no service owns AVIS",
            ],
        ),
        (
            "reviews",
            {"owns": ["AVIS", "SESSION"], "shares": []},
            ['reviews.owns[1]: has an owner already: sessions (got "SESSION")'],
        ),
        (
            "reviews",
            {"shares": ["AVIS"]},
            [
                'reviews.owns[0]: is named twice (got "AVIS")',
                'reviews.shares[0]: is named twice (got "AVIS")',
            ],
        ),
        (
            "reviews",
            {"resources": {"memory_request": 512}},
            ["reviews.resources.memory_request: must be at most memory_limit, 256 (got 512)"],
        ),
        (
            "reviews",
            {"replicas": {"local": 0}},
            ["reviews.replicas.local: must be at least 1 (got 0)"],
        ),
        (
            "reviews",
            {"stage": "v3"},
            ['reviews.stage: must be "mvp", "v1.1", "v1.2" or "v2.0" (got "v3")'],
        ),
        ("reviews", {"probe": {}}, ['reviews.probe: unknown field (did you mean "probes"?)']),
        ("reviews", {"name": "sessions"}, None),
    ],
)
def test_what_is_said_of_a_wrong_declaration(
    service: str, fields: dict[str, object], lines: list[str] | None
) -> None:
    found = said(edited(service, **fields))
    if lines is None:
        assert 'sessions.name: is declared twice (got "sessions")' in found
    else:
        assert found == lines


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match='did you mean "sessions"'):
        CATALOGUE.named("session")


def test_no_address_of_an_instance_is_taken() -> None:
    shape = topology({})
    nodes = [
        *inventory(shape).nodes,
        *places.proxies(shape),
        *(
            places.instance(shape, name, number)
            for name in CATALOGUE.names
            for number in (*range(1, 17), places.CANARY)
        ),
    ]
    assert len({node.address for node in nodes}) == len(nodes)
    assert len({node.name for node in nodes}) == len(nodes)


def test_instances_and_proxies_stand_in_different_zones() -> None:
    shape = topology({})
    for name in CATALOGUE.names:
        assert len({places.instance(shape, name, number).zone for number in (1, 2, 3)}) == 3
    assert len({node.zone for node in places.proxies(shape)}) == 2


def test_the_catalogue_is_plain_data() -> None:
    json.dumps(DATA)
    assert "password" not in json.dumps(DATA)


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_is_given_the_stores_that_its_code_needs(name: str) -> None:
    service = CATALOGUE.named(name)
    given = {"redis": service.redis, "s3": service.s3}
    given |= {"mongo": service.uses(Store.MONGO), "postgres": service.uses(Store.POSTGRES)}
    assert {store for store, is_given in given.items() if is_given} == definition(name).needs
