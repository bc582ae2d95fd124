"""Every service keeps to its OpenAPI, whatever it is sent: schemathesis on real stores."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.providers import bucket_of_s3, fake_model
from tests.integration.service_lab import SERVICES, ServiceLab

pytestmark = pytest.mark.servers

EXAMPLES = "5"  # an operation, beside those that cover each rule of its schema
SECONDS = 240
CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    )
)


def schemathesis(url: str, headers: dict[str, str], folder: Path, *more: str) -> str:
    ended = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{url}/openapi.json",
            "--header",
            f"Authorization: {headers['Authorization']}",
            "--checks",
            CHECKS,
            "--max-examples",
            EXAMPLES,
            "--phases",
            "examples,coverage,fuzzing",
            "--generation-deterministic",
            "--request-timeout",
            "15",
            "--no-color",
            *more,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-1000:]
    return ended.stdout


# Each takes some ten seconds: CI asks those that the write chain goes through.
IN_CI = ("auth", "sessions", "payments")


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(name, marks=() if name in IN_CI else pytest.mark.exhaustive)
        for name in SERVICES
        if name != "gateway"
    ],
)
def test_users_get_documented_answers_and_no_5xx(
    services: ServiceLab, service: str, tmp_path: Path
) -> None:
    user = services.user("APPRENANT", "ENSEIGNANT", "MODERATEUR", "ADMIN")
    headers = {"Authorization": f"Bearer {user.token}"}
    url = services.instances[f"{service}-1"].url
    schemathesis(url, headers, tmp_path, "--exclude-path-regex", "^/internal")


# The others have no internal operation but the one that all share.
@pytest.mark.parametrize("service", ["auth", "sessions", "notifications", "payments"])
def test_services_get_documented_answers_and_no_5xx(
    services: ServiceLab, service: str, tmp_path: Path
) -> None:
    url = services.instances[f"{service}-1"].url
    schemathesis(url, services.service(), tmp_path, "--include-path-regex", "^/internal")


@contextmanager
def providers_of(service: str) -> Iterator[Mapping[str, object]]:
    """The settings without which a service of a later stage answers 501 to everybody."""
    if service == "files":
        with bucket_of_s3() as store:
            yield {"s3": store}
    elif service == "ai":
        with fake_model() as url:
            yield {"providers": {"ai": {"base_url": url, "model": "test"}}}
    elif service == "virtual-classroom":
        video = {"base_url": "https://meet.example.org", "application": "app", "secret": "s" * 32}
        yield {"providers": {"video": video}}
    else:
        yield {}


@pytest.mark.exhaustive
@pytest.mark.parametrize("service", ["files", "groups", "gamification", "ai", "virtual-classroom"])
def test_later_services_get_documented_answers_and_no_5xx(
    services: ServiceLab, service: str, tmp_path: Path
) -> None:
    user = services.user("APPRENANT", "ENSEIGNANT", "MODERATEUR", "ADMIN")
    mine = {"Authorization": f"Bearer {user.token}"}
    with (
        providers_of(service) as settings,
        services.beside(f"{service}-1", **settings) as instance,
    ):
        schemathesis(instance.url, mine, tmp_path, "--exclude-path-regex", "^/internal")
        schemathesis(
            instance.url, services.service(), tmp_path, "--include-path-regex", "^/internal"
        )
