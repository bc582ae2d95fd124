"""What is written down, as metrics: backups, drills, certificates, half-done changes.

Some of it takes seconds to read (pgBackRest is a program that reads a repository), so it is read
beside the scrapes and kept until the next time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from cluster.backup.contracts import Backup, Window
from cluster.certificates import in_use, validity
from cluster.context import Context
from cluster.drill.due import Due, Wanted, due
from cluster.drill.journal import Journal
from cluster.drill.past_run import PastRun
from cluster.drill.verdict import Conclusion
from cluster.errors import OpsError
from cluster.metrics import Reading
from manifests.services import releases
from manifests.services import status as services
from postgres import regions, restore_state
from postgres.regions import Stage
from runbooks.facts import around
from runbooks.facts.records import Proof
from skillswap_ops.backups import ENGINES
from skillswap_ops.drill_records import past_runs
from skillswap_ops.drilling import tagged

QUARTER_DAYS = 92
PROOF = "proof"


def read(context: Context) -> list[Reading]:
    """All of it. What cannot be read has no readings: its alert is that they are absent."""
    found: list[Reading] = []
    parts: tuple[Callable[[Context], Iterable[Reading]], ...] = (
        _backups,
        _drills,
        _certificates,
        _half_done,
        _services,
    )
    for part in parts:
        try:
            found += part(context)
        except (OpsError, OSError):
            continue
    return found


def _backups(context: Context) -> list[Reading]:
    now, found = datetime.now(UTC), []
    for engine in ENGINES:
        try:
            found += of_backups(engine.name, engine.list(context), engine.windows(context), now)
        except OpsError:
            continue
    return found


def of_backups(
    engine: str, backups: Sequence[Backup], windows: Sequence[Window], now: datetime
) -> list[Reading]:
    """An engine's backups. Pure."""
    good = [one for one in backups if one.good]
    labels = {"engine": engine}
    found = [Reading("backups", len(good), labels)]
    if good:
        age = now - max(one.stopped for one in good)
        found.append(Reading("backup_age_seconds", age.total_seconds(), labels))
    if windows:
        end = now - max(one.last for one in windows)
        found.append(Reading("backup_window_end_age_seconds", end.total_seconds(), labels))
    return found


def _drills(context: Context) -> list[Reading]:
    proof = context.topology.sla.restore_proof
    wanted = [
        Wanted(spec.name, days=proof if PROOF in spec.tags else None)
        for spec in tagged(("quarterly", PROOF))
        if not spec.skip(context)
    ]
    runs, now = past_runs(context, lambda _: None), datetime.now(UTC)
    faults = Journal(context.layout.drills).open_entries()
    return [
        *of_runs(runs, now),
        *of_due(due(wanted, runs, now, QUARTER_DAYS)),
        *(_proof(context) if any(each.days for each in wanted) else ()),
        Reading("drill_faults_open", len(faults)),
    ]


def _proof(context: Context) -> Iterator[Reading]:
    """As `doctor` sees it: what was never proved is overdue once the cluster is that old."""
    for each in around.proof(context).seen:
        if isinstance(each, Proof):
            yield Reading("restore_proof_overdue", each.overdue)


def of_runs(runs: Sequence[PastRun], now: datetime) -> list[Reading]:
    """Each drill's last run, and the last one that showed something. Pure."""
    found = []
    for drill, last in {run.drill: run for run in runs}.items():
        found += [
            Reading("drill_verdict", last.verdict is each, {"drill": drill, "verdict": each.value})
            for each in Conclusion
        ]
    for drill, last in {run.drill: run for run in runs if run.conclusive}.items():
        age = (now - last.began).total_seconds()
        found.append(Reading("drill_age_seconds", age, {"drill": drill}))
    return found


def of_due(found: Sequence[Due]) -> list[Reading]:
    """Which drills must be run again. Pure."""
    return [Reading("drill_overdue", each.overdue, {"drill": each.drill}) for each in found]


def _certificates(context: Context) -> Iterator[Reading]:
    now = datetime.now(UTC)
    for name, file in in_use(context.layout).items():
        if file.is_file():
            left = validity(file.read_bytes()).days(now)
            yield Reading("certificate_days_left", left, {"certificate": name})


def _half_done(context: Context) -> list[Reading]:
    stage, restoring = regions.load(context.layout).stage, restore_state.load(context.layout)
    touched = restoring is not None and restoring.phase.touched
    return [
        *(Reading("region_stage", stage is each, {"stage": each.value}) for each in Stage),
        Reading("restore_half_done", touched),
    ]


def _services(context: Context) -> list[Reading]:
    if not releases.load(context.layout.releases).services:
        return []
    seen = services.overview(context, {})
    found = [Reading("service_change_open", bool(seen.change))]
    for each in seen.services:
        labels = {"service": each.name}
        found.append(Reading("service_instances_wanted", each.wanted, labels))
        found.append(Reading("service_instances_ready", each.ready, labels))
    return found
