"""TLS of pods: who has a certificate, for which names, and that nothing asks without it."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cluster import tls
from cluster.context import Context
from cluster.errors import InvalidInputError, MissingPrerequisiteError, RefusedError
from cluster.inventory import Node
from cluster.kubernetes.api import Api
from cluster.layout import Layout, PodLayout
from cluster.secrets import SecretStore
from cluster.target import Target, ToolResult
from cluster.topology_file import dump_topology
from manifests.kubernetes.alerts import WITHOUT, alerts
from manifests.kubernetes.build import components, objects
from manifests.kubernetes.component import Component
from manifests.kubernetes.inventory import pod_inventory
from manifests.kubernetes.objects import Manifest
from manifests.kubernetes.programs import PodPrograms
from mongo import certificates as mongo_certificates
from mongo.backup.planning import Plan, SetPlan
from mongo.backup.restoring import _job
from postgres import certificates as postgres_certificates
from postgres import instance
from skillswap_ops.engines import engine_steps
from skillswap_ops.kubernetes.context import blueprint, pod_context
from skillswap_ops.kubernetes.definitions import defined
from skillswap_ops.kubernetes.provisioning import refuse_other_tls
from skillswap_ops.kubernetes.rendering import certificates_to_give
from skillswap_ops.main import cli
from tests.unit.certificate_schema import CERTIFICATE
from tests.unit.kubernetes_samples import VERSIONS, complaints, edited, everything, one
from tests.unit.topology_samples import changed, topology

ISSUER = {"kind": "Issuer", "name": "internal-ca"}
AWAY = {
    "kubernetes.dr_cluster": {
        "context": "central",
        "primary_host": "payments.example.org",
        "networks": ["192.0.2.0/24"],
    }
}
SOURCES: dict[str, dict[str, object]] = {
    "cert-manager": {"source": "cert-manager", "issuer": ISSUER},
    "given": {"source": "given"},
}
PEM, CA = "/skillswap/conf/tls.pem", "/skillswap/trust/ca.crt"
HOST = re.compile(r"\b([a-z0-9-]+(?:\.[a-z0-9-]+)?)\.skillswap\.svc\.cluster\.local\b")
PLAIN = re.compile(
    r"http://[a-z0-9.-]+\.svc|redis://|mongodb://[^,]*?directConnection=true(?!&tls=true)"
    r"|sslmode=(?!verify-full)|^ *- host (?:all|replication) ",
    re.MULTILINE,
)


def on(source: str, **more: object) -> dict[str, object]:
    return {
        "tls.enabled": True,
        "kubernetes.tls": SOURCES[source],
        "kubernetes.host": "api.example.org",
        **more,
    }


@cache
def parts(source: str, *, away: bool = False) -> tuple[Component, ...]:
    return edited(on(source, **(AWAY if away else {})))


def found(source: str) -> tuple[Manifest, ...]:
    return objects(parts(source))


def data(each: Manifest) -> Any:
    return each.data


def templates(all_: tuple[Manifest, ...]) -> Iterator[tuple[str, Any]]:
    """Every pod's template, by its object's name."""
    for each in all_:
        if each.kind in {"StatefulSet", "Deployment", "Job"}:
            yield each.name, data(each)["spec"]["template"]
        if each.kind == "CronJob":
            yield each.name, data(each)["spec"]["jobTemplate"]["spec"]["template"]


def texts(all_: tuple[Manifest, ...]) -> dict[str, dict[str, str]]:
    """The entries of each config map and Secret, by its name and kind."""
    rows = [each for each in all_ if each.kind in {"ConfigMap", "Secret"}]
    return {
        f"{each.kind}/{each.name}": dict(data(each).get("data") or data(each)["stringData"])
        for each in rows
    }


def files_of(all_: tuple[Manifest, ...], template: Any) -> dict[str, str]:
    """What a pod's first container copies, as `NODE/FILE`; of a foreign Secret its name and key."""
    known, mounted = texts(all_), {}
    for volume in template["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            for kind, part in (("ConfigMap", "configMap"), ("Secret", "secret")):
                for item in source.get(part, {}).get("items", ()):
                    name = source[part]["name"]
                    own = known.get(f"{kind}/{name}", {}).get(item["key"])
                    mounted[item["path"]] = own or f"{name}: {item['key']}"
    return mounted


# The setting


def test_without_a_source_it_is_refused_and_said_what_to_write() -> None:
    with pytest.raises(InvalidInputError) as caught:
        blueprint(topology({"tls.enabled": True}), None)
    assert caught.value.exit_code == 2
    assert "kubernetes.tls must say where certificates come from" in caught.value.message
    assert "source: cert-manager, issuer: {name: …}" in caught.value.hint
    blueprint(topology({"kubernetes.tls": {"source": "given"}}), None)


def test_a_source_alone_changes_nothing() -> None:
    quiet = edited({"kubernetes.tls": SOURCES["cert-manager"]})
    kinds = {"ConfigMap", "Job"}  # the topology itself, and the job that goes by it
    before = {each.key: each.data for each in everything("tp3") if each.kind not in kinds}
    after = {each.key: each.data for each in objects(quiet) if each.kind not in kinds}
    assert before == after
    assert "trust" not in str(before)


# Certificates


def test_cert_manager_takes_every_order() -> None:
    check = Draft202012Validator(CERTIFICATE)
    made = [each for each in found("cert-manager") if each.kind == "Certificate"]
    assert len(made) == 9 + 3 + 2 + 1 + 13
    for each in made:
        wrong = [error.message for error in check.iter_errors(each.data)]
        assert not wrong, each.key
        spec = data(each)["spec"]
        assert spec["issuerRef"] == {"group": "cert-manager.io", **ISSUER}
        assert spec["privateKey"]["rotationPolicy"] == "Always"
        assert spec["additionalOutputFormats"] == [{"type": "CombinedPEM"}]
        assert (spec["duration"], spec["renewBefore"]) == (f"{365 * 24}h", f"{365 * 8}h")
        assert not [name for name in spec["dnsNames"] if "*" in name]
    spec = {**data(made[0])["spec"], "secret": "x"}
    assert list(check.iter_errors({**made[0].data, "spec": spec}))


@pytest.mark.parametrize("days", [1, 2, 3650])
def test_a_short_life_is_renewed_within_it(days: int) -> None:
    edits = {**on("cert-manager"), "tls.leaf_days": days}
    spec = one(edited(edits), "Certificate/shard-a-1-certificate")["spec"]
    assert (spec["duration"], spec["renewBefore"]) == (f"{days * 24}h", f"{days * 8}h")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_rest(source: str, version: str) -> None:
    native = [each for each in found(source) if not each.custom]
    wrong = {each.key: said for each in native if (said := complaints(each.data, version))}
    assert not wrong


@pytest.mark.parametrize("source", SOURCES)
def test_no_key_is_rendered(source: str, tmp_path: Path) -> None:
    plan = blueprint(topology(on(source)), SecretStore(tmp_path / "secrets"))
    everywhere = components(plan)
    text = str([each.data for each in objects(everywhere)])
    assert "BEGIN " not in text
    kinds = {each.kind for each in objects(everywhere)}
    assert ("Certificate" in kinds) is (source == "cert-manager")
    assert not [each for each in objects(everywhere) if each.secret and "certificate" in each.name]
    assert not list(tmp_path.rglob("*.pem"))


# Pods


@pytest.mark.parametrize("source", SOURCES)
def test_every_server_that_names_a_certificate_has_its_nodes_own(source: str) -> None:
    all_, having = found(source), set()
    for name, template in templates(all_):
        mounted = files_of(all_, template)
        for path, text in mounted.items():
            node = path.partition("/")[0]
            if PEM in text:
                having.add(node)
                wanted = f"{node}-certificate: tls-combined.pem"
                assert mounted.get(f"{node}/tls.pem") == wanted, f"{name}: {path}"
    nodes = {node.name for node in pod_inventory(topology(on(source))).nodes} - {"archiver-1"}
    assert having == nodes | {
        each.name for each in all_ if each.name.startswith("service-") and each.kind == "Deployment"
    }


def test_an_arbiter_has_its_own() -> None:
    edits = {**on("given"), "mongo.shards[0].members": 2, "mongo.shards[0].arbiter": True}
    all_ = objects(edited(edits))
    (template,) = [made for name, made in templates(all_) if name == "shard-a-arbiter"]
    own = files_of(all_, template)["shard-a-arbiter-0/tls.pem"]
    assert own == "shard-a-arbiter-0-certificate: tls-combined.pem"


@pytest.mark.parametrize("source", SOURCES)
def test_every_container_that_verifies_has_the_authority(source: str) -> None:
    all_, seen = found(source), 0
    secrets = texts(all_)
    for name, template in templates(all_):
        spec = template["spec"]
        told = str([spec["containers"], *files_of(all_, template).values()])
        told += str(secrets.get(f"Secret/{name}", ""))  # an exporter's
        tool = spec["containers"][0]["name"] == "tool"
        if CA not in told and not tool:
            continue
        seen += 1
        (volume,) = [each for each in spec["volumes"] if each["name"] == "trust"]
        assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}], name
        assert volume["secret"]["secretName"].endswith("-certificate")
        for container in spec["containers"]:
            places = [(each["name"], each["mountPath"]) for each in container["volumeMounts"]]
            assert ("trust", str(Path(CA).parent)) in places, name
    assert seen == len(list(templates(all_)))


