"""Service instances as real processes on the shared lab's stores."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import httpx

from cluster.inventory import Kind, address
from manifests import redis as redis_servers
from manifests.services.settings import Settings, parse
from mongo import nodes
from mongo.credentials import APPLICATION, login
from postgres import guarantees, names
from skillswap_ops.services.base.tokens import Tokens
from skillswap_ops.services.registry import NAMES
from skillswap_ops.wiring import LocalContext
from tests.conftest import ROOT, Lab

BLOCK = 200  # of the lab's network, where no node of a topology is
PORT = 8080
START_SECONDS = 60
PASSWORD = "correct horse battery"
SERVICES = (
    "gateway",
    "auth",
    "skills",
    "sessions",
    "chat",
    "reviews",
    "notifications",
    "admin",
    "payments",
)


@dataclass
class Instance:
    """A process, and where it listens."""

    settings: Settings
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"

    def kill(self) -> None:
        """SIGKILL, as a machine that loses power."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, seconds: float = 30) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Until /readyz says 200."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text("utf-8")[-3000:]
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.log.read_text('utf-8')[-3000:]}")


@dataclass
class ServiceLab:
    """The stores' settings, and the instances that run."""

    lab: Lab
    folder: Path
    instances: dict[str, Instance] = field(default_factory=dict)
    _logs: list[TextIO] = field(default_factory=list)

    @property
    def context(self) -> LocalContext:
        return self.lab.context

    def host(self, name: str) -> str:
        """An instance's address: by its service's place, and its number."""
        service, _, number = name.rpartition("-")
        place = NAMES.index(service)
        return address(self.context.topology, BLOCK + place, int(number))

    def stores(self) -> dict[str, Any]:
        """What the settings say of the stores."""
        context = self.context
        mongo = login(context, APPLICATION)
        parameters = guarantees.parameters(context, names.POOLED_PORT)
        (cache, *_) = context.inventory.of(Kind.REDIS)
        return {
            "mongo": {
                "hosts": nodes.hosts(nodes.routers(context)).split(","),
                "user": mongo.user,
                "password": mongo.password.get_secret_value(),
            },
            "postgres": {
                "hosts": str(parameters["host"]).split(","),
                "port": parameters["port"],
                "dbname": parameters["dbname"],
                "user": parameters["user"],
                "password": parameters["password"],
            },
            "redis": {
                "host": cache.address,
                "port": redis_servers.PORT,
                "user": "app",
                "password": context.secrets.get("redis-app").get_secret_value(),
            },
        }

    def settings(self, name: str, **changes: Any) -> Settings:
        """An instance's settings; its peers are the first instance of each service."""
        service = name.rpartition("-")[0]
        data: dict[str, Any] = {
            "service": service,
            "instance": name,
            "version": "1.0.0",
            "host": self.host(name),
            "port": PORT,
            "jwt": {"active": "k1", "keys": {"k1": "integration-tests-only-" + "x" * 20}},
            "upstreams": {
                other: f"http://{self.host(f'{other}-1')}:{PORT}"
                for other in SERVICES
                if other not in {"gateway", service}
            },
            "providers": {"card": "sandbox"},
            "drain_seconds": 1,
            "limits": {
                "user_per_minute": 100_000,
                "anonymous_per_minute": 100_000,
                "login_per_minute": 100_000,
            },
            **self.stores(),
        }
        return parse(data | changes, name)

    def start(self, name: str, **changes: Any) -> Instance:
        """Start an instance, without waiting for it."""
        settings = self.settings(name, **changes)
        file = self.folder / f"{name}.json"
        file.touch(0o600)
        file.write_text(settings.to_json(), "utf-8")
        log = self.folder / f"{name}.log"
        stream = log.open("a", encoding="utf-8")
        self._logs.append(stream)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "skillswap_ops.services",
                settings.service,
                "--config",
                str(file),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=stream,
        )
        self.instances[name] = Instance(settings, process, log)
        return self.instances[name]

    def ready(self, name: str, **changes: Any) -> Instance:
        """Start an instance and wait until it is ready."""
        instance = self.start(name, **changes)
        instance.wait_ready()
        return instance

    @contextmanager
    def beside(self, name: str, **changes: Any) -> Iterator[Instance]:
        """An instance for one test."""
        instance = self.ready(name, **changes)
        try:
            yield instance
        finally:
            # Gone from the list too: what asks every instance is not to ask this one.
            self.instances.pop(name, None)
            if instance.process.poll() is None:
                instance.kill()

    def stop(self) -> None:
        """End whatever runs."""
        for instance in self.instances.values():
            if instance.process.poll() is None:
                instance.process.kill()
                instance.process.wait(10)
        for stream in self._logs:
            stream.close()

    @property
    def tokens(self) -> Tokens:
        return Tokens(self.settings("gateway-1").jwt)

    def service(self, name: str = "auth") -> dict[str, str]:
        """The headers of a service that asks for itself."""
        return {"Authorization": f"Bearer {self.tokens.service(name)}"}

    def user(self, *roles: str, name: str = "Ada Lovelace") -> "User":
        """A new user, through the gateway."""
        email = f"{uuid4()}@example.org"
        client = httpx.Client(base_url=self.instances["gateway-1"].url, timeout=30)
        body = {
            "nom": name,
            "courriel": email,
            "mot_de_passe": PASSWORD,
            "roles": ["APPRENANT", "ENSEIGNANT"],
            "consentement": True,
        }
        made = expect(client.post("/auth/register", json=body), 201)
        user = User(client, made["id_utilisateur"], email)
        if roles:
            grant = {"roles": list(roles)}
            url = f"{self.instances['auth-1'].url}/internal/users/{user.id}/roles"
            assert httpx.put(url, json=grant, headers=self.service("admin")).status_code == 204
        user.login()
        return user


@dataclass
class User:
    """A user who is logged in."""

    client: httpx.Client
    id: str
    email: str
    refresh: str = ""
    token: str = ""

    def login(self, password: str = PASSWORD) -> None:
        body = {"courriel": self.email, "mot_de_passe": password}
        self.take(expect(self.client.post("/auth/login", json=body), 200))

    def take(self, pair: Mapping[str, str]) -> None:
        """Use these tokens from now on."""
        self.token, self.refresh = pair["access_token"], pair["refresh_token"]
        self.client.headers["Authorization"] = f"Bearer {self.token}"


def expect(answer: httpx.Response, status: int) -> Any:
    """The answer's JSON, which must have this status."""
    shown = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
    assert answer.status_code == status, shown
    return json.loads(answer.text) if answer.text else None


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem, which must be of this kind."""
    body: dict[str, Any] = expect(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:skillswap:problem:{slug}", body
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


@contextmanager
def running(lab: Lab, folder: Path) -> Iterator[ServiceLab]:
    """Every MVP service once, and chat and sessions twice."""
    made = ServiceLab(lab, folder)
    try:
        started = [made.start(f"{name}-1") for name in SERVICES]
        started += [made.start("chat-2"), made.start("sessions-2")]
        for instance in started:
            instance.wait_ready()
        yield made
    finally:
        made.stop()
