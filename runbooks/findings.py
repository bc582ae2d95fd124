"""From what was seen to what is wrong, and which runbook applies. Pure.

A cause hides its consequences: a finding whose runbook `hides` another one takes that one's
findings out: those about the same thing, those of its group, or all. What is hidden is kept with
its cause.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from runbooks.conditions import Value, parse
from runbooks.facts.records import Fact, Facts, field_kinds, values
from runbooks.model import Check, FactCheck, Runbook, Scope, Severity, Symptom
from runbooks.rules import PROGRAM


@dataclass(frozen=True)
class Finding:
    """Something that is wrong. `arguments` are the runbook's, filled in from what was seen."""

    runbook: str
    title: str
    severity: Severity
    group: str
    evidence: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    explains: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What runs the runbook on it."""
        options = [word for name, given in self.arguments for word in (f"--{option(name)}", given)]
        return shlex.join([PROGRAM, "runbook", "run", self.runbook, *options])


def option(argument: str) -> str:
    """An argument's name on the command line."""
    return argument.replace("_", "-")


def findings(facts: Facts, runbooks: Iterable[Runbook]) -> tuple[Finding, ...]:
    """What is wrong, the worst first, one a runbook and its arguments."""
    known = {runbook.id: runbook for runbook in runbooks}
    united: dict[tuple[str, tuple[tuple[str, str], ...]], Finding] = {}
    for runbook in known.values():
        for found in of_runbook(facts, runbook):
            key = (found.runbook, found.arguments)
            united[key] = _united(united[key], found) if key in united else found
    return tuple(sorted(_causes(list(united.values()), known), key=_order))


def of_runbook(facts: Facts, runbook: Runbook) -> list[Finding]:
    """The findings of one runbook, one a fact that shows a symptom."""
    return [
        _finding(runbook, symptom, fact)
        for symptom in runbook.front.symptoms
        for fact in facts.of(symptom.each)
        if parse(symptom.when, field_kinds(symptom.each)).holds(values(fact), {}) is True
    ]


def satisfied(
    check: Check, facts: Facts, runbook: Runbook, arguments: Mapping[str, str]
) -> tuple[bool, str]:
    """Whether a check of a step holds, and what is seen of it."""
    if isinstance(check, FactCheck):
        return _facts_satisfy(check, facts, arguments)
    left = [
        found
        for found in of_runbook(facts, runbook)
        if all(arguments.get(name) in {given, None} for name, given in found.arguments)
    ]
    seen = "; ".join(line for found in left for line in found.evidence)
    return not left, seen or "doctor finds nothing of it any more"


def kinds_of(check: Check, runbook: Runbook) -> frozenset[str]:
    """The kinds of facts that a check reads."""
    if isinstance(check, FactCheck):
        return frozenset({check.each})
    return frozenset(symptom.each for symptom in runbook.front.symptoms)


def _facts_satisfy(
    check: FactCheck, facts: Facts, arguments: Mapping[str, str]
) -> tuple[bool, str]:
    fields = field_kinds(check.each)
    where = parse(check.where, fields, arguments)
    holds = parse(check.holds, fields, arguments)
    chosen = [seen for fact in facts.of(check.each) if where.holds(seen := values(fact), arguments)]
    failing = [seen for seen in chosen if holds.holds(seen, arguments) is not True]
    if not chosen:
        return False, f"no {check.each} is seen for which {check.where}"
    shown = failing or chosen
    return not failing, "; ".join(_described(seen) for seen in shown[:3])


def _described(seen: Mapping[str, Value]) -> str:
    rest = ", ".join(
        f"{name} {_text(value)}" for name, value in seen.items() if name not in {"name", "group"}
    )
    return f"{seen['name']}: {rest}"


def _finding(runbook: Runbook, symptom: Symptom, fact: Fact) -> Finding:
    seen = values(fact)
    texts = {name: _text(value) for name, value in seen.items()}
    given = {name: texts[source] for name, source in symptom.arguments.items()}
    return Finding(
        runbook.id,
        runbook.front.title,
        symptom.severity or runbook.front.severity,
        fact.group,
        (symptom.evidence.format(**texts),),
        tuple((name, given[name]) for name in runbook.front.arguments if given.get(name)),
    )


def _text(value: Value) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}".removesuffix(".0")
    return str(value)


def _united(first: Finding, second: Finding) -> Finding:
    evidence = tuple(dict.fromkeys((*first.evidence, *second.evidence)))
    worst = min(first.severity, second.severity, key=lambda each: each.rank)
    return replace(first, evidence=evidence, severity=worst)


def _causes(found: list[Finding], known: Mapping[str, Runbook]) -> list[Finding]:
    """Those that no other one explains, each with what it explains.

    Two that would hide each other both stay: nobody knows which is the cause.
    """
    hidden: dict[Finding, Finding] = {}
    for finding in found:
        causes = [
            one for one in found if _hides(one, finding, known) and not _hides(finding, one, known)
        ]
        if causes:
            hidden[finding] = min(causes, key=_order)
    return [
        replace(
            cause, explains=tuple(line for one in found for line in _explained(one, cause, hidden))
        )
        for cause in found
        if cause not in hidden
    ]


def _explained(one: Finding, cause: Finding, hidden: Mapping[Finding, Finding]) -> tuple[str, ...]:
    """The evidence of a finding that this cause hides, itself or through another hidden one."""
    by, steps = hidden.get(one), 0
    while by is not None and by != cause and steps < len(hidden):
        by, steps = hidden.get(by), steps + 1
    return one.evidence if by == cause else ()


def _hides(cause: Finding, other: Finding, known: Mapping[str, Runbook]) -> bool:
    if cause == other:
        return False
    match known[cause.runbook].front.hides.get(other.runbook):
        case Scope.EVERYWHERE:
            return True
        case Scope.GROUP:
            return cause.group == other.group
        case Scope.SAME:
            return bool(
                {given for _, given in cause.arguments} & set(dict(other.arguments).values())
            )
    return False


def _order(finding: Finding) -> tuple[int, str, str, tuple[tuple[str, str], ...]]:
    return (finding.severity.rank, finding.runbook, finding.group, finding.arguments)