def test_a_pod_takes_the_authority_from_its_own_secret() -> None:
    """Where it has one: in a DR cluster of its own there is no other."""
    (away,) = [each for each in parts("given", away=True) if each.name == "payments-dr"]
    spec = one((away,), "StatefulSet/pgdr1")["spec"]["template"]["spec"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "trust"]
    assert volume["secret"]["secretName"] == "pgdr1-0-certificate"


# Names


def behind(all_: tuple[Manifest, ...], host: str) -> set[str]:
    """The nodes that a host name may lead to, by the Services and the pods that they choose."""
    first, dot, rest = host.partition(".")
    if dot:  # a pod of a headless Service
        assert any(each.kind == "Service" and each.name == rest for each in all_), host
        return {first}
    (service,) = [each for each in all_ if each.kind == "Service" and each.name == host]
    chosen = data(service)["spec"]["selector"].items()
    nodes = set()
    for _, template in templates(all_):
        if chosen <= template["metadata"]["labels"].items():
            paths = files_of(all_, template)
            nodes |= {path.partition("/")[0] for path in paths if path.endswith("/tls.pem")}
    return nodes


def test_a_certificate_has_every_name_that_leads_to_its_node() -> None:
    all_ = found("cert-manager")
    known = {
        each.name.removesuffix("-certificate"): set(data(each)["spec"]["dnsNames"])
        for each in all_
        if each.kind == "Certificate"
    }
    said = str([texts(all_), [template for _, template in templates(all_)]])
    hosts = {match.group(1) for match in HOST.finditer(said)} - {"archiver-1.archiver"}
    assert {"routers", "haproxy", "service-auth", "pg1-0", "shard-a-1.shard-a"} <= hosts
    for host in hosts:
        nodes = behind(all_, host)
        assert nodes, host
        if host == "haproxy":  # it passes PostgreSQL's own TLS on
            nodes |= {"pg1-0", "pgsync1-0"}
        for node in nodes:
            assert f"{host}.skillswap.svc.cluster.local" in known[node], node
    # And none that somebody else's might be.
    for node, names in known.items():
        for name in names - {"haproxy.skillswap.svc.cluster.local"}:
            host = name.removesuffix(".skillswap.svc.cluster.local")
            assert behind(all_, host) == {node}, name


