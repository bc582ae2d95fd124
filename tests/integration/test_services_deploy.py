"""The services deployed, rolled out, broken and undeployed, under a constant load on their API."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from cluster.clock import wait_for
from cluster.inventory import Kind
from cluster.local import processes
from manifests.services import places, releases
from manifests.services.catalogue import CATALOGUE
from manifests.services.images import OWN, PACKAGES
from manifests.services.model import Stage
from skillswap_ops.engines import all_servers
from tests.conftest import Lab
from tests.integration.later_use import (
    Deployed,
    a_badge,
    a_conversation,
    a_file,
    a_group,
    an_administrator,
    no_classroom,
)
from tests.integration.providers import fake_model
from tests.integration.readme_journey import run_journey

pytestmark = pytest.mark.servers

SEED = int(os.environ.get("SKILLSWAP_OPS_TEST_SEED", "0")) or random.SystemRandom().randrange(10**6)
MVP = {service.name for service in CATALOGUE.at(Stage.MVP)}
LATER = {*CATALOGUE.names} - MVP
RATE = 40  # requests a second: enough that a gap of a tenth of a second is seen
THREE_GIGABYTES = 3 * 1000**3


@dataclass
class Load:
    """An open loop of GETs, each on a connection of its own; what was answered, by status."""

    urls: tuple[str, ...]
    answers: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        asyncio.run(self._run())

    def stop(self) -> None:
        self._stop.set()

    async def _run(self) -> None:
        async with httpx.AsyncClient(
            timeout=20, limits=httpx.Limits(max_keepalive_connections=0)
        ) as client:
            sent: list[asyncio.Task[None]] = []
            begun = time.monotonic()
            while not self._stop.is_set():
                sent.append(asyncio.create_task(self._one(client, len(sent))))
                due = begun + len(sent) / RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.gather(*sent)

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        url = self.urls[number % len(self.urls)]
        try:
            answer = await client.get(url)
            self.answers[str(answer.status_code)] += 1
        except httpx.HTTPError as error:
            self.answers[f"{type(error).__name__} {url}"] += 1


@contextmanager
def load(lab: Lab, service: str) -> Iterator[Load]:
    """Requests through both proxies, to the gateway and to the service itself."""
    shape = lab.context.topology
    urls = tuple(
        f"http://{node.at(port)}/healthz"
        for node in places.proxies(shape)
        for port in (places.PORT, places.internal_port(service))
    )
    made = Load(urls)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()


def answered(made: Load) -> None:
    """Every request was, and well."""
    assert set(made.answers) == {"200"}, made.answers
    assert made.answers["200"] > RATE


def copy_of_the_code(folder: Path, version: str) -> Path:
    """An image of its own: this code, which says that it is another version."""
    folder.mkdir()
    folder.chmod(0o755)
    for package in PACKAGES:
        shutil.copytree(OWN / package, folder / package)
    init = folder / "skillswap_ops" / "__init__.py"
    init.write_text(f'"""A version for a test."""\n\n__version__ = "{version}"\n')
    return folder


def broken(folder: Path) -> Path:
    """A version whose `auth` ends while it starts."""
    made = copy_of_the_code(folder, "0.0.13")
    main = made / "skillswap_ops" / "services" / "__main__.py"
    main.write_text(
        "import sys\nif 'auth' in sys.argv:\n    sys.exit('no such module: seeded defect')\n"
        + main.read_text()
    )
    return made


def seen(lab: Lab, code: int | None = 0) -> dict[str, dict[str, object]]:
    found = lab.json("services", "status", code=code)
    assert isinstance(found, dict)
    return {each["service"]: each for each in found["services"]}


@pytest.fixture(scope="module")
def before(shared_lab: Lab) -> int:
    """The memory of the cluster before anything is deployed, in bytes."""
    return shared_lab.memory()


@pytest.fixture(scope="module")
def lab(shared_lab: Lab, before: int) -> Iterator[Lab]:
    """The shared cluster with the MVP deployed; undeployed at the end, leaving nothing."""
    assert before
    shared_lab.run("services", "deploy", "--stage", "mvp")
    yield shared_lab
    replicas = releases.load(shared_lab.context.layout.releases).replicas
    sockets = {
        (server.node.address, port)
        for server in all_servers(shared_lab.context)
        for port in server.ports
        if server.node.kind in {Kind.WEB, Kind.SERVICE}
    }
    # Instances; the proxies' own, and to each service.
    assert len(sockets) == sum(replicas.values()) + 2 * (2 + len(replicas))
    shared_lab.run("services", "undeploy", "--yes")
    leaves_nothing(shared_lab, sockets)


def leaves_nothing(lab: Lab, sockets: set[tuple[str, int]]) -> None:
    layout = lab.context.layout
    names = tuple(f"{name}-" for name in (*CATALOGUE.names, "web"))
    for folder in (layout.root / "nodes", layout.supervisor / "programs", layout.root / "logs"):
        assert [path.name for path in folder.iterdir() if path.name.startswith(names)] == []
    for name in ("services.json", "images"):
        assert not (layout.root / name).exists()
    assert not list(layout.secrets.glob("services-*"))
    running = {process.server for process in processes.owned(layout.root)}
    assert not [name for name in running if name.startswith(names)]
    listening = {
        tuple(connection.laddr)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert not listening & sockets
    assert lab.run("services", "status", code=1).stdout == ""
    assert lab.run("status").returncode == 0


def test_two_instances_of_each_mvp_service_and_less_than_three_gigabytes(
    before: int, lab: Lab
) -> None:
    services = seen(lab)
    assert set(services) == MVP
    for service in services.values():
        assert (service["wanted"], service["ready"], service["revision"]) == (2, 2, 1)
        instances = service["instances"]
        assert isinstance(instances, list)
        assert len({one["zone"] for one in instances}) == 2
    added = lab.memory() - before
    assert int(lab.fresh_memory.read_text("utf-8")) + added < THREE_GIGABYTES


def test_the_journey_of_the_readme(lab: Lab, tmp_path: Path) -> None:
    ended = run_journey(lab, tmp_path)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    invoice = ended.stdout.splitlines()[-1].replace(" ", "")
    assert '"statut":"PAYEE"' in invoice, ended.stdout


def test_status_fits_one_hundred_columns(lab: Lab) -> None:
    for words in (("services", "status"), ("status",)):
        assert max(map(len, lab.run(*words).stdout.splitlines())) <= 100


def test_deploying_again_changes_nothing(lab: Lab) -> None:
    before = pids(lab)
    shown = lab.run("services", "deploy", "--stage", "mvp").stderr
    assert "Done: 0 of" in shown
    assert lab.json("services", "deploy", "--stage", "mvp", "--dry-run") is not None
    assert pids(lab) == before
    assert "nothing to change" in lab.run("provision").stderr
    assert pids(lab) == before


def pids(lab: Lab) -> dict[str, int | None]:
    context = lab.context
    return {server.name: context.target.state(server).pid for server in all_servers(context)}


def test_after_kill_9_provision_starts_only_that_instance(lab: Lab) -> None:
    before = pids(lab)
    pid = before["chat-2"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for("its end", lambda: not psutil.pid_exists(pid), seconds=60)
    with load(lab, "chat") as made:
        lab.run("provision")
    answered(made)
    after = pids(lab)
    assert {name for name in after if after[name] != before[name]} == {"chat-2"}


def test_a_rolling_update_fails_no_request(lab: Lab, tmp_path: Path) -> None:
    image = copy_of_the_code(tmp_path / "new", "0.0.12")
    with load(lab, "auth") as made:
        lab.run("services", "rollout", "auth", "--image", str(image))
    answered(made)
    auth = seen(lab)["auth"]
    assert str(auth["version"]).startswith("0.0.12-")
    versions = {one["version"] for one in auth["instances"]}  # type: ignore[attr-defined]
    assert versions == {auth["version"]}


def test_a_broken_image_is_rolled_back_and_fails_no_request(lab: Lab, tmp_path: Path) -> None:
    before, was = pids(lab), seen(lab)["auth"]
    image = broken(tmp_path / "broken")
    with load(lab, "auth") as made:
        refused = lab.run("services", "rollout", "auth", "--image", str(image), code=1).stderr
    answered(made)
    assert "seeded defect" in refused  # the log's last lines
    auth = seen(lab)["auth"]
    assert (auth["version"], auth["revision"]) == (was["version"], was["revision"])
    assert "failed" in str(auth["last"])
    assert pids(lab) == before


def test_rollback_goes_to_what_was_live_before(lab: Lab) -> None:
    first = seen(lab)["skills"]["version"]
    with load(lab, "auth") as made:
        lab.run("services", "rollback", "auth")
    answered(made)
    assert seen(lab)["auth"]["version"] == first


def test_a_killed_rollout_is_ended_by_the_next_command(lab: Lab) -> None:
    """kill -9 at a random moment; then the same again. No request fails meanwhile."""
    moment = random.Random(SEED).uniform(1.0, 15.0)
    print(f"seed {SEED}: kill -9 after {moment:.2f} s")
    words = ("services", "rollout", "notifications", "--set", "limits.login_per_minute=29")
    with load(lab, "notifications") as made:
        running = subprocess.Popen(
            lab.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(moment)  # the moment is what is tested, not something to wait for
        running.kill()
        running.wait()
        lab.run(*words)
    answered(made)
    found = releases.load(lab.context.layout.releases)
    assert found.change is None
    live = found.wanted("notifications")
    assert live is not None
    assert live.settings == {"limits.login_per_minute": 29}
    service = seen(lab)["notifications"]
    assert (service["ready"], len(service["instances"])) == (2, 2)  # type: ignore[arg-type]


def test_scale_up_and_down_fail_no_request(lab: Lab) -> None:
    with load(lab, "skills") as made:
        lab.run("services", "scale", "skills=3")
        assert seen(lab)["skills"]["ready"] == 3
        lab.run("services", "scale", "skills=2")
    answered(made)
    assert len(seen(lab)["skills"]["instances"]) == 2  # type: ignore[arg-type]
    nodes = lab.context.layout.root / "nodes"
    assert not (nodes / "skills-3").exists()
    assert not (nodes / "skills-canary").exists()


def test_logs_and_endpoints_know_the_services(lab: Lab) -> None:
    assert "auth-1 | " in lab.run("services", "logs", "auth").stdout
    assert "auth-1" in lab.run("services", "logs", "nonesuch", code=2).stderr
    url = lab.run("services", "endpoints", "api-web-1").stdout.strip()
    assert httpx.get(f"{url}/healthz").status_code == 200
    rows = lab.json("endpoints")
    assert isinstance(rows, list)
    assert url in {row["uri"] for row in rows}


def test_undeploy_asks(lab: Lab) -> None:
    assert "--yes" in lab.run("services", "undeploy", code=2).stderr


@pytest.mark.exhaustive  # their services run in CI as processes: test_services_later
def test_the_later_stages_deployed_and_used(lab: Lab) -> None:
    """One instance of each service that the MVP lacks; the last test, for they stay."""
    once = [word for name in sorted(LATER) for word in ("--replicas", f"{name}=1")]
    lab.run("services", "deploy", "--stage", "v2.0", *once)
    deployed = Deployed(lab.context)
    services = seen(lab)
    assert set(services) == MVP | LATER
    assert all(services[name]["ready"] == 1 for name in LATER)
    a_file(deployed, lab.context.layout.authority)
    a_group(deployed)
    a_badge(deployed)
    no_classroom(deployed)
    with fake_model() as url:
        provider = (f"providers.ai.base_url={url}", "providers.ai.model=test")
        lab.run("services", "rollout", "ai", *(f"--set={each}" for each in provider))
        a_conversation(deployed)


def test_the_first_administrator_is_named_from_the_command_line(lab: Lab) -> None:
    def grant(email: str) -> object:
        return lab.json("services", "admin", "grant", email, "--yes")

    an_administrator(Deployed(lab.context), grant)
    assert "--yes" in lab.run("services", "admin", "grant", "a@example.org", code=2).stderr
    gone = lab.run("services", "admin", "grant", "nobody@example.org", "--yes", code=2).stderr
    assert "no account has the e-mail nobody@example.org" in gone
    wrong = lab.run("services", "admin", "grant", "no-address", "--yes", code=2).stderr
    assert "refused" in wrong
