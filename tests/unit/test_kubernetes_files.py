"""Files in pods are those of the local target; passwords are where they may be."""

import difflib
import re
from pathlib import Path
from typing import cast

import pytest

import mongo.servers
import postgres.servers
from cluster.context import Context
from cluster.errors import InvalidInputError
from cluster.inventory import Inventory, Kind, Node, inventory
from cluster.layout import Layout
from cluster.secrets import SecretStore
from cluster.server import Server
from cluster.target import Target
from manifests import redis
from manifests.kubernetes import names
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.build import components, objects
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import keys
from manifests.kubernetes.inventory import pod_name
from manifests.kubernetes.objects import Manifest
from manifests.kubernetes.operations import CONSOLE
from manifests.kubernetes.programs import LAYOUT, PodPrograms
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import Stage
from mongo.backup.archiver.config import CONFIG, ArchiverConfig
from skillswap_ops.kubernetes.context import blueprint
from tests.unit.kubernetes_samples import edited, everything, one, parts, plan, shipped
from tests.unit.test_kubernetes_objects import pod
from tests.unit.topology_samples import topology

ENGINES = {
    Idea.ARCHIVE,
    Idea.CONFIG_SERVERS,
    Idea.MONGO_SHARD,
    Idea.ROUTERS,
    Idea.PATRONI_CLUSTER,
    Idea.EDGE,
    Idea.CACHE,
}
PASSWORD = re.compile(r"^[A-Za-z0-9_/+=-]{30,}$")
# What replaces etcd in Patroni's file: the one block that is not about addresses.
DCS = re.compile(
    r"^(?:etcd3:\n(?:  .*\n)+|# Kubernetes keeps .*\n#.*\nkubernetes:\n(?:  .*\n)+)", re.M
)
# How `secrets rotate` sees, in etcd, with which passwords a Patroni runs.
MARK = re.compile(r"^  # Tells, where members .*\n  credentials: .*\n", re.M)


def local(name: str, store: SecretStore) -> Context:
    """The local target of a topology, with the same secrets."""
    shape = shipped(name)
    return Context(
        topology=shape,
        inventory=inventory(shape),
        layout=Layout(Path("/var/lib/skillswap-ops") / shape.name),
        secrets=store,
        target=cast("Target", None),
        programs=PodPrograms(),
    )


def servers(context: Context) -> list[Server]:
    found = (
        *mongo.servers.servers(context),
        *postgres.servers.servers(context),
        *redis.servers(context),
    )
    return [server for server in found if server.node.kind is not Kind.ETCD]


def as_pods(context: Context, pods: Inventory, node: Node, text: str) -> str:
    """A local file's text with the addresses and folders of pods."""
    wanted = {pod.name: pod for pod in pods.nodes}
    text = text.replace(str(context.layout.root), str(LAYOUT.pod))
    text = text.replace(context.inventory.networks[0], pods.networks[0])
    for other in context.inventory.nodes:
        pod = wanted.get(pod_of(other))
        if pod and other == node:
            text = listening(other.address).sub(rf"\g<1>{pod.listen}", text)
        if pod:
            text = text.replace(other.address, pod.address)
    return text


def listening(address: str) -> "re.Pattern[str]":
    """Where a server is told to listen: in a pod, on every address."""
    words = r"((?:bindIp:|listen:|listen_addr =|bind) )"
    return re.compile(words + re.escape(address) + r"(?=[:\s]|$)", re.MULTILINE)


def pod_of(node: Node) -> str:
    match node.kind:
        case Kind.ROUTER:
            return names.ROUTERS_NAME
        case Kind.HAPROXY:
            return names.HAPROXY_NAME
        case Kind.POSTGRES | Kind.ARBITER:
            return pod_name(node.name)
    return node.name


@pytest.fixture
def made(tmp_path: Path) -> tuple[SecretStore, Blueprint]:
    store = SecretStore(tmp_path / "secrets")
    return store, blueprint(shipped("tp3"), store)


