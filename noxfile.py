"""The project's checks: `./bootstrap test [-s SESSION…] [-- ARGUMENTS]` sets up and runs them.

Sessions share the environment that `./bootstrap` made, so that a run starts at once and needs no
network. Only `package` makes an environment of its own, and asks the package index for it.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import nox

BIN = Path(sys.executable).parent
PROJECT = nox.project.load_toml("pyproject.toml")
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

nox.options.default_venv_backend = "none"
nox.options.stop_on_first_error = True
# The quick ones first; the longest, with the summary that a reader looks for, last.
nox.options.sessions = ["lint", "types", "imports", "package", "tests", "integration"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting of Python, and the shell script."""
    session.run(BIN / "ruff", "check")
    session.run(BIN / "ruff", "format", "--check")
    session.run(BIN / "shellcheck", "bootstrap", ".ci/run")


@nox.session
def types(session: nox.Session) -> None:
    """Static types, strictly; of the benchmarks too, which nothing else looks at."""
    session.run(BIN / "mypy", *session.posargs)
    session.run(BIN / "mypy", "tests/benchmarks")


@nox.session
def imports(session: nox.Session) -> None:
    """The arrows between the packages go one way."""
    session.run(BIN / "lint-imports")


@nox.session
def package(session: nox.Session) -> None:
    """The wheel is whole, and runs from an environment of its own, outside this checkout."""
    with tempfile.TemporaryDirectory(prefix="skillswap-ops-package-") as folder:
        session.run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, silent=True)
        wheel = next(Path(folder).glob("*.whl"))
        if missing := _source_files() - set(zipfile.ZipFile(wheel).namelist()):
            session.error(f"not in the wheel: {', '.join(sorted(missing))}")
        own = Path(folder, "environment")
        session.run(sys.executable, "-m", "venv", str(own))
        session.run(own / "bin/python", "-m", "pip", "install", "--quiet", str(wheel))
        session.run(own / "bin/python", "-m", "pip", "check")
        with session.chdir(folder):
            session.run(own / "bin/skillswap-ops", "--version")
            session.run(own / "bin/skillswap-ops", "--help", silent=True)


@nox.session
def tests(session: nox.Session) -> None:
    """Unit tests: pure, quick, no server."""
    _pytest(session, "tests/unit")


@nox.session
def integration(session: nox.Session) -> None:
    """Tests on real servers, and the drills."""
    _pytest(session, "tests/integration", "tests/drills", "--durations=30")


@nox.session
def exhaustive(session: nox.Session) -> None:
    """The same tests with all their repeats: some hours; only when asked for by name."""
    _pytest(session, "tests", "-m", "exhaustive")


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmarks, side by side; only when asked for by name."""
    _pytest(session, "tests/benchmarks", "-s")


def _pytest(session: nox.Session, *arguments: str) -> None:
    session.run(sys.executable, "-m", "pytest", *arguments, *session.posargs)


def _source_files() -> set[str]:
    """Code, templates, data and the markers of typing."""
    found = (path for package in PACKAGES for path in Path(package).rglob("*") if path.is_file())
    return {str(path) for path in found if path.parent.name != "__pycache__"}