def test_a_dr_cluster_verifies_the_primary_by_the_name_that_it_was_given() -> None:
    found_ = parts("cert-manager", away=True)
    assert (
        "payments.example.org" in one(found_, "Certificate/pg1-0-certificate")["spec"]["dnsNames"]
    )
    text = str(one(found_, "Secret/pgdr1-0-files")["stringData"])
    assert "payments.example.org" in text
    assert "sslmode: verify-full" in text
    (away,) = [each for each in found_ if each.name == "payments-dr"]
    assert one((away,), "Certificate/pgdr1-0-certificate")["spec"]["issuerRef"]["name"]


# Who asks


@pytest.mark.parametrize("source", SOURCES)
def test_no_probe_asks_without_tls(source: str) -> None:
    pages, shells = 0, 0
    for name, template in templates(found(source)):
        for container in template["spec"]["containers"]:
            if container["name"] == "exporter":  # its own port, of metrics, is in the clear
                continue
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind, {})
                if page := probe.get("httpGet"):
                    assert page["scheme"] == "HTTPS", (name, kind)
                    pages += 1
                words = " ".join(probe.get("exec", {}).get("command", ()))
                if "mongosh" in words:
                    assert f"--tls --tlsCAFile {CA} " in words, (name, kind)
                    shells += 1
                if "redis-cli" in words:
                    assert f"redis-cli --tls --cacert {CA} -p 6379" in words
                    shells += 1
    assert pages == 3 * (3 + 13)
    assert shells == 3 + 1 + 1  # sets; routers; Redis


