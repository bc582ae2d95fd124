"""`./bootstrap` on a made-up checkout and with made-up system commands: it installs nothing here.

What it does to a whole system was tried in fresh Debian systems; CONTRIBUTING.md says how.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.clock import wait_for

SCRIPT = Path(__file__).parents[2] / "bootstrap"

# A project without dependencies that builds itself, so that pip needs no index.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "skillswap-ops"
version = "1"
"""
BACKEND = """
import os, time, zipfile
from pathlib import Path

NAME = "skillswap_ops-1-py3-none-any.whl"
INFO = "skillswap_ops-1.dist-info"
FILES = {
    "made_up.py": "import sys\\ndef main(): print(*sys.argv[1:]); sys.exit(7)\\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\\nName: skillswap-ops\\nVersion: 1\\n"
        "Provides-Extra: dev\\nProvides-Extra: mongod\\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    f"{INFO}/entry_points.txt":
        "[console_scripts]\\nskillswap-ops = made_up:main\\nnox = made_up:main\\n",
    f"{INFO}/RECORD": "",
}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    while os.path.exists("wait-here"):
        time.sleep(0.01)
    with zipfile.ZipFile(Path(folder, NAME), "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
    with open("builds", "a") as builds:
        builds.write("built\\n")
    return NAME

build_editable = build_wheel
"""
DPKG_QUERY = '#!/bin/sh\nshift 3\nfor package; do echo "ii  $package"; done\n'
READY = "bootstrap: ready."


@dataclass(frozen=True)
class Checkout:
    """A folder with the script in it, and the commands that it will find."""

    root: Path
    commands: Path

    def environ(self, **extra: str) -> dict[str, str]:
        return {
            "PATH": f"{self.commands}:/usr/sbin:/usr/bin:/bin",
            "HOME": str(self.root),
            "SKILLSWAP_OPS_OS_RELEASE": str(self.root / "os-release"),
            "SKILLSWAP_OPS_MONGOD": "/bin/true",
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
        } | extra

    def run(self, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.root / "bootstrap", *words],
            env=self.environ(**extra),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def command(self, name: str, text: str) -> None:
        (self.commands / name).write_text(text)
        (self.commands / name).chmod(0o755)

    def system(self, text: str) -> None:
        (self.root / "os-release").write_text(text)

    @property
    def builds(self) -> int:
        """How often pip has built the project."""
        file = self.root / "builds"
        return file.read_text().count("\n") if file.exists() else 0

    def everything(self) -> dict[str, tuple[int, int]]:
        """Every file, with its size and when it was changed."""
        found = [(path, path.lstat()) for path in self.root.rglob("*")]
        return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found}


