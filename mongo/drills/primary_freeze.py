"""mongo-primary-freeze.

A frozen primary keeps its sockets and, for itself, its office. What it was sent before and during
its sleep it executes on waking, in a term that is over: such a write may be in its own log, may
be rolled back, and must never be acknowledged. So one stream writes straight to it with a deadline
beyond the freeze: its writes lie in the socket until SIGCONT. One of them acknowledged breaks the
promise of refusal, one acknowledged and rolled back is a lost write.

Service is back in two steps. The secondary that followed a primary gone silent waits 30 s for its
answer to a report of progress (syncSourceFeedbackNetworkTimeoutSecs, a constant of the server's
sync_source_feedback.cpp); until then only its heartbeats tell the new primary how far it is, and
each majority write takes up to a heartbeat interval: it is acknowledged, and a steady load is not.
"""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Promise,
    Stage,
    Timings,
)
from cluster.target import CanFreeze
from mongo.drills.common import (
    both_ways,
    drill,
    member_stream,
    no_second,
    restored,
    scene,
    spared,
)
from mongo.drills.ways import MemberStore
from mongo.faults.primary_freeze import primary_freeze
from mongo.writer import WritePath

FROZEN_SECONDS = 60.0
PATIENT_SECONDS = 90.0  # the freeze, and time to wake
PATIENT_RATE, PATIENT_WORKERS = 10.0, 4  # each worker holds one write all through the freeze


def _primary_freeze(context: Context) -> Drill:
    here = scene(context)
    path = WritePath(here.shard.segment, "member", retries=False, within=PATIENT_SECONDS)
    member = MemberStore(context, path, here.hurt)
    patient = replace(
        member_stream(here, member, path, Promise(Availability.REFUSED)),
        rate=PATIENT_RATE,
        workers=PATIENT_WORKERS,
    )
    return drill(
        here,
        PRIMARY_FREEZE,
        streams=(*both_ways(here, restored(context)), patient, *spared(here)),
        stages=(Stage(partial(primary_freeze, context, here.hurt.name, lambda: member.member)),),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval, hold=FROZEN_SECONDS),
    )


PRIMARY_FREEZE = DrillSpec(
    name="mongo-primary-freeze",
    hypothesis="When a shard's primary stands still with its sockets open, its secondaries elect "
    "another; when it wakes it acknowledges nothing that it was sent in its sleep, and no write "
    "that a majority acknowledged is lost.",
    fault=f"SIGSTOP of the first shard's primary for {FROZEN_SECONDS:g} s, then SIGCONT",
    must_hold="the election is inside the SLA, no late acknowledgement of the old primary",
    seconds=95,
    build=_primary_freeze,
    needs=(CanFreeze,),
    tags=frozenset({"mongo", "failover"}),
    skip=no_second,
)
