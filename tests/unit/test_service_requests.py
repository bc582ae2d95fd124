"""What surrounds a request: problems, ids, limits, headers, draining."""

import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from cluster.schema.catalogue import BY_NAME
from skillswap_ops.services import __main__ as program
from skillswap_ops.services.base.personal import blanking
from skillswap_ops.services.base.tokens import Tokens
from tests.unit.service_samples import application, settings

USER = "5b4f2c34-3f0e-4c7e-9f7e-0a4c2f1d9e11"


@pytest.fixture(scope="module")
def client() -> TestClient:
    limits = {"body_bytes": 2048}
    return TestClient(application("skills", limits=limits), raise_server_exceptions=False)


def token(*roles: str) -> dict[str, str]:
    signed = Tokens(settings("skills").jwt).access(USER, roles)
    return {"Authorization": f"Bearer {signed}"}


def problem(answer: "object", status: int, slug: str) -> dict[str, object]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:skillswap:problem:{slug}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def test_no_token_or_a_service_s(client: TestClient) -> None:
    body = problem(client.get("/skills"), 401, "unauthenticated")
    assert body["detail"] == "no bearer token"
    assert "www-authenticate" in client.get("/skills").headers
    service = Tokens(settings("skills").jwt).service("chat")
    refused = client.get("/skills", headers={"Authorization": f"Bearer {service}"})
    problem(refused, 403, "forbidden")
    problem(client.get(f"/internal/personal/{USER}", headers=token("ADMIN")), 403, "forbidden")


def test_wrong_fields_are_named_and_not_repeated(client: TestClient) -> None:
    body = {
        "libelle": "x",
        "type": "VEND",
        "niveau": "AVANCE",
        "langues": ["fr"],
        "surplus": "s3cr",
    }
    answer = client.post("/skills", json=body, headers=token())
    fields = {f["where"]: f["reason"] for f in problem(answer, 422, "invalid")["fields"]}
    assert fields["body.surplus"] == "unknown field"
    assert fields["body.disponibilite"] == "is required"
    assert "body.type" in fields
    assert "s3cr" not in answer.text


def test_what_is_not_json_or_no_path_or_no_method(client: TestClient) -> None:
    headers = {**token(), "Content-Type": "application/json"}
    problem(client.post("/skills", content=b"{", headers=headers), 400, "malformed")
    problem(client.get("/nothing"), 404, "not-found")
    answer = client.patch("/skills")
    problem(answer, 405, "method-not-allowed")
    assert "allow" in answer.headers


def test_a_body_that_is_too_long_announced_or_not(client: TestClient) -> None:
    long = b'"' + b"x" * 3000 + b'"'
    problem(client.post("/skills", content=long, headers=token()), 413, "too-large")

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    headers = {**token(), "Content-Type": "application/json"}
    problem(client.post("/skills", content=pieces(), headers=headers), 413, "too-large")


def test_request_ids_are_kept_if_they_are_harmless(client: TestClient) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": "abc-12345"})
    assert given.headers["x-request-id"] == "abc-12345"
    bad = client.get("/healthz", headers={"X-Request-ID": 'x" evil'})
    assert bad.headers["x-request-id"] != 'x" evil'


def test_headers_are_helmet_s(client: TestClient) -> None:
    headers = client.get("/healthz").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in headers
    assert "x-powered-by" not in headers


def test_an_unreachable_store_is_named_and_drain_comes_first(client: TestClient) -> None:
    body = problem(client.get("/readyz"), 503, "unavailable")
    assert body["detail"] == "unreachable: mongo"
    runtime = client.app.state.runtime
    runtime.draining = True
    try:
        answer = client.get("/readyz")
        problem(answer, 503, "draining")
        assert answer.headers["connection"] == "close"
        assert client.get("/healthz").status_code == 200
    finally:
        runtime.draining = False


def test_metrics_count_by_route(client: TestClient) -> None:
    client.get(f"/skills/{USER}")
    text = client.get("/metrics").text
    line = 'skillswap_requests_total{method="GET",route="/skills/{id_competence}",status="401"}'
    assert line in text
    assert 'skillswap_service_info{instance="skills-1",service="skills",version="1.2.3"}' in text
    assert USER not in text


def test_cors_is_for_approved_origins_only() -> None:
    gateway = TestClient(application("gateway", cors_origins=["https://app.example.org"]))
    asked = {"Access-Control-Request-Method": "POST"}
    good = gateway.options("/x", headers={"Origin": "https://app.example.org", **asked})
    assert good.headers["access-control-allow-origin"] == "https://app.example.org"
    bad = gateway.options("/x", headers={"Origin": "https://evil.example.org", **asked})
    assert "access-control-allow-origin" not in bad.headers


def test_a_wrong_file_is_a_usage_error(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "auth.json"
    file.write_text(settings("auth").to_json(), "utf-8")
    assert program.main(["skills", "--config", str(file)]) == 2
    assert "service: must be skills (got auth)" in capsys.readouterr().err
    assert program.main(["auth", "--config", str(tmp_path / "none")]) == 2
    data = json.loads(file.read_text("utf-8"))
    data["mongo"] = None
    file.write_text(json.dumps(data), "utf-8")
    assert program.main(["auth", "--config", str(file)]) == 2
    assert "mongo: is required by the service auth" in capsys.readouterr().err


def test_what_is_blanked_is_declared() -> None:
    found = blanking(BY_NAME["MESSAGE"], {"texte": "(…)", "pieces_jointes": None})
    assert found == {"$set": {"texte": "(…)"}, "$unset": {"pieces_jointes": ""}}
    with pytest.raises(KeyError):
        blanking(BY_NAME["MESSAGE"], {"corps": ""})
