"""Findings, and how they make a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Validity(StrEnum):
    """What a checker says."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One question and its answer; `stream` or group it is about, "" for the whole run."""

    check: str
    validity: Validity
    message: str
    subject: str = ""


def valid(check: str, message: str, subject: str = "") -> Finding:
    """The promise held."""
    return Finding(check, Validity.VALID, message, subject)


def invalid(check: str, message: str, subject: str = "") -> Finding:
    """The promise was broken, and nothing excuses it."""
    return Finding(check, Validity.INVALID, message, subject)


def unknown(check: str, message: str, subject: str = "") -> Finding:
    """It cannot be said."""
    return Finding(check, Validity.UNKNOWN, message, subject)


class Conclusion(StrEnum):
    """What a run showed."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """What a run showed, and why. `not_undone` names faults that may still be in place."""

    conclusion: Conclusion
    findings: tuple[Finding, ...]
    not_undone: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive; 4 wherever a fault was not undone."""
        if self.not_undone:
            return 4
        return {Conclusion.PASS: 0, Conclusion.FAIL: 1, Conclusion.INCONCLUSIVE: 3}[self.conclusion]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What made it so: the broken promises of a fail, else what could not be said."""
        worst = {
            Conclusion.FAIL: Validity.INVALID,
            Conclusion.INCONCLUSIVE: Validity.UNKNOWN,
        }.get(self.conclusion)
        return tuple(
            f"{finding.subject}: {finding.message}" if finding.subject else finding.message
            for finding in self.findings
            if finding.validity is worst
        )


def conclude(findings: Sequence[Finding], not_undone: Sequence[str] = ()) -> Verdict:
    """Fail beats inconclusive beats pass: a broken promise stays broken, whatever else is unsure.

    (A checker that the harness's own trouble could have misled says unknown by itself.) Without
    any finding nothing was shown.
    """
    said = {finding.validity for finding in findings}
    if Validity.INVALID in said:
        conclusion = Conclusion.FAIL
    elif Validity.UNKNOWN in said or not said:
        conclusion = Conclusion.INCONCLUSIVE
    else:
        conclusion = Conclusion.PASS
    return Verdict(conclusion, tuple(findings), tuple(not_undone))
