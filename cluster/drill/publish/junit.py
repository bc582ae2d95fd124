"""JUnit XML: a test case a finding. What is not known is an error, for CI must not call it passed.

The schema is that of Jenkins' xUnit plug-in, which GitLab and others read as well:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

import re
from collections import Counter
from xml.etree import ElementTree as ET

from cluster.drill.measures import Measures
from cluster.drill.report import RunSummary
from cluster.drill.verdict import Finding, Validity

OUTCOMES = {Validity.INVALID: "failure", Validity.UNKNOWN: "error"}
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(measures: Measures, summary: RunSummary) -> str:
    """The whole file."""
    said = Counter(finding.validity for finding in summary.findings)
    seconds = f"{duration(summary):.3f}"
    counts = {
        "tests": str(len(summary.findings)),
        "failures": str(said[Validity.INVALID]),
        "errors": str(said[Validity.UNKNOWN]),
        "time": seconds,
    }
    root = ET.Element("testsuites", {"name": "skillswap-ops drills", **counts})
    about = {
        "name": summary.drill,
        "skipped": "0",
        "timestamp": summary.began.replace(tzinfo=None).isoformat(timespec="seconds"),
        "hostname": measures.run.config.node or "unknown",
    }
    suite = ET.SubElement(root, "testsuite", {**about, **counts})
    _properties(suite, measures, summary)
    for name, finding in _named(summary.findings):
        _case(suite, summary.drill, name, finding)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def duration(summary: RunSummary) -> float:
    """From the first phase to the beginning of the last, seconds."""
    return summary.phases[-1].began if summary.phases else 0.0


def _properties(suite: ET.Element, measures: Measures, summary: RunSummary) -> None:
    properties = ET.SubElement(suite, "properties")
    values = {
        "verdict": summary.conclusion.value,
        "run": summary.run,
        "cluster": measures.run.config.cluster,
        "seed": str(summary.seed),
        "tool": summary.tool,
        **{f"version {name}": version for name, version in summary.versions.items()},
    }
    for name, value in values.items():
        ET.SubElement(properties, "property", name=_text(name), value=_text(value))


def _named(findings: tuple[Finding, ...]) -> list[tuple[str, Finding]]:
    """Findings with a name each; one check may have several of one subject."""
    seen: Counter[str] = Counter()
    named = []
    for finding in findings:
        name = f"{finding.check}: {finding.subject}" if finding.subject else finding.check
        seen[name] += 1
        named.append((name if seen[name] == 1 else f"{name} ({seen[name]})", finding))
    return named


def _case(suite: ET.Element, drill: str, name: str, finding: Finding) -> None:
    case = ET.SubElement(suite, "testcase", name=_text(name), classname=f"drills.{drill}", time="0")
    message = _text(finding.message)
    outcome = OUTCOMES.get(finding.validity)
    if outcome:
        ET.SubElement(case, outcome, message=message, type=finding.check).text = message
    else:
        ET.SubElement(case, "system-out").text = message


def _text(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return NOT_XML.sub("\ufffd", text)
