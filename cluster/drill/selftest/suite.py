"""Plants every defect into a copy of its own, judges that, and says whether it was found."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.drill.evidence import VERDICT, load_run
from cluster.drill.judge import Check, judge
from cluster.drill.measures import Measures
from cluster.drill.selftest.choose import NotPlantable
from cluster.drill.selftest.copy import Copy
from cluster.drill.selftest.defects import DEFECTS, Defect
from cluster.drill.selftest.genuine import write_genuine
from cluster.drill.verdict import Conclusion, Finding, Validity, Verdict

CLEAN = "nothing planted"


@dataclass(frozen=True)
class Planted:
    """What was planted, and what the judge said; `skipped` is why a run has no place for it.

    `said` are the findings, short of valid ones, that the defect has added.
    """

    defect: str
    expected: str
    said: tuple[str, ...]
    caught: bool
    skipped: str = ""


def on_genuine(
    checks: Mapping[str, Check] | None = None,
    more: Sequence[Defect] = (),
    furnish: Callable[[Path], None] = lambda _run: None,
) -> tuple[Planted, ...]:
    """Every defect in a run made for it, which passes without one, and has a place for each.

    `furnish` adds what the defects in `more` are about, and the names of the checks for it.
    """
    with TemporaryDirectory(prefix="skillswap-ops-selftest-") as name:
        run = Path(name, "genuine")
        run.mkdir()
        write_genuine(run)
        furnish(run)
        return _all(run, Path(name), checks, Conclusion.PASS, (*DEFECTS, *more))


def on_copy(
    run: Path, checks: Mapping[str, Check] | None = None, more: Sequence[Defect] = ()
) -> tuple[Planted, ...]:
    """Every defect that a real run has a place for; the run itself is only read.

    Without a defect, its copy must get the verdict that the run was given. Raises as `load_run`.
    """
    with TemporaryDirectory(prefix="skillswap-ops-selftest-") as name:
        return _all(run, Path(name), checks, _given(run), (*DEFECTS, *more))


def all_caught(planted: Sequence[Planted]) -> bool:
    """Did the judge find everything that could be planted?"""
    return all(one.caught or one.skipped for one in planted)


def _given(run: Path) -> Conclusion | None:
    verdict = run / VERDICT
    return Conclusion(json.loads(verdict.read_bytes())["conclusion"]) if verdict.exists() else None


def _all(
    run: Path,
    work: Path,
    checks: Mapping[str, Check] | None,
    expected: Conclusion | None,
    defects: Sequence[Defect],
) -> tuple[Planted, ...]:
    clean = judge(Copy(run, work / "clean").measures, checks)
    same = expected in {None, clean.conclusion}
    first = Planted(CLEAN, (expected or clean.conclusion).value, clean.reasons, same)
    return (first, *(_one(defect, run, work / "copy", clean, checks) for defect in defects))


def _one(
    defect: Defect, run: Path, folder: Path, clean: Verdict, checks: Mapping[str, Check] | None
) -> Planted:
    expected = f"{defect.check}: {defect.validity.value}"
    try:
        subject = defect.plant(Copy(run, folder))
        measures = Measures(load_run(folder))
        verdict, engine = judge(measures, checks), measures.run.config.checks
    except NotPlantable as why:
        return Planted(defect.name, expected, (), caught=False, skipped=str(why))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    added = tuple((_bad(verdict) - _bad(clean)).elements())
    caught = verdict.conclusion is not Conclusion.PASS and _is_meant(defect, subject, added, engine)
    return Planted(defect.name, expected, tuple(map(_said, added)), caught)


def _is_meant(
    defect: Defect, subject: str, added: Sequence[Finding], engine: Sequence[str]
) -> bool:
    """Exactly the finding expected, and what follows from it."""
    meant, broken = (defect.check, defect.validity, subject), defect.validity is Validity.INVALID
    others = [one for one in added if (one.check, one.validity, one.subject) != meant]
    return len(others) < len(added) and all(
        one.check in defect.follows
        or (one.check in engine and (broken or one.validity is not Validity.INVALID))
        for one in others
    )


def _bad(verdict: Verdict) -> Counter[Finding]:
    return Counter(one for one in verdict.findings if one.validity is not Validity.VALID)


def _said(finding: Finding) -> str:
    about = f"{finding.subject}: " if finding.subject else ""
    return f"{finding.check} {finding.validity.value}: {about}{finding.message}"
