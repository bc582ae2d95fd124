"""Members that a crash left half made: Patroni waits for ever there, so provisioning helps.

Nothing that ever was a database is touched. A cluster is created anew only where no member ever
led (etcd has neither a leader, a status nor a history of it), no other member has data, and
the founder's own data never got as far as its marker; and then its data is put aside, not removed.
"""

from cluster import tls
from cluster.context import Context
from cluster.inventory import Node
from postgres import names, patroni, servers
from postgres.etcd import Etcd, knows_no_member
from postgres.scopes import FOUNDED, Scope, data_folder

# What Patroni says of a PostgreSQL that it does nothing about (patroni.postgresql.misc).
IDLE_STATES = frozenset(
    {"stopped", "initdb failed", "custom bootstrap failed", "start failed", "stop failed"}
)
TRACES = ("leader", "status", "history")  # keys that only a leader writes
# Looks at a founder whose data has a control file before it is taken for stuck: it may recover.
PATIENT_LOOKS = 3
STATE_SECONDS = 5.0  # a Patroni whose PostgreSQL does not answer is slow to say so


def prefix(scope: Scope) -> str:
    """Where a scope's keys are in its etcd."""
    return f"/service/{scope.name}/"


def administer(context: Context, scope: Scope) -> Etcd:
    """A scope's etcd, as root."""
    password = names.etcd_password(context, scope.name, names.ETCD_ROOT)
    return Etcd(scope.etcd).login(names.ETCD_ROOT, password)


def revive_etcd(context: Context, scope: Scope) -> bool:
    """Let an etcd begin again that a crash cut off between its first file and its first entry.

    Such a member knows no member, not even itself, and waits for votes for ever. Where all are so
    nothing can ever have been written. Returns whether that was so.
    """
    own = tls.operator_file(context)
    if not all(knows_no_member(node, own) for node in scope.etcd):
        return False
    programs = [servers.etcd(context, scope, node) for node in scope.etcd]
    for server in programs:
        context.target.stop(server)
        folder = str(context.layout.data(server.node) / "member")
        context.target.run_tool(server.node, ("rm", "-rf", folder))
    for server in programs:
        context.target.start(server)
    return True


def revive_founder(context: Context, scope: Scope, look: int) -> bool:
    """Let the creation of the cluster begin again where a crash interrupted it.

    `look` counts the calls, a few seconds apart, since nobody was found to lead. Returns whether
    it was so. Where Kubernetes keeps the leader it is left to Patroni and to people.
    """
    if not scope.etcd:
        return False
    etcd = administer(context, scope)
    if any(etcd.get(prefix(scope) + trace) for trace in TRACES):
        return False
    server = servers.patroni(context, scope, scope.founder)
    initialised = etcd.get(prefix(scope) + "initialize")
    # Patroni gives up where it takes the unreaped postgres of a killed initdb for a running one.
    gave_up = not context.target.state(server).running
    if not (gave_up or _stuck(scope, initialised, look)) or _anyone_has_data(context, scope):
        return False
    context.target.stop(server)
    _put_aside(context, scope.founder)
    if initialised is not None:
        etcd.delete_if(prefix(scope) + "initialize", initialised)
    context.target.start(server)
    return True


def revive_member(context: Context, node: Node) -> bool:
    """Let a standby be cloned again where a crash interrupted it; whether that was so.

    Needs a leader.
    """
    idle = patroni.state(node, STATE_SECONDS).state in IDLE_STATES
    if not idle or has_control_file(context, node):
        return False
    patroni.reinitialise(node, names.password(context, names.REST_USER))
    return True


def has_control_file(context: Context, node: Node) -> bool:
    """Whether a node's data has a valid control file; pg_basebackup writes it last."""
    version = context.topology.postgres.version
    program = context.programs.postgres("pg_controldata", version)
    folder = str(data_folder(context.layout, node))
    ended = context.target.run_tool(node, (program, "-D", folder))
    return ended.code == 0 and "Database system identifier" in ended.stdout


def _stuck(scope: Scope, initialised: str | None, look: int) -> bool:
    """Whether the founder waits: at once where it does nothing, else after some patience."""
    if initialised is None:  # it has not begun
        return False
    if initialised:  # Patroni has taken the data for a database
        return look >= PATIENT_LOOKS
    # An empty key: the creation was begun. If Patroni still is at it, let it be.
    return patroni.state(scope.founder, STATE_SECONDS).state in IDLE_STATES


def _anyone_has_data(context: Context, scope: Scope) -> bool:
    """Whether a finished database exists: the founder's, by its marker, or any other member's."""
    others = [node for node in scope.members if node != scope.founder]
    marker = data_folder(context.layout, scope.founder) / FOUNDED
    founded = context.target.run_tool(scope.founder, ("test", "-e", str(marker))).code == 0
    return founded or any(has_control_file(context, node) for node in others)


def _put_aside(context: Context, node: Node) -> None:
    folder = data_folder(context.layout, node)
    failed = folder.with_name(f"{folder.name}.failed")
    context.target.run_tool(node, ("rm", "-rf", str(failed)))
    context.target.run_tool(node, ("mv", "-T", str(folder), str(failed)))
