"""Who may do what in the namespace: Patroni, the tool, the drills; each no more than it does."""

from collections.abc import Sequence

from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import PolicyRule, RoleRef, Subject
from lightkube.resources.core_v1 import ServiceAccount
from lightkube.resources.rbac_authorization_v1 import (
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
)

from cluster.inventory import Kind
from cluster.topology import Topology
from manifests.kubernetes import names
from manifests.kubernetes.inventory import pod_inventory
from manifests.kubernetes.objects import Typed

RBAC = "rbac.authorization.k8s.io"
OPERATOR = "skillswap-operator"  # provisions, looks, backs up
DRILLS = "skillswap-drills"  # breaks and mends
PROVER = "skillswap-prover"  # restores copies, and changes nothing
READ = ["get", "list", "watch"]

# Patroni, docs/kubernetes.rst: config maps hold the leader's lease and the configuration; a pod
# carries its member's state and role as annotation and label.
PATRONI_RULES = (
    PolicyRule(
        apiGroups=[""],
        resources=["configmaps"],
        verbs=["create", "get", "list", "patch", "update", "watch"],
    ),
    PolicyRule(
        apiGroups=[""], resources=["pods"], verbs=["get", "list", "patch", "update", "watch"]
    ),
)
OPERATOR_RULES = (
    PolicyRule(
        apiGroups=[""],
        resources=["pods", "pods/log", "services", "persistentvolumeclaims", "events"],
        verbs=READ,
    ),
    # Patroni's own: `skillswap-ops` sets the dynamic configuration before a member starts.
    PolicyRule(
        apiGroups=[""],
        resources=["configmaps"],
        verbs=[*READ, "create", "patch", "update"],
    ),
    # pgBackRest runs where the data is; a member's files are looked at where they are.
    PolicyRule(apiGroups=[""], resources=["pods/exec"], verbs=["create", "get"]),
    # Members of PostgreSQL take a change when the tool says so, one after the other.
    PolicyRule(apiGroups=[""], resources=["pods"], verbs=["delete"]),
    PolicyRule(
        apiGroups=["apps"], resources=["statefulsets", "deployments"], verbs=[*READ, "patch"]
    ),
    PolicyRule(apiGroups=["apps"], resources=["replicasets", "controllerrevisions"], verbs=READ),
    PolicyRule(
        apiGroups=["batch"], resources=["jobs", "cronjobs"], verbs=[*READ, "create", "delete"]
    ),
)
DRILL_RULES = (
    *OPERATOR_RULES,
    PolicyRule(apiGroups=[""], resources=["pods/eviction"], verbs=["create"]),
    # A member is cut off from its peers by a label.
    PolicyRule(apiGroups=[""], resources=["pods"], verbs=["patch"]),
    PolicyRule(apiGroups=[""], resources=["persistentvolumeclaims"], verbs=["delete"]),
)
# Zones of machines are the machines' own labels.
MACHINE_READER = (PolicyRule(apiGroups=[""], resources=["nodes"], verbs=READ),)
# `drain` and `stop a zone` cordon machines.
MACHINE_DRILLER = (PolicyRule(apiGroups=[""], resources=["nodes"], verbs=[*READ, "patch"]),)


def patroni_account(topology: Topology, scope: str) -> tuple[Typed, ...]:
    """A scope's members."""
    return account(topology, scope, names.POSTGRES, PATRONI_RULES)


def tool_accounts(topology: Topology) -> tuple[Typed, ...]:
    """The tool: as operator, and as the one that drills."""
    return (
        *account(topology, OPERATOR, names.OPERATIONS, OPERATOR_RULES),
        *_machines(topology, OPERATOR, MACHINE_READER),
        *account(topology, DRILLS, names.OPERATIONS, DRILL_RULES),
        *_machines(topology, DRILLS, MACHINE_DRILLER),
        *account(topology, PROVER, names.OPERATIONS, _prover_rules(topology)),
    )


def _prover_rules(topology: Topology) -> tuple[PolicyRule, ...]:
    """Pods are looked at; whoever leads PostgreSQL archives what it has written by then, and the
    archiver says how far it is: in these pods alone a program may be run.
    """
    found = pod_inventory(topology)
    asked = (
        *found.of(Kind.POSTGRES, group=topology.postgres.scope),
        *found.of(Kind.ARCHIVER),
    )
    return (
        PolicyRule(apiGroups=[""], resources=["pods"], verbs=READ),
        PolicyRule(
            apiGroups=[""],
            resources=["pods/exec"],
            resourceNames=[node.name for node in asked],
            verbs=["create", "get"],
        ),
    )


def account(
    topology: Topology, name: str, component: str, rules: Sequence[PolicyRule]
) -> tuple[Typed, ...]:
    """A service account with these rights in the namespace; pods ask for its token."""
    meta = names.meta(topology, name, component)
    subject = Subject(kind="ServiceAccount", name=name, namespace=names.namespace(topology))
    return (
        ServiceAccount(metadata=meta, automountServiceAccountToken=False),
        Role(metadata=meta, rules=list(rules)),
        RoleBinding(
            metadata=meta,
            roleRef=RoleRef(apiGroup=RBAC, kind="Role", name=name),
            subjects=[subject],
        ),
    )


def _machines(
    topology: Topology, account_name: str, rules: Sequence[PolicyRule]
) -> tuple[Typed, ...]:
    """Rights on machines, which are in no namespace; named by the namespace, so that clusters of
    different names do not share them.
    """
    name = f"{names.namespace(topology)}:{account_name}"
    meta = ObjectMeta(name=name, labels=names.labels(topology, names.OPERATIONS, account_name))
    subject = Subject(kind="ServiceAccount", name=account_name, namespace=names.namespace(topology))
    return (
        ClusterRole(metadata=meta, rules=list(rules)),
        ClusterRoleBinding(
            metadata=meta,
            roleRef=RoleRef(apiGroup=RBAC, kind="ClusterRole", name=name),
            subjects=[subject],
        ),
    )
