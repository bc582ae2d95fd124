"""What the members' claims come to: who leads, who only believes so, who is protected."""

from cluster.drill.contracts import Observation
from postgres.observer import Claim, observe

STANDBY = Claim("", wants_standby=False, synchronous="")


def primary(timeline: int, *, wants: bool = True, synchronous: str = "") -> Claim:
    return Claim(f"{timeline:08X}000000000000000A", wants, synchronous)


def facts(seen: Observation) -> tuple[object, ...]:
    return (seen.leaders, seen.epoch, seen.detected_down, seen.protected, seen.stale)


def test_whole_cluster() -> None:
    seen = observe(
        {"pg1": primary(1, synchronous="pgsync1"), "pgsync1": STANDBY}, known=False, routed=True
    )
    assert facts(seen) == (("pg1",), 1, False, True, ())


def test_primary_without_its_standby_still_leads() -> None:
    # It acknowledges nothing now; nobody else may either, and its standby may come back.
    seen = observe({"pg1": primary(1), "pgsync1": STANDBY}, known=False, routed=True)
    assert facts(seen) == (("pg1",), 1, False, False, ())


def test_primary_on_its_own_by_configuration() -> None:
    seen = observe({"pgsync1": primary(2, wants=False)}, known=False, routed=True)
    assert facts(seen) == (("pgsync1",), 2, False, False, ())


def test_loss_is_noticed_by_patroni_or_by_the_proxies() -> None:
    claims = {"pgsync1": STANDBY}
    assert facts(observe(claims, known=True, routed=True)) == ((), None, True, None, ())
    assert facts(observe(claims, known=False, routed=False)) == ((), None, True, None, ())
    assert facts(observe(claims, known=False, routed=None)) == ((), None, False, None, ())


def test_two_that_acknowledge_are_two_leaders() -> None:
    claims = {"pg1": primary(1, wants=False), "pgsync1": primary(2, wants=False)}
    assert observe(claims, known=False, routed=True).leaders == ("pg1", "pgsync1")


def test_old_primary_with_another_standby_attached_is_a_leader() -> None:
    claims = {"pg1": primary(1, synchronous="pg2"), "pgsync1": primary(2, wants=False)}
    assert observe(claims, known=False, routed=True).leaders == ("pg1", "pgsync1")


def test_old_primary_that_waits_for_its_promoted_standby_is_stale() -> None:
    claims = {"pg1": primary(1), "pgsync1": primary(2, wants=False)}
    seen = observe(claims, known=False, routed=True)
    assert facts(seen) == (("pgsync1",), 2, False, False, ("pg1",))


def test_two_on_one_timeline_are_never_excused() -> None:
    claims = {"pg1": primary(2), "pgsync1": primary(2)}
    assert observe(claims, known=False, routed=True).leaders == ("pg1", "pgsync1")
