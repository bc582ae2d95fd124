"""Monitoring: exporters, and what tells the Prometheus operator where to look and when to call.

`kubernetes.monitoring: false` leaves all of it out, for a cluster without that operator.
"""

from collections.abc import Mapping

from cluster.topology import Topology
from manifests.kubernetes import certificates, exporters, names
from manifests.kubernetes.alerts import alerts
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.edge import NAME as EDGE
from manifests.kubernetes.exporters import Exporter
from manifests.kubernetes.files import secret_files
from manifests.kubernetes.objects import Custom, Json, Manifest, manifest
from manifests.kubernetes.routers import NAME as ROUTERS

NAME = "monitoring"
OPERATOR = "monitoring.coreos.com/v1"
INTERVAL = "15s"
EDGE_LOGIN = "haproxy-metrics"


def components(blueprint: Blueprint) -> tuple[Component, ...]:
    """All of it; nothing where the topology says that there is no operator."""
    topology = blueprint.topology
    if not topology.kubernetes.monitoring:
        return ()
    found = exporters.exporters(blueprint)
    objects = [each for one in found for each in exporters.objects(blueprint, one)]
    objects += [manifest(monitor) for one in found for monitor in _monitors(topology, one)]
    objects += [_edge_login(blueprint), manifest(_edge(topology))]
    objects += [manifest(_patroni(topology)), manifest(_services(topology))]
    objects.append(manifest(_rules(topology)))
    return (Component(Idea.MONITORING, NAME, tuple(objects), (ROUTERS, EDGE)),)


def _monitors(topology: Topology, exporter: Exporter) -> list[Custom]:
    """One for the exporter; where it has several targets, one endpoint each."""
    endpoint: dict[str, Json] = {
        "port": exporters.PORT_NAME,
        "interval": INTERVAL,
        "path": exporter.path,
    }
    endpoints: list[Json] = [
        endpoint
        | {
            "params": {"target": [target]},
            "relabelings": [{"targetLabel": "instance", "replacement": target}],
        }
        for target in exporter.targets
    ] or [endpoint]
    chosen = names.chosen(names.EXPORTER, exporter.name)
    return [_service_monitor(topology, exporter.name, chosen, endpoints)]


def _edge(topology: Topology) -> Custom:
    login: dict[str, Json] = {
        part: {"name": EDGE_LOGIN, "key": part} for part in ("username", "password")
    }
    endpoint: Json = {
        "port": "metrics",
        "path": "/metrics",
        "interval": INTERVAL,
        "basicAuth": login,
        **_verified(topology),
    }
    return _service_monitor(
        topology, names.HAPROXY_NAME, names.chosen(names.HAPROXY, names.HAPROXY_NAME), [endpoint]
    )


def _verified(topology: Topology) -> dict[str, Json]:
    """How Prometheus asks the proxies, which it sends a password, by TLS."""
    if not topology.tls.enabled:
        return {}
    known = {"name": names.certificate(names.HAPROXY_NAME), "key": certificates.AUTHORITY}
    name = names.dns(topology, names.HAPROXY_NAME)
    return {"scheme": "https", "tlsConfig": {"ca": {"secret": {**known}}, "serverName": name}}


def _encrypted(topology: Topology) -> dict[str, Json]:
    """How it asks pods by TLS that each have a name of their own, where it knows addresses alone.

    It cannot verify them, and sends them nothing secret.
    """
    if not topology.tls.enabled:
        return {}
    return {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}}


def _edge_login(blueprint: Blueprint) -> Manifest:
    password = blueprint.secrets.get("postgres-stats").get_secret_value()
    return secret_files(
        blueprint.topology,
        blueprint.secrets,
        EDGE_LOGIN,
        names.HAPROXY,
        names.HAPROXY_NAME,
        {"username": "stats", "password": password},
    )


def _patroni(topology: Topology) -> Custom:
    """Members themselves, by their headless Service: each says what it is."""
    postgres = topology.postgres
    scopes = [postgres.scope]
    if postgres.dr and not topology.kubernetes.dr_cluster:
        scopes.append(postgres.dr.scope)
    endpoint: Json = {
        "port": "patroni",
        "path": "/metrics",
        "interval": INTERVAL,
        **_encrypted(topology),
    }
    return Custom(
        OPERATOR,
        "ServiceMonitor",
        "patroni",
        names.namespace(topology),
        names.labels(topology, names.POSTGRES, "patroni"),
        {
            "selector": {
                "matchExpressions": [
                    {"key": names.INSTANCE, "operator": "In", "values": list(scopes)},
                    {"key": names.COMPONENT, "operator": "In", "values": [names.POSTGRES]},
                ]
            },
            "endpoints": [endpoint],
        },
    )


def _services(topology: Topology) -> Custom:
    endpoint: Json = {
        "port": "http",
        "path": "/metrics",
        "interval": INTERVAL,
        **_encrypted(topology),
    }
    return _service_monitor(topology, "services", {names.COMPONENT: names.SERVICE}, [endpoint])


def _service_monitor(
    topology: Topology, name: str, chosen: Mapping[str, str], endpoints: list[Json]
) -> Custom:
    labels: dict[str, Json] = dict(chosen)
    return Custom(
        OPERATOR,
        "ServiceMonitor",
        name,
        names.namespace(topology),
        names.labels(topology, NAME, name),
        {"selector": {"matchLabels": labels}, "endpoints": endpoints},
    )


def _rules(topology: Topology) -> Custom:
    rules: list[Json] = [
        {
            "alert": alert.name,
            "expr": alert.expression,
            "for": f"{alert.seconds}s",
            "labels": {"severity": alert.severity, "cluster": topology.name},
            "annotations": {"summary": alert.summary},
        }
        for alert in alerts(topology)
    ]
    return Custom(
        OPERATOR,
        "PrometheusRule",
        topology.name,
        names.namespace(topology),
        names.labels(topology, NAME, topology.name),
        {"groups": [{"name": topology.name, "rules": rules}]},
    )
