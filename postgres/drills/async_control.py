"""pg-async: the control of pg-primary-isolated. Without synchronous mode, loss must be seen.

The archive is away too, as it is for a node that has lost its network: else the primary, which
stops cleanly when it demotes itself, archives all that it has acknowledged, and the standby
restores that before its promotion. Nothing was lost so, as was measured.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Availability, Drill, DrillSpec, Promise, Stage
from cluster.target import CanIsolate
from postgres import patroni
from postgres.drills.common import STRAIGHT, drill, stream, streams
from postgres.drills.skips import no_archive_folder, not_synchronous
from postgres.faults.archive_outage import archive_outage, mode_of_archive
from postgres.faults.primary_isolation import primary_isolation
from postgres.faults.synchronous_off import synchronous_off
from postgres.scopes import primary_scope
from postgres.wholeness import effective_settings

SWITCHED = "synchronous_mode"  # by this drill itself
BETWEEN = 2.0  # seconds


def async_control(context: Context) -> Drill:
    """Turn synchronous mode off, close the archive, then cut the primary off."""
    scope = primary_scope(context)
    mode = mode_of_archive(context, patroni.leader_of(scope))
    sla = context.topology.sla.postgres
    loses = Promise(Availability.RESTORED, rto=sla.rto, rpo=0, must_lose=True)
    straight = Promise(Availability.UNJUDGED, rpo=0, must_lose=True)
    made = drill(
        context,
        ASYNC,
        stages=[
            Stage(partial(synchronous_off, context, scope)),
            Stage(partial(archive_outage, context, scope, mode)),
            Stage(partial(primary_isolation, context, scope), after=BETWEEN),
        ],
        load=[*streams(context, scope, loses), stream(context, scope, STRAIGHT, straight)],
    )
    return replace(made, settings=partial(_settings, context))


def _settings(context: Context) -> Mapping[str, str]:
    found = effective_settings(context)
    return {name: text for name, text in found.items() if name != SWITCHED}


def _skip(context: Context) -> str:
    return not_synchronous(context) or no_archive_folder(context)


ASYNC = DrillSpec(
    name="pg-async",
    hypothesis="A control: with synchronous mode off, an isolated primary acknowledges writes "
    "that are lost, and the ledger sees it.",
    fault="synchronous mode off, then cut the primary from the archive, etcd and its standbys",
    must_hold="loss is seen",
    seconds=95,
    build=async_control,
    needs=(CanIsolate,),
    skip=_skip,
    tags=frozenset({"postgres", "control"}),
)
