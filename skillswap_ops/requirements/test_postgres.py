"""What TP3 asks of PostgreSQL's replication, failover, DR and archive, on the live topology."""

import pytest

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from postgres import backup, dynamic, patroni, regions
from postgres.client import superuser
from postgres.etcd import member_health
from postgres.forecast import node_loss
from postgres.scopes import Scope, dr_scope, primary_scope, scopes, slot_name
from postgres.servers import dynamic_configuration, promotion_marker
from skillswap_ops.requirements.conftest import Machine


@pytest.fixture(scope="session")
def scope(context: Context) -> Scope:
    """The scope that takes the writes."""
    return primary_scope(context)


@pytest.fixture
def dr(context: Context) -> Scope:
    """The scope of the DR region."""
    found = dr_scope(context)
    if found is None:
        pytest.skip("the topology has no DR region")
    return found


@pytest.fixture
def leader(scope: Scope) -> Node:
    """Who leads now."""
    return patroni.leader_of(scope)


@pytest.fixture
def promised_standby(context: Context, scope: Scope, leader: Node) -> Node:
    """The one member that must be the synchronous standby while `leader` leads."""
    if not context.topology.postgres.synchronous_mode:
        pytest.skip("the topology turns synchronous mode off")
    if len(scope.members) < 2:
        pytest.skip(f"{scope.name} has one member")
    return next(node for node in (*scope.synchronous, scope.founder) if node != leader)


def asked(context: Context, node: Node, query: str) -> str:
    """One value from a node's PostgreSQL, as text."""
    with superuser(context, node) as connection:
        row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""


def test_region_of_the_topology_leads(context: Context) -> None:
    """The primary is in the topology's region, the DR region follows (TP3 §4)."""
    stage = regions.load(context.layout).stage
    assert stage is regions.Stage.HOME, f"the DR region was promoted ({stage}): `dr failback`"


# Active–passive: one primary, one synchronous standby in another zone


def test_one_member_takes_writes(scope: Scope) -> None:
    """Exactly one PostgreSQL member takes writes (TP3 §4)."""
    states = patroni.states(scope.members)
    primaries = [name for name, state in states.items() if state.primary]
    assert len(primaries) == 1, f"{primaries or 'no member'} take writes"


def test_every_member_runs(scope: Scope) -> None:
    """Every PostgreSQL member of the topology runs and streams from the primary (TP3 §4)."""
    states = patroni.states(scope.members)
    lost = [node.name for node in scope.members if node.name not in states]
    assert not lost, f"no Patroni answers on {', '.join(lost)}"
    idle = [
        name
        for name, state in states.items()
        if not state.primary and state.replication_state != "streaming"
    ]
    assert not idle, f"{', '.join(idle)} do not stream"


def test_synchronous_standby_is_the_named_one(
    context: Context, leader: Node, promised_standby: Node
) -> None:
    """synchronous_standby_names is exactly the one named standby (TP3 §4)."""
    named = asked(context, leader, "SELECT current_setting('synchronous_standby_names')")
    assert named == promised_standby.name, (
        f"synchronous_standby_names is '{named}', not '{promised_standby.name}'"
    )


def test_synchronous_standby_is_attached(leader: Node, promised_standby: Node) -> None:
    """Commits wait for the synchronous standby, so that RPO is 0 (TP3 §4, §6)."""
    row = patroni.state(leader).standby(promised_standby.name)
    assert row is not None, f"{promised_standby.name} is not attached to {leader.name}"
    assert (row.state, row.sync_state) == ("streaming", "sync"), (
        f"{promised_standby.name} is {row.state}, {row.sync_state}"
    )


def test_synchronous_standby_may_be_promoted(scope: Scope, promised_standby: Node) -> None:
    """Patroni has confirmed the synchronous standby and would promote it (TP3 §5)."""
    member = patroni.view_of(scope.members).named(promised_standby.name)
    assert member is not None, f"{promised_standby.name} is no member"
    assert member.role == "sync_standby", f"{promised_standby.name} is {member.role}"


def test_synchronous_standby_is_in_another_zone(leader: Node, promised_standby: Node) -> None:
    """Primary and synchronous standby are in different zones (TP3 §4)."""
    assert leader.zone != promised_standby.zone, f"both are in {leader.zone}"


@pytest.mark.parametrize(
    "setting", ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"]
)
def test_durable_setting(context: Context, leader: Node, setting: str) -> None:
    """Nothing trades an acknowledged write for speed (TP3 §6, RPO 0)."""
    found = asked(context, leader, f"SELECT current_setting('{setting}')")
    assert found == "on", f"{setting} is {found}"


# Failover within the RTO


def test_failsafe_mode(leader: Node) -> None:
    """The primary survives the loss of etcd while its members answer (TP3 §5)."""
    assert patroni.config(leader).get("failsafe_mode") is True, "failsafe_mode is off"


def test_start_timeout_is_inside_the_rto(context: Context, leader: Node) -> None:
    """A crashed primary is given up in time for the RTO (TP3 §6)."""
    rto = context.topology.sla.postgres.rto
    timeout = patroni.config(leader).get("primary_start_timeout", 300)  # Patroni's default
    assert isinstance(timeout, int), f"primary_start_timeout is {timeout}"
    assert timeout < rto, f"primary_start_timeout is {timeout} s, the RTO {rto:g} s"


def test_predicted_failover_is_inside_the_rto(context: Context, leader: Node) -> None:
    """The live configuration predicts a failover within the RTO (TP3 §6)."""
    forecast = node_loss(patroni.config(leader), context.topology.edge.checks).sustained
    rto = context.topology.sla.postgres.rto
    assert forecast is not None, "no prediction"
    assert forecast.high < rto, f"up to {forecast.high:g} s, the RTO is {rto:g} s"


