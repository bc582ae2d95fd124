"""Archiver: what follows MongoDB's oplogs into its repository, so that restores reach any second.

It knows from the repository where to go on, so that it needs no volume of its own. A stateful set,
because that never runs two of a pod: two archivers would keep every slice twice.
"""

from cluster.inventory import Kind
from manifests.kubernetes import archive, config_servers, names, placement, pods, probes, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import files
from manifests.kubernetes.mongo_set import HOME
from manifests.kubernetes.objects import Typed, manifests
from manifests.kubernetes.programs import LAYOUT

NAME = names.ARCHIVER_NAME
STATE = "state.json"  # of mongo.backup.archiver: a test holds the two together


def components(blueprint: Blueprint) -> tuple[Component, ...]:
    """The archiver, where the topology has one."""
    servers = blueprint.of(Kind.ARCHIVER)
    if not servers:
        return ()
    topology, node = blueprint.topology, servers[0].node
    held = files(topology, blueprint.secrets, NAME, names.ARCHIVER, servers)
    choice = names.selector(names.ARCHIVER, NAME)
    found = archive.of_mongo(topology)
    room = pods.Room(
        component=names.ARCHIVER,
        instance=NAME,
        affinity=placement.affinity(
            node.region, blueprint.zones(node.region), choice, strictly=True
        ),
        volumes=(found.volume,) if found else (),
    )
    state = LAYOUT.data(node) / STATE
    told = probes.ARCHIVER.format(state=state)
    alive = probes.shell(told)
    box = pods.Box(
        server=servers[0],
        image=topology.kubernetes.images.tool,
        size=topology.kubernetes.sizes.archiver,
        ready=alive,
        alive=probes.shell(told, period=60),
        start=probes.started(alive),
        env=(HOME,),
        mounts=(found.mount,) if found else (),
        name=NAME,
    )
    rows: list[Typed] = [
        workloads.headless(topology, NAME, names.ARCHIVER, {}, NAME),
        workloads.stateful_set(
            topology,
            NAME,
            names.ARCHIVER,
            NAME,
            pods.template(topology, room, [box], held),
            [],
            replicas=len(servers),
            service=NAME,
        ),
        workloads.budget(topology, NAME, names.ARCHIVER, away=1),
    ]
    shards = tuple(shard.name for shard in topology.mongo.shards)
    needs = (archive.NAME, config_servers.NAME, *shards)
    objects = (*held.objects, *manifests(rows))
    return (Component(Idea.ARCHIVE, NAME, objects, needs, node.region),)
