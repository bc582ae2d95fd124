"""What Patroni, etcd and HAProxy answered, parsed."""

from postgres import etcd, haproxy, patroni
from postgres.patroni import ClusterView, Member, Replication
from tests.unit.postgres_samples import answer, text


def test_cluster() -> None:
    view = patroni.parse_cluster(answer("cluster"))
    assert view == ClusterView(
        (
            Member("pg1", "leader", "running", 1, None),
            Member("pgsync1", "sync_standby", "streaming", 1, 0),
        )
    )
    assert view.leader is not None
    assert view.leader.name == "pg1"
    assert view.named("nobody") is None


def test_lag_that_is_not_known() -> None:
    row = {"name": "pg1", "role": "replica", "state": "starting", "lag": "unknown"}
    assert patroni.parse_cluster({"members": [row]}).members[0].lag is None


def test_cluster_without_members() -> None:
    assert patroni.parse_cluster({}).leader is None
    assert patroni.parse_cluster({"members": None, "pause": True}).paused


def test_primary() -> None:
    state = patroni.parse_state(answer("primary"))
    assert (state.primary, state.running, state.timeline, state.unlocked) == (True, True, 1, False)
    assert state.standby("pgsync1") == Replication("pgsync1", "streaming", "sync")
    assert state.standby("pgdr1") == Replication("pgdr1", "streaming", "async")
    assert state.standby("pg9") is None


def test_standbys() -> None:
    standby, dr = (patroni.parse_state(answer(name)) for name in ("standby", "dr"))
    assert not standby.primary
    assert not dr.primary
    assert standby.sync_standby
    assert (dr.role, dr.replication_state) == ("standby_leader", "streaming")


def test_member_that_lost_its_leader() -> None:
    state = patroni.parse_state({"state": "running", "role": "replica", "cluster_unlocked": True})
    assert state.unlocked
    assert state.timeline is None


def test_etcd_leader() -> None:
    health = etcd.parse_health(answer("etcd"))
    assert (health.leader, health.has_leader, health.term) == (True, True, 2)
    assert (health.version, health.bytes_used) == ("3.4.23", 49152)


def test_etcd_without_quorum() -> None:
    status = answer("etcd")
    del status["leader"]  # a zero is left out
    health = etcd.parse_health(status)
    assert not health.leader
    assert not health.has_leader


def test_haproxy_statistics() -> None:
    routes = haproxy.parse_statistics(text("haproxy.csv"))
    assert routes.up == {"pooled": ("pg1",), "direct": ("pg1",), "reads": ("pgsync1",)}
    assert routes.to("pooled") == "pg1"


def test_haproxy_without_a_pool_leads_past_it() -> None:
    csv = (
        "# pxname,svname,status,bck\n"
        "pooled,pg1,DOWN,0\npooled,pg1-unpooled,UP,1\nunpooled,pg1,UP,0\ndirect,pg1,UP,0\n"
    )
    assert haproxy.parse_statistics(csv).up == {"pooled": (), "direct": ("pg1",)}


def test_haproxy_with_two_primaries_or_none() -> None:
    csv = "# pxname,svname,status\ndirect,pg1,UP 1/2\ndirect,pgsync1,UP\npooled,pg1,DOWN\n"
    routes = haproxy.parse_statistics(csv)
    assert routes.up == {"direct": ("pg1", "pgsync1"), "pooled": ()}
    assert routes.to("direct") is None
    assert routes.to("pooled") is None