@pytest.mark.parametrize("source", SOURCES)
def test_nobody_is_told_to_connect_without_tls(source: str) -> None:
    for name, entries in texts(found(source)).items():
        for key, text in entries.items():
            assert not PLAIN.search(text), f"{name} {key}"
    for name, template in templates(found(source)):
        assert not PLAIN.search(str(template)), name
    before = [text for entries in texts(everything("tp3")).values() for text in entries.values()]
    assert len([text for text in before if PLAIN.search(text)]) > 5


def test_exporters_verify() -> None:
    secrets = texts(found("given"))
    assert f"tls=true&tlsCAFile={CA}" in secrets["Secret/mongo-exporter"]["MONGODB_URI"]
    dsn = secrets["Secret/postgres-exporter"]["DATA_SOURCE_NAME"]
    assert f"?sslmode=verify-full&sslrootcert={CA}" in dsn
    deployment = one(parts("given"), "Deployment/redis-exporter")
    env = {
        each["name"]: each.get("value")
        for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["REDIS_ADDR"] == "rediss://redis-1.redis.skillswap.svc.cluster.local:6379"
    assert env["REDIS_EXPORTER_TLS_CA_CERT_FILE"] == CA


def test_prometheus_verifies_whom_it_sends_a_password() -> None:
    monitors = {
        each.name: data(each)["spec"]["endpoints"]
        for each in found("cert-manager")
        if each.kind == "ServiceMonitor"
    }
    (edge,) = monitors["haproxy"]
    assert edge["scheme"] == "https"
    assert edge["tlsConfig"] == {
        "ca": {"secret": {"name": "haproxy-certificate", "key": "ca.crt"}},
        "serverName": "haproxy.skillswap.svc.cluster.local",
    }
    for name in ("patroni", "services"):
        (endpoint,) = monitors[name]
        assert endpoint["scheme"] == "https"
        assert "basicAuth" not in endpoint
    for name, endpoints in monitors.items():
        if "basicAuth" in str(endpoints):
            assert name == "haproxy"


def test_the_ingress_reaches_the_gateway_by_tls_and_verifies_it() -> None:
    ingress = one(parts("cert-manager"), "Ingress/service-gateway")
    told = ingress["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io"
    assert told[f"{prefix}/backend-protocol"] == "HTTPS"
    assert told[f"{prefix}/proxy-ssl-verify"] == "on"
    assert told[f"{prefix}/proxy-ssl-secret"] == "skillswap/service-gateway-certificate"
    names = one(parts("cert-manager"), "Certificate/service-gateway-certificate")["spec"]
    assert [told[f"{prefix}/proxy-ssl-name"]] == names["dnsNames"]
    assert ingress["spec"]["tls"][0]["secretName"] != names["secretName"]


# What the tool does


def in_pod(folder: Path, source: str = "given") -> Context:
    """The tool's context in the cluster, with a state folder of its own."""
    shape = topology(on(source))
    store = SecretStore(folder / "secrets")
    made = pod_context(shape, store)
    return Context(
        topology=shape,
        inventory=made.inventory,
        layout=PodLayout(folder),
        secrets=store,
        target=cast("Target", None),
        programs=PodPrograms(),
    )


def test_in_the_cluster_no_authority_is_made_and_nothing_renewed(tmp_path: Path) -> None:
    context = in_pod(tmp_path)
    node = context.inventory.named("pg1-0")
    assert tls.files(context, node) == ()
    assert tls.operator_file(context) == ""
    assert mongo_certificates.steps(context) == ()
    assert postgres_certificates.steps(context) == ()
    assert not [step.name for step in engine_steps(context) if step.name.startswith("certificate ")]
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pem", ".crt"}]


def test_in_the_cluster_every_server_is_verified(tmp_path: Path) -> None:
    context = in_pod(tmp_path)
    assert {node.trust for node in context.inventory.nodes} == {context.trust} == {CA}
    assert {node.trust for node in pod_inventory(topology()).nodes} == {""}


class Writes:
    """A target that takes down what it would write."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def run_tool(self, node: Node, argv: tuple[str, ...], **_: object) -> ToolResult:
        assert node
        self.texts.append(argv[-1])
        return ToolResult(0, "", "")


def test_a_copy_in_a_pod_does_without_a_certificate_that_its_backup_names(tmp_path: Path) -> None:
    context, target = in_pod(tmp_path), Writes()
    object.__setattr__(context, "target", target)
    node = context.inventory.named("pg1-0")
    copy = instance.Instance(node, tmp_path, tmp_path / "data", tmp_path)
    instance.configure(context, copy, {})
    assert "ssl = 'off'" in target.texts[-1]
    assert "hostssl" not in target.texts[0]


def test_a_copy_of_a_set_in_a_pod_speaks_over_its_loopback(tmp_path: Path) -> None:
    """Nothing gives it a certificate there: its client must not ask for one."""
    manifest = SimpleNamespace(sets={"shard-a": SimpleNamespace(key="snapshots/1")})
    plan = cast("Plan", SimpleNamespace(manifest=manifest, cut=(1, 0)))
    of = cast("SetPlan", SimpleNamespace(replica_set="shard-a", pieces=()))
    job = _job(in_pod(tmp_path), plan, of, tmp_path)
    assert (job.tls, job.trust) == ("", "")
    assert job.address.startswith("127.")


def test_render_lists_the_secrets_that_are_to_be_given(tmp_path: Path) -> None:
    wanted = certificates_to_give(topology(on("given")))
    made = {
        each.name: tuple(data(each)["spec"]["dnsNames"])
        for each in found("cert-manager")
        if each.kind == "Certificate"
    }
    assert wanted == made
    assert certificates_to_give(topology(on("cert-manager"))) == {}
    file = tmp_path / "my.yaml"
    file.write_text(changed(on("given")), "utf-8")
    words = [
        "render",
        "-f",
        str(file),
        "-o",
        str(tmp_path / "out"),
        "--home",
        str(tmp_path / "home"),
    ]
    said = CliRunner().invoke(cli, words).stderr
    for name, names in wanted.items():
        assert f"{name}: {', '.join(names)}" in said


class Knows:
    """A cluster without cert-manager."""

    def serves(self, api_version: str, _: str) -> bool:
        return api_version != "cert-manager.io/v1"


def test_without_cert_manager_nothing_is_made() -> None:
    with pytest.raises(MissingPrerequisiteError) as caught:
        defined(parts("cert-manager"), lambda _: cast("Api", Knows()), lambda _: None)
    assert "Certificate" in caught.value.message
    assert caught.value.hint == "install cert-manager, or set kubernetes.tls.source to given"


def test_a_cluster_that_is_there_keeps_what_it_speaks(tmp_path: Path) -> None:
    layout, plain, secured = Layout(tmp_path), topology(), topology(on("given"))
    refuse_other_tls(layout, secured)
    layout.topology.write_text(dump_topology(plain), "utf-8")
    refuse_other_tls(layout, plain)
    with pytest.raises(RefusedError, match=r"tls\.enabled would change to true"):
        refuse_other_tls(layout, secured)
    layout.topology.write_text(dump_topology(secured), "utf-8")
    with pytest.raises(RefusedError, match=r"tls\.enabled would change to false"):
        refuse_other_tls(layout, plain)


def test_an_old_pod_is_told_of_before_its_certificate_ends() -> None:
    """It had at least a third of 90 days left when it was read."""
    edits = {**on("cert-manager"), "tls.leaf_days": 90}
    (alert,) = [each for each in alerts(topology(edits)) if each.name == "CertificateGetsOld"]
    limit = round(22.5 * 86_400)
    pods = f'{{namespace="skillswap", pod!~"{WITHOUT}"}}'
    assert alert.expression == f"time() - max by (pod) (kube_pod_start_time{pods}) > {limit}"
    assert limit < 30 * 86_400
    for quiet in (topology(), topology(on("given"))):
        assert "CertificateGetsOld" not in {each.name for each in alerts(quiet)}


def test_it_is_of_pods_with_a_certificate_alone() -> None:
    all_ = found("cert-manager")
    having = {
        name: any(path.endswith("/tls.pem") for path in files_of(all_, template))
        for name, template in templates(
            tuple(e for e in all_ if e.kind in {"StatefulSet", "Deployment"})
        )
    }
    assert {name: re.fullmatch(WITHOUT, f"{name}-1") is None for name in having} == having