def test_configuration_is_the_topologys(context: Context) -> None:
    """Patroni's dynamic configuration is what the topology says (TP3 §4)."""
    for each in scopes(context):
        live = patroni.config(patroni.leader_of(each))
        changes = dynamic.difference(live, dynamic_configuration(context, each))
        assert not changes, f"{each.name} differs in {dynamic.describe(changes)}"


def test_no_maintenance_mode(context: Context) -> None:
    """Patroni is not paused: a failover would happen (TP3 §5)."""
    paused = [each.name for each in scopes(context) if patroni.view_of(each.members).paused]
    assert not paused, f"{', '.join(paused)} are paused"


def test_etcd_members(context: Context) -> None:
    """Every etcd member of the topology answers, one of them leading (TP3 §4)."""
    if context.target.name == "kubernetes":
        pytest.skip("Kubernetes keeps the leader: there is no etcd")
    for each in scopes(context):
        health = {node.name: member_health(node) for node in each.etcd}
        leading = [name for name, member in health.items() if member.leader]
        assert len(leading) == 1, f"{each.name}: {leading or 'no etcd member'} lead"


def test_etcd_zones(scope: Scope) -> None:
    """The etcd members are spread over zones, so that losing one keeps a majority (TP3 §5)."""
    if not scope.etcd:
        pytest.skip("Kubernetes keeps the leader: there is no etcd")
    zones = [node.zone for node in scope.etcd]
    most = max(map(zones.count, zones))
    assert most <= (len(zones) - 1) // 2 or len(zones) == 1, f"{most} of {len(zones)} in one zone"


# The DR region


def test_dr_streams(dr: Scope, leader: Node) -> None:
    """The DR standby streams from the primary, asynchronously (TP3 §3, §4)."""
    follower = patroni.leader_of(dr)
    row = patroni.state(leader).standby(follower.name)
    assert row is not None, f"{follower.name} is not attached to {leader.name}"
    assert (row.state, row.sync_state) == ("streaming", "async"), (
        f"{follower.name} is {row.state}, {row.sync_state}"
    )


def test_dr_is_a_standby(context: Context, dr: Scope, machine: Machine) -> None:
    """DR is a standby cluster in another region; it never promotes itself (TP3 §4)."""
    follower = patroni.leader_of(dr)
    assert patroni.config(follower).get("standby_cluster"), "it has no standby_cluster"
    recovering = asked(context, follower, "SELECT pg_is_in_recovery()")
    assert recovering == "True", f"{follower.name} takes writes"
    assert follower.region != primary_scope(context).founder.region, "it is in the same region"
    for node in dr.members:
        file = machine(node).file(str(context.layout.conf(node) / "patroni.yml"))
        guarded = file.contains("pre_promote:")
        assert guarded, f"{node.name} has no guard against a promotion by itself"
        allowed = machine(node).file(str(promotion_marker(context, node))).exists
        assert not allowed, f"{node.name} is allowed to be promoted"
    command = asked(context, follower, "SELECT current_setting('archive_command')")
    assert promotion_marker(context, follower).name in command, (
        f"{follower.name} would archive a timeline of its own: archive_command is '{command}'"
    )


def test_dr_slot(context: Context, dr: Scope, leader: Node) -> None:
    """A replication slot keeps the DR standby's WAL, and cannot fill the disk (TP3 §4)."""
    with superuser(context, leader) as connection:
        slot = connection.execute(
            "SELECT active, wal_status FROM pg_replication_slots"
            " WHERE slot_type = 'physical' AND slot_name = %s",
            [slot_name(dr)],
        ).fetchone()
    assert slot is not None, f"there is no slot {slot_name(dr)}"
    assert slot == (True, "reserved"), f"slot {slot_name(dr)}: active {slot[0]}, WAL {slot[1]}"
    cap = asked(context, leader, "SELECT current_setting('max_slot_wal_keep_size')")
    assert cap != "-1", "max_slot_wal_keep_size is unlimited"


# Archive and backups


def test_archiving(context: Context, leader: Node) -> None:
    """WAL archiving is on, and the last segment was archived (TP3 §4, §5)."""
    assert asked(context, leader, "SELECT current_setting('archive_mode')") == "on", (
        "archive_mode is off"
    )
    command = asked(context, leader, "SELECT current_setting('archive_command')")
    assert "archive-push" in command, f"archive_command is '{command}'"
    failing = asked(
        context,
        leader,
        "SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)"
        " FROM pg_stat_archiver",
    )
    assert failing == "False", "the last attempt to archive WAL failed"


def test_archive_check(context: Context, leader: Node) -> None:
    """A new WAL segment reaches every repository (TP3 §5)."""
    try:
        backup.check(context, leader)
    except OpsError as error:
        pytest.fail(error.message)


def test_full_backup(context: Context, leader: Node) -> None:
    """There is a full backup to recover from in every repository (TP3 §5)."""
    found = backup.repositories(context, leader)
    assert found.each, "no repository knows this cluster"
    for each in found.each:
        full = found.full_in(each.number)
        assert full is not None, f"none in repository {each.number} ({each.message})"


def test_repositories_are_encrypted(context: Context, leader: Node) -> None:
    """Whoever reads a repository reads no payment (TP3 §5)."""
    wanted = context.topology.archive.repositories
    plain = [
        each.number
        for each in backup.repositories(context, leader).each
        if not each.encrypted and wanted[each.number - 1].encrypted is not False
    ]
    assert not plain, f"repository {plain[0]} was made before repositories were encrypted"