def test_files_are_those_of_the_local_target(made: tuple[SecretStore, Blueprint]) -> None:
    """Byte for byte, addresses, node names and folders aside."""
    store, plan = made
    context = local("tp3", store)
    engines = [each for each in components(plan) if each.idea in ENGINES]
    entries = keys(objects(tuple(engines)))
    compared = set()
    for server in servers(context):
        for file in server.files:
            key = f"{pod_of(server.node)}.{file.name}"
            text = renamed(context, server.node, MARK.sub("", file.text))
            found = as_pods(context, plan.inventory, server.node, text)
            differs = "\n".join(difflib.unified_diff(found.split("\n"), entries[key].split("\n")))
            wanted = DCS.sub("(where the leader is kept)\n", entries[key])
            assert once(DCS.sub("(where the leader is kept)\n", found)) == once(wanted), differs
            compared.add(key)
    assert compared == set(entries)
    assert {"pg1-0.patroni.yml", "shard-a-1.mongod.conf", "redis-1.redis.conf"} <= compared


def renamed(context: Context, own: Node, text: str) -> str:
    """A node goes by its pod's name; pgBackRest's own settings begin with `pg1-`, too."""
    text = text.replace(str(context.layout.node(own)), str(LAYOUT.pod))
    for node in context.inventory.of(Kind.POSTGRES, Kind.ROUTER, Kind.HAPROXY):
        option = r"(?!-(?:path|port|socket|user|database))"
        text = re.sub(rf"\b{node.name}\b{option}", pod_of(node), text)
    return text


def once(text: str) -> str:
    """Several proxies in a list are one Service."""
    host = rf"{names.HAPROXY_NAME}\.\S+?\.svc\.cluster\.local"
    return re.sub(rf"(host: )({host})(,{host})+$", r"\1\2", text, flags=re.M)


def test_a_changed_template_would_be_noticed(made: tuple[SecretStore, Blueprint]) -> None:
    """The comparison above is not blind: a file of another topology differs."""
    _, plan = made
    other = edited({"edge.pool_size": 21})
    name = "pg1-0.pgbouncer.ini"
    assert keys(objects(components(plan)))[name] != keys(objects(other))[name]


def plain(found: tuple[Manifest, ...]) -> dict[str, str]:
    return {each.key: str(each.data) for each in found if each.kind != "Secret"}


def test_passwords_are_in_secrets_alone(made: tuple[SecretStore, Blueprint]) -> None:
    store, plan = made
    found = objects(components(plan))
    passwords = [secret.get_secret_value() for secret in store.known()]
    assert len(passwords) > 15
    assert all(PASSWORD.match(password) for password in passwords)
    leaks = {key for key, text in plain(found).items() for word in passwords if word in text}
    assert not leaks
    held = str([each.data for each in found if each.secret])
    assert all(password in held for password in passwords)


def test_every_password_that_is_used_is_in_the_tools_secret(
    made: tuple[SecretStore, Blueprint],
) -> None:
    store, plan = made
    secret = one(components(plan), "Secret/skillswap-secrets")
    assert {*secret["stringData"]} == plan.secrets.names
    for name in plan.secrets.names:
        assert secret["stringData"][name] == store.get(name).get_secret_value()


def test_a_second_rendering_asks_for_the_same_secrets(made: tuple[SecretStore, Blueprint]) -> None:
    """Of passphrases that are there already, the pods need no less."""
    store, plan = made
    assert "archive-repo1-cipher" in plan.secrets.names
    assert blueprint(shipped("tp3"), store).secrets.names == plan.secrets.names


def test_nothing_secret_is_rendered_where_a_vault_has_it() -> None:
    assert not [each.key for each in everything("large") if each.secret]
    orders = [each.data for each in everything("large") if each.kind == "ExternalSecret"]
    assert len(orders) > 20
    for order in orders:
        spec = order["spec"]
        data = spec["target"]["template"]["data"]  # type: ignore[index, call-overload]
        asked = {row["secretKey"] for row in spec["data"]}  # type: ignore[index, call-overload, union-attr]
        used = {
            match.group(1)
            for text in data.values()  # type: ignore[union-attr]
            for match in re.finditer(r"\{\{ \.(\w+) *\}\}", str(text))
        }
        assert used == asked, order["metadata"]
        strange = re.findall(r"\{\{(?! \.\w+ *\}\})", str(data))
        assert not strange, "the operator would read this as a template"


