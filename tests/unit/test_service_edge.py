"""The services' proxies: their configuration as HAProxy reads it, and what they say."""

import re
import subprocess
from pathlib import Path

import pytest

from cluster.context import Context
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.programs import Programs
from cluster.secrets import SecretStore
from manifests.services import edge, places
from manifests.services.catalogue import CATALOGUE
from manifests.services.edge import parse_view
from manifests.services.model import Probe, Stage
from tests.unit.topology_samples import topology

ALL = {service.name: 2 for service in CATALOGUE.services}
STATISTICS = """\
# pxname,svname,status,check_status
statistics,FRONTEND,OPEN,
to-auth,FRONTEND,OPEN,
auth,auth-1,UP,L7OK
auth,auth-2,UP 1/2,L7STS
auth,auth-3,DOWN 1/2,L7OK
auth,auth-canary,DOWN,L4CON
auth,BACKEND,UP,
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    shape = topology({})
    layout = Layout(tmp_path)
    return Context(
        shape,
        inventory(shape),
        layout,
        SecretStore(layout.secrets),
        None,  # type: ignore[arg-type] - nothing is run
        Programs(),
    )


def text(context: Context, replicas: dict[str, int] | None = None) -> str:
    server = edge.servers(context, ALL if replicas is None else replicas)[0]
    return server.files[0].text


@pytest.mark.parametrize("stage", list(Stage))
def test_haproxy_takes_the_configuration(context: Context, tmp_path: Path, stage: Stage) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(text(context, {each.name: 3 for each in CATALOGUE.at(stage)}))
    ended = subprocess.run(
        [Programs().find("haproxy", "haproxy"), "-c", "-f", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr, ended.stderr


def test_the_password_is_in_a_file_of_mode_0600_alone(context: Context) -> None:
    server = edge.servers(context, ALL)[0]
    secret = context.secrets.get(edge.STATS_SECRET).get_secret_value()
    assert server.files[0].secret
    assert secret in server.files[0].text
    assert secret not in " ".join(server.argv)


def test_every_instance_and_its_canary_is_behind_its_service(context: Context) -> None:
    found = dict(
        re.findall(r"^backend (\S+)\n(.*?)(?=^frontend|^backend|\Z)", text(context), re.M | re.S)
    )
    assert set(found) == set(CATALOGUE.names)
    servers = re.findall(r"server (\S+) (\S+) check", found["chat"])
    shape = context.topology
    assert servers == [
        ("chat-1", places.instance(shape, "chat", 1).at(8080)),
        ("chat-2", places.instance(shape, "chat", 2).at(8080)),
        ("chat-canary", places.instance(shape, "chat", places.CANARY).at(8080)),
    ]


def test_a_service_has_a_port_of_its_own_and_the_public_one_is_the_gateways(
    context: Context,
) -> None:
    ports = {port for server in edge.servers(context, ALL) for port in server.ports}
    assert ports == {8080, 7000, *range(9000, 9014)}
    [public] = re.findall(r"^frontend public\n(.*?)^frontend", text(context), re.M | re.S)
    assert "default_backend gateway" in public


def test_only_what_changes_nothing_is_repeated(context: Context) -> None:
    for backend in re.findall(r"^backend .*?(?=^frontend|\Z)", text(context), re.M | re.S):
        assert "disable-l7-retry unless { method GET HEAD OPTIONS }" in backend


def test_an_instance_drains_until_every_proxy_knows() -> None:
    probe = Probe(path="/readyz", period=2, timeout=1, failures=3)
    assert edge.drain_seconds(probe) > 2 * 3 + 1
    slower = probe.model_copy(update={"period": 4})
    assert edge.drain_seconds(slower) - edge.drain_seconds(probe) == 6


def test_the_checks_are_those_of_the_catalogue(context: Context) -> None:
    probe = CATALOGUE.named("auth").probes.ready
    assert f"inter {round(probe.period * 1000)}ms fall {probe.failures}" in text(context)


def test_where_nothing_is_deployed_there_are_no_proxies(context: Context) -> None:
    assert edge.servers(context, {}) == ()


def test_an_instance_on_its_way_down_still_gets_requests() -> None:
    assert parse_view(STATISTICS).up == {"auth-1", "auth-2"}
