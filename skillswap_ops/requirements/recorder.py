"""A pytest plugin that writes what became of each requirement to a file."""

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

RESULTS = "SKILLSWAP_OPS_VERIFY_RESULTS"
TESTINFRA_HOST = "local"  # testinfra parametrises every test that looks at the machine


class Recorder:
    """Collects one record a requirement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._requirements: dict[str, str] = {}
        self._records: list[dict[str, str | float]] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember every requirement's words."""
        for item in items:
            self._requirements[item.nodeid] = _requirement(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record the call, or a set-up that failed."""
        report = yield
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self._records.append(
                {
                    "requirement": self._requirements[item.nodeid],
                    "check": item.nodeid.rpartition("/")[2],
                    "outcome": report.outcome,
                    "reason": _reason(report, call),
                    "seconds": round(report.duration, 3),
                }
            )
        return report

    def pytest_sessionfinish(self) -> None:
        """Write all records."""
        self._path.write_text(json.dumps(self._records), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Register the recorder where `verify` asked for it."""
    if RESULTS in os.environ:
        config.pluginmanager.register(Recorder(Path(os.environ[RESULTS])))


def _requirement(item: pytest.Item) -> str:
    function = getattr(item, "function", None)
    text = (getattr(function, "__doc__", None) or item.name).strip().splitlines()[0].rstrip(".")
    callspec = getattr(item, "callspec", None)
    return f"{text} [{callspec.id}]" if callspec and callspec.id != TESTINFRA_HOST else text


def _reason(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if report.passed:
        return ""
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if call.excinfo is None:
        return str(report.longrepr)
    words = str(call.excinfo.value).strip().splitlines() or [call.excinfo.typename]
    return words[0].removeprefix("AssertionError: ")
