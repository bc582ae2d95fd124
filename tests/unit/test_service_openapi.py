"""Every operation lists what it can answer, and every request is as closed as the data model."""

from typing import Any

import pytest

from cluster.schema.catalogue import BY_NAME
from skillswap_ops.services.base import problems
from skillswap_ops.services.registry import NAMES
from tests.unit.service_samples import application

ALWAYS = {str(kind.status) for kind in problems.ALWAYS}


def operations(name: str) -> list[tuple[str, dict[str, Any]]]:
    document = application(name).openapi()
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_lists_its_problems(name: str) -> None:
    for what, operation in operations(name):
        responses = operation["responses"]
        assert set(responses) >= ALWAYS, what
        if operation.get("security"):
            assert set(responses) >= {"401", "403"}, what
        for status, response in responses.items():
            if int(status) >= 400:
                schema = response["content"][problems.MEDIA_TYPE]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (what, status)


@pytest.mark.parametrize("name", NAMES)
def test_references_lead_somewhere(name: str) -> None:
    document = application(name).openapi()
    schemas = document["components"]["schemas"]
    assert {"Problem", "FieldProblem"} <= set(schemas)

    def check(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/components/schemas/") in schemas
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for value in node:
                check(value)

    check(document)


@pytest.mark.parametrize("name", NAMES)
def test_bodies_refuse_unknown_fields(name: str) -> None:
    document = application(name).openapi()
    for what, operation in operations(name):
        body = operation.get("requestBody")
        if body:
            reference = body["content"]["application/json"]["schema"]["$ref"]
            schema = document["components"]["schemas"][reference.rpartition("/")[2]]
            assert schema["additionalProperties"] is False, what


@pytest.mark.parametrize("name", NAMES)
def test_only_log_in_and_health_need_no_token(name: str) -> None:
    free = {what for what, operation in operations(name) if not operation.get("security")}
    assert free <= {
        "get /healthz",
        "get /readyz",
        "post /auth/register",
        "post /auth/login",
        "post /auth/refresh",
        "post /auth/logout",
    }


def words(name: str, model: str, field: str) -> set[str]:
    schemas = application(name).openapi()["components"]["schemas"]
    found = schemas[model]["properties"][field]
    found = found.get("items", found)
    return set(found.get("enum", [found.get("const")]))


@pytest.mark.parametrize(
    ("service", "model", "field", "entity"),
    [
        ("auth", "OwnProfile", "roles", "UTILISATEUR"),
        ("auth", "OwnProfile", "langue_preferee", "UTILISATEUR"),
        ("skills", "StoredSkill", "type", "COMPETENCE"),
        ("skills", "StoredSkill", "niveau", "COMPETENCE"),
        ("skills", "StoredSkill", "langues", "COMPETENCE"),
        ("sessions", "Session", "statut", "SESSION"),
        ("sessions", "Session", "mode", "SESSION"),
        ("chat", "Message", "langue", "MESSAGE"),
        ("notifications", "Notification", "statut", "JOURNAL_NOTIFICATION"),
        ("notifications", "Notification", "canal", "JOURNAL_NOTIFICATION"),
        ("admin", "Report", "motif", "SIGNALEMENT"),
        ("admin", "Report", "statut", "SIGNALEMENT"),
        ("admin", "Entry", "action", "JOURNAL_AUDIT"),
        ("payments", "Intent", "statut", "INTENTION_PAIEMENT"),
        ("payments", "Intent", "devise", "INTENTION_PAIEMENT"),
        ("payments", "Invoice", "statut", "FACTURE"),
        ("payments", "Subscription", "statut", "ABONNEMENT"),
        ("payments", "Subscription", "formule", "ABONNEMENT"),
        ("payments", "Entitlement", "droit", "DROIT_ACCES"),
    ],
)
def test_words_are_the_data_model_s(service: str, model: str, field: str, entity: str) -> None:
    assert words(service, model, field) == set(BY_NAME[entity].field(field).values)
