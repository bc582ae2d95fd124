"""Regions and zones: that they exist, and that what must not fail together is apart."""

from collections.abc import Iterable, Iterator

from cluster.problems import Path, Problem, suggestion
from cluster.rules.base import region_named, repeated, replica_sets, rule
from cluster.topology import PostgresRole, Region, Topology


def unique_regions(topology: Topology) -> Iterable[Problem]:
    """A reference to a region must mean one."""
    return repeated((("regions", i, "name"), r.name) for i, r in enumerate(topology.regions))


def unique_zones(topology: Topology) -> Iterable[Problem]:
    """A zone is what fails together: twice in a region it would count as two, and no zone lies in
    two regions.
    """
    return repeated(
        (("regions", i, "zones", j), zone)
        for i, region in enumerate(topology.regions)
        for j, zone in enumerate(region.zones)
    )


def known_regions(topology: Topology) -> Iterable[Problem]:
    """A component stands in a region of this file."""
    names = dict.fromkeys(region.name for region in topology.regions)
    for path, name in _region_references(topology):
        if name is not None and name not in names:
            hint = suggestion(name, names) or f" (regions: {', '.join(names)})"
            yield Problem(path, f"is no region of this topology{hint}", name)


def _region_references(topology: Topology) -> Iterator[tuple[Path, str | None]]:
    yield ("mongo", "region"), topology.mongo.region
    yield ("postgres", "region"), topology.postgres.region
    if topology.postgres.dr:
        yield ("postgres", "dr", "region"), topology.postgres.dr.region


def a_zone_each(topology: Topology) -> Iterable[Problem]:
    """`zones` names one zone a member, the arbiter's last, or is left out."""
    for path, _, members in replica_sets(topology):
        total = members.members + members.arbiter
        if members.zones is not None and len(members.zones) != total:
            counted = f"{members.members} members{' and an arbiter' * members.arbiter}"
            reason = f"must name a zone each for {counted}, or be left out"
            yield Problem((*path, "zones"), f"{reason} (got {len(members.zones)} zones)")


def known_zones(topology: Topology) -> Iterable[Problem]:
    """A member stands in a zone of its component's region: replication inside a region is what
    the timings are made for (TP3 §5: "réplication cross-AZ").
    """
    postgres = topology.postgres
    mongo_region = region_named(topology, topology.mongo.region)
    for path, _, members in replica_sets(topology):
        zones = enumerate(members.zones or ())
        yield from _strangers(mongo_region, (((*path, "zones", i), zone) for i, zone in zones))
    yield from _strangers(
        region_named(topology, postgres.region),
        ((("postgres", "members", i, "zone"), m.zone) for i, m in enumerate(postgres.members)),
    )
    if postgres.dr:
        standbys = enumerate(postgres.dr.members)
        yield from _strangers(
            region_named(topology, postgres.dr.region),
            ((("postgres", "dr", "members", i, "zone"), m.zone) for i, m in standbys),
        )


def _strangers(region: Region | None, zones: Iterable[tuple[Path, str]]) -> Iterator[Problem]:
    """The zones that the region does not have; none for an unknown region, told elsewhere."""
    for path, zone in zones:
        if region is not None and zone not in region.zones:
            hint = suggestion(zone, region.zones) or f" (zones: {', '.join(region.zones)})"
            yield Problem(path, f"is no zone of region {region.name}{hint}", zone)


def dr_elsewhere(topology: Topology) -> Iterable[Problem]:
    """DR is for the loss of a region (TP3 §4: "standby DR asynchrone (autre région)")."""
    postgres = topology.postgres
    home = region_named(topology, postgres.region)
    if postgres.dr and home and postgres.dr.region == home.name:
        yield Problem(
            ("postgres", "dr", "region"), "must be another region than PostgreSQL's", home.name
        )


def synchronous_apart(topology: Topology) -> Iterable[Problem]:
    """A zone must not take the primary and its synchronous standby together (TP3 §4: "dans des AZ
    distinctes").
    """
    members = topology.postgres.members
    primaries = {m.zone: m.name for m in members if m.role is PostgresRole.PRIMARY}
    for index, member in enumerate(members):
        if member.role is PostgresRole.SYNCHRONOUS and member.zone in primaries:
            reason = f"must be another zone than the primary's ({primaries[member.zone]})"
            yield Problem(("postgres", "members", index, "zone"), reason, member.zone)


RULES = (
    rule(unique_regions, "regions"),
    rule(unique_zones, "regions"),
    rule(known_regions, "regions", "mongo", "postgres"),
    rule(a_zone_each, "mongo"),
    rule(known_zones, "regions", "mongo", "postgres"),
    rule(dr_elsewhere, "regions", "postgres"),
    rule(synchronous_apart, "postgres"),
)