def test_a_secret_has_the_same_entries_from_either_source() -> None:
    outside = edited({"kubernetes.secrets": {"source": "external"}})
    here = {each.name: set(each.data["stringData"]) for each in everything("tp3") if each.secret}  # type: ignore[arg-type]
    there = {
        each.name: set(each.data["spec"]["target"]["template"]["data"])  # type: ignore[index, call-overload, arg-type]
        for each in objects(outside)
        if each.kind == "ExternalSecret"
    }
    assert here == there


def test_a_changed_file_makes_new_pods_and_a_changed_password_does_not(tmp_path: Path) -> None:
    def checksums(edits: dict[str, object], folder: str) -> dict[str, str]:
        found = components(blueprint(topology(edits), SecretStore(tmp_path / folder)))
        return {
            each.key: pod(each.data)["metadata"]["annotations"]["skillswap.io/files"]
            for each in objects(found)
            if each.kind in {"StatefulSet", "Deployment"} and each.name != CONSOLE
        }

    before = checksums({}, "one")
    assert checksums({}, "two") == before
    after = checksums({"mongo.cache_gb": 0.5}, "one")
    changed = {key for key in before if before[key] != after[key]}
    prefix = "StatefulSet/skillswap"
    assert changed == {f"{prefix}/config", f"{prefix}/shard-a", f"{prefix}/shard-b"}


def test_every_service_of_the_catalogue_is_there() -> None:
    def deployed(found: tuple[Component, ...]) -> set[str]:
        return {each.name for each in objects(found) if each.kind == "Deployment"}

    every = {names.service_name(service.name) for service in CATALOGUE.at(Stage.V2_0)}
    assert every <= deployed(parts("large"))
    # `files` needs a bucket, which only a topology can name.
    assert every - deployed(parts("tp3")) == {"service-files"}
    bucket = {"endpoint": "s3.example.org", "bucket": "skillswap-media"}
    assert every <= deployed(edited({"objects.external": bucket}))
    assert {component.name for component in parts("tp3")} >= {"services", "monitoring"}


def test_a_store_of_the_local_target_is_refused() -> None:
    """It lives in the memory of one process on one machine."""
    edits: dict[str, object] = {
        "objects.members": 1,
        "archive.repositories[1]": {"type": "objects"},
        "mongo.backup": {"repository": {"type": "objects"}},
    }
    with pytest.raises(InvalidInputError) as caught:
        edited(edits)
    assert caught.value.message.startswith("archive.repositories[1], mongo.backup.repository: ")
    assert "type: s3" in caught.value.hint
    edited({"objects.members": 1})


def test_secrets_of_repositories_are_by_reference() -> None:
    """Passphrases and S3 keys: asked of the vault by name, and in no other object."""
    orders = {each.name: each.data for each in everything("large") if each.kind == "ExternalSecret"}

    def asked(name: str) -> set[str]:
        rows = orders[name]["spec"]["data"]  # type: ignore[index, call-overload]
        return {row["remoteRef"]["property"] for row in rows}  # type: ignore[index, call-overload, union-attr]

    assert {"archive-repo1-cipher", "archive-repo1-key", "archive-repo1-key-secret"} <= asked(
        "pg1-0-files"
    )
    mongo_names = {"mongo-backup-key", "mongo-backup-s3-key", "mongo-backup-s3-key-secret"}
    assert mongo_names <= asked("archiver-files")
    assert mongo_names | {"archive-repo1-cipher"} <= asked("skillswap-secrets")
    assert {"services-s3-key", "services-s3-key-secret"} <= asked("service-files-files")


def test_the_archivers_probe_looks_at_what_it_writes() -> None:
    server = next(each for each in plan("tp3").servers if each.node.kind is Kind.ARCHIVER)
    (text,) = [file.text for file in server.files if file.name == CONFIG]
    state = ArchiverConfig.model_validate_json(text).state
    container = pod(one(parts("tp3"), "StatefulSet/archiver"))["spec"]["containers"][0]
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert f"find {state} " in container[name]["exec"]["command"][-1]
