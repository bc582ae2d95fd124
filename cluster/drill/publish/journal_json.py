"""The run as a Chaos Toolkit journal, for the tools that read those.

The keys mean what they mean there; ours are under `skillswap-ops`. A drill's faults are actions,
its findings are probes of the steady state.
https://chaostoolkit.org/reference/api/journal/
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cluster.drill.contracts import UndoRecord
from cluster.drill.eventlog import read_events
from cluster.drill.events import (
    Event,
    Injected,
    Injecting,
    Phase,
    PhaseBegan,
    UndoFailed,
    Undoing,
    Undone,
)
from cluster.drill.evidence import EVENTS
from cluster.drill.measures import Measures
from cluster.drill.report import RunSummary, as_json
from cluster.drill.verdict import Conclusion, Finding, Validity

CHAOSLIB = "1.44.0"  # the version of chaostoolkit-lib whose journal this is like
OURS = "skillswap-ops"
BEFORE = {"preconditions", "baseline"}  # checks of the steady state before the fault
Json = dict[str, object]


def render(measures: Measures, summary: RunSummary) -> str:
    """The whole file."""
    events = read_events(measures.run.folder / EVENTS)
    start = summary.began.astimezone(UTC)
    end = _when(events, Phase.END, events[-1].utc if events else start)
    before = [finding for finding in summary.findings if finding.check in BEFORE]
    after = [finding for finding in summary.findings if finding.check not in BEFORE]
    actions, rollbacks = _actions(events), _rollbacks(events)
    journal: Json = {
        "chaoslib-version": CHAOSLIB,
        "platform": measures.run.config.platform,
        "node": measures.run.config.node,
        "experiment": _experiment(summary, actions, rollbacks),
        "start": _time(start),
        "status": _status(summary),
        "deviated": summary.conclusion is Conclusion.FAIL,
        "steady_states": {
            "before": _steady(before, _when(events, Phase.FAULT, start)),
            "after": _steady(after, end),
            "during": [],
        },
        "run": actions,
        "rollbacks": rollbacks,
        "end": _time(end),
        "duration": (end - start).total_seconds(),
        OURS: json.loads(as_json(summary)),
    }
    return json.dumps(journal, indent=1, ensure_ascii=False) + "\n"


def _status(summary: RunSummary) -> str:
    """One of the four that Chaos Toolkit knows."""
    if summary.interrupted:
        return "interrupted"
    unmet = any(finding.check == "preconditions" for finding in summary.findings)
    if summary.conclusion is Conclusion.FAIL or unmet:
        return "failed"
    return "completed" if summary.conclusion is Conclusion.PASS else "aborted"


def _experiment(summary: RunSummary, actions: Sequence[Json], rollbacks: Sequence[Json]) -> Json:
    return {
        "version": "1.0.0",
        "title": summary.drill,
        "description": summary.hypothesis,
        "tags": [OURS, summary.drill],
        "configuration": {"seed": summary.seed, "phase_offset": summary.phase_offset},
        "steady-state-hypothesis": {
            "title": summary.hypothesis,
            "probes": [_probe(finding) for finding in summary.findings],
        },
        "method": [action["activity"] for action in actions],
        "rollbacks": [action["activity"] for action in rollbacks],
    }


def _probe(finding: Finding) -> Json:
    name = f"{finding.check}: {finding.subject}" if finding.subject else finding.check
    return {
        "type": "probe",
        "name": name,
        "tolerance": True,
        "provider": _provider("cluster.drill.judge", "judge", {"check": finding.check}),
    }


def _provider(module: str, function: str, arguments: Json) -> Json:
    return {"type": "python", "module": module, "func": function, "arguments": arguments}


def _steady(findings: Iterable[Finding], at: datetime) -> Json:
    probes = [
        {
            "activity": _probe(finding),
            "status": "failed" if finding.validity is Validity.UNKNOWN else "succeeded",
            "output": finding.message,
            "tolerance_met": finding.validity is Validity.VALID,
            "start": _time(at),
            "end": _time(at),
            "duration": 0.0,
        }
        for finding in findings
    ]
    return {"steady_state_met": all(probe["tolerance_met"] for probe in probes), "probes": probes}


def _actions(events: Sequence[Event]) -> list[Json]:
    """The faults that were begun; one that was not proved to have hit has failed."""
    hits = {e.what.entry: (e.what, e.utc) for e in events if isinstance(e.what, Injected)}
    found = []
    for event in events:
        if not isinstance(event.what, Injecting):
            continue
        hit, end = hits.get(event.what.entry, (None, event.utc))
        provider = _provider("cluster.drill.injection", "inject", _arguments(event.what.undo))
        found.append(
            _activity(event.what.fault, provider, event.utc, end, hit.proof if hit else None)
        )
    return found


def _rollbacks(events: Sequence[Event]) -> list[Json]:
    """The undoings, each try with how it ended."""
    undos = {e.what.entry: e.what.undo for e in events if isinstance(e.what, Injecting)}
    began: dict[str, datetime] = {}
    found = []
    for event in events:
        what = event.what
        if isinstance(what, Undoing):
            began[what.entry] = event.utc
        elif isinstance(what, Undone | UndoFailed):
            undo = undos.get(what.entry)
            arguments = _arguments(undo) if undo else {}
            provider = _provider("cluster.drill.injection", "undo_run", arguments)
            output = "undone" if isinstance(what, Undone) else None
            start = began.get(what.entry, event.utc)
            activity = _activity(f"undo {what.fault}", provider, start, event.utc, output)
            if isinstance(what, UndoFailed):
                activity["exception"] = [what.error]
            found.append(activity)
    return found


def _arguments(undo: UndoRecord) -> Json:
    return {"kind": undo.kind, "targets": list(undo.targets), **undo.args}


def _activity(
    name: str, provider: Json, start: datetime, end: datetime, output: str | None
) -> Json:
    return {
        "activity": {"type": "action", "name": name, "provider": provider},
        "status": "failed" if output is None else "succeeded",
        "output": output,
        "start": _time(start),
        "end": _time(end),
        "duration": (end - start) / timedelta(seconds=1),
    }


def _when(events: Sequence[Event], phase: Phase, default: datetime) -> datetime:
    begins = (e.utc for e in events if isinstance(e.what, PhaseBegan) and e.what.phase is phase)
    return next(begins, default)


def _time(at: datetime) -> str:
    """UTC without an offset, as Chaos Toolkit writes it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()