def make_checkout(folder: Path) -> Checkout:
    checkout = Checkout(folder / "a checkout", folder / "commands")
    (checkout.root / "mongo").mkdir(parents=True)
    checkout.commands.mkdir()
    shutil.copy(SCRIPT, checkout.root)
    (checkout.root / "pyproject.toml").write_text(PYPROJECT)
    (checkout.root / "backend.py").write_text(BACKEND)
    (checkout.root / "mongo/download.py").write_text("import sys; sys.exit('no MongoDB: made up')")
    checkout.system('ID=debian\nVERSION_ID="12"\n')
    checkout.command("id", "#!/bin/sh\necho 1000\n")  # never as root, whoever runs the tests
    checkout.command("sudo", "#!/bin/sh\nexit 1\n")
    checkout.command("dpkg-query", DPKG_QUERY)
    return checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout that was set up; tests leave it so."""
    checkout = make_checkout(tmp_path_factory.mktemp("ready"))
    ended = checkout.run()
    assert (ended.returncode, ended.stdout, READY in ended.stderr) == (0, "", True), ended.stderr
    yield checkout
    assert READY in checkout.run().stderr


def test_usage_names_the_two_commands(checkout: Checkout) -> None:
    checkout.system("ID=plan9\n")
    for flag in ("-h", "--help"):
        ended = checkout.run(flag)
        assert ended.returncode == 0
        assert "./bootstrap demo" in ended.stdout
        assert "./bootstrap test" in ended.stdout


@pytest.mark.parametrize(
    "system",
    ["ID=fedora\nVERSION_ID=44", "ID=debian\nVERSION_ID=11", 'ID=ubuntu\nVERSION_ID="20.04"', ""],
)
def test_unsupported_system_is_told_what_is_needed(checkout: Checkout, system: str) -> None:
    checkout.system(system)
    before = checkout.everything()
    ended = checkout.run("demo")
    assert ended.returncode == 1
    for word in ("Debian 12", "Ubuntu 22.04", "postgresql-15", "etcd-server", "Python 3.11"):
        assert word in ended.stderr
    assert checkout.everything() == before


@pytest.mark.parametrize(
    "system",
    [
        "ID=debian\nVERSION_ID=13",
        "ID=debian",
        "ID=ubuntu\nVERSION_ID=22.04",
        "ID=ubuntu\nVERSION_ID=26.04",
    ],
)
def test_without_rights_it_prints_one_line_and_stops(checkout: Checkout, system: str) -> None:
    checkout.system(system)
    checkout.command(
        "dpkg-query", '#!/bin/sh\necho "ii  haproxy"; echo "rc  redis-server"; exit 1\n'
    )
    before = checkout.everything()
    ended = checkout.run()
    assert ended.returncode == 1
    missing, line = ended.stderr.splitlines()
    assert "haproxy" not in missing
    assert "redis-server" in missing
    assert line.endswith(f"run: sudo {checkout.root}/bootstrap packages")
    assert checkout.everything() == before


def test_with_sudo_it_installs_through_itself(checkout: Checkout) -> None:
    checkout.command("dpkg-query", "#!/bin/sh\nexit 1\n")
    checkout.command(
        "sudo",
        f'#!/bin/sh\necho "$*" | tee -a "{checkout.commands}/asked" | grep -qx -- "-n true"\n',
    )
    assert checkout.run().returncode == 1
    asked = (checkout.commands / "asked").read_text().splitlines()
    assert asked == ["-n true", f"-n {checkout.root}/bootstrap packages"]


def test_packages_wants_root(checkout: Checkout) -> None:
    ended = checkout.run("packages")
    assert (ended.returncode, ended.stderr) == (1, "bootstrap: packages: run it as root\n")


def test_second_run_is_quick_and_changes_nothing(ready: Checkout) -> None:
    before, start = ready.everything(), time.monotonic()
    ended = ready.run()
    assert time.monotonic() - start < 5
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert ready.everything() == before


def test_other_words_go_to_the_command_line(ready: Checkout) -> None:
    ended = ready.run("drill", "run", "a b", "--yes")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "drill run a b --yes\n", "")
    assert ready.run("demo").stdout == "demo\n"


def test_the_development_tools_come_with_test_and_stay(checkout: Checkout) -> None:
    ended = checkout.run("test", "-s", "lint")
    assert ended.returncode == 7
    assert ended.stdout.splitlines()[-1] == f"-f {checkout.root}/noxfile.py -s lint"
    stamp = (checkout.root / ".venv/.bootstrap").read_text()
    assert stamp.split()[1:] == ["dev", "/bin/true"]
    checkout.run("demo")
    assert (checkout.root / ".venv/.bootstrap").read_text() == stamp


def test_a_changed_project_is_installed_again(ready: Checkout) -> None:
    before = ready.builds
    with (ready.root / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert READY in ready.run().stderr
    assert ready.builds == before + 1
    ready.run()
    assert ready.builds == before + 1


def test_a_broken_environment_is_made_again(ready: Checkout) -> None:
    (ready.root / ".venv/bin/python").unlink()
    (ready.root / ".venv/bin/python").symlink_to("/nowhere")
    (ready.root / ".venv/.bootstrap").unlink()
    (ready.root / ".venv/stray").touch()
    assert READY in ready.run().stderr
    assert not (ready.root / ".venv/stray").exists()


def test_a_copied_checkout_gets_an_environment_of_its_own(ready: Checkout, tmp_path: Path) -> None:
    shutil.copytree(ready.root, tmp_path / "copy", symlinks=True)
    copy = Checkout(tmp_path / "copy", ready.commands)
    assert copy.run("status").stdout == "status\n"
    script = copy.root / ".venv/bin/skillswap-ops"
    assert f"{copy.root}/.venv/bin/python" in script.read_text()
    assert str(ready.root) not in script.read_text()


def test_killed_while_installing_and_two_at_once(checkout: Checkout) -> None:
    (checkout.root / "wait-here").touch()
    killed = subprocess.Popen(
        [checkout.root / "bootstrap"],
        env=checkout.environ(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    unfinished = checkout.root / ".venv/.unfinished"
    try:
        wait_for("pip at work", unfinished.exists, seconds=60)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    (checkout.root / ".venv/half").touch()
    (checkout.root / "wait-here").unlink()
    both = [
        subprocess.Popen(
            [checkout.root / "bootstrap"], env=checkout.environ(), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("another bootstrap is at work here") == 1
    assert checkout.builds == 1
    assert not unfinished.exists()
    assert not (checkout.root / ".venv/half").exists()


def test_a_downloaded_server_is_used(checkout: Checkout) -> None:
    folder = checkout.root / "server"
    folder.mkdir()
    shutil.copy("/bin/true", folder / "mongod")
    (checkout.root / "mongo/download.py").write_text(f"print({str(folder)!r})")
    ended = checkout.run(SKILLSWAP_OPS_MONGOD="")
    assert READY in ended.stderr
    assert "labs only" not in ended.stderr
    assert (checkout.root / ".venv/.bootstrap").read_text().split(" ", 2)[2] == f"{folder}/mongod\n"


@pytest.mark.skipif(
    shutil.which("mongod", path="/usr/sbin:/usr/bin:/bin") is not None, reason="mongod is on PATH"
)
def test_no_server_at_all_is_said(checkout: Checkout) -> None:
    ended = checkout.run(SKILLSWAP_OPS_MONGOD="")
    assert ended.returncode == 1
    assert "no MongoDB: made up" in ended.stderr
    assert "name it in SKILLSWAP_OPS_MONGOD" in ended.stderr
    assert "is not a program" in checkout.run(SKILLSWAP_OPS_MONGOD="/etc/passwd").stderr
