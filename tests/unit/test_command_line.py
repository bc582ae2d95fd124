"""The command line without a cluster: help, errors, exit codes, JSON, completion."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from skillswap_ops.main import COMMANDS, cli

README = Path(__file__).parents[2] / "README.md"


def run(*words: str, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NO_COLOR": "1"}
    if home:
        env["SKILLSWAP_OPS_HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-m", "skillswap_ops.main", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=env,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_says_what_the_table_says(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) > 4
    assert max(map(len, shown.output.splitlines())) <= 100


def test_help_lists_every_command_and_imports_no_driver() -> None:
    code = (
        "import sys, skillswap_ops.main as m\n"
        "try: m.cli.main(['--help'], standalone_mode=False)\n"
        "finally: print([x for x in ('pymongo', 'psycopg', 'pydantic', 'rich', 'jinja2') "
        "if x in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip().endswith("[]")
    assert all(name in ended.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("frobnicate",), "No such command"),
        (("status",), "there is no cluster skillswap"),
        (("status", "--cluster", "other"), "there is no cluster other"),
        (("provision", "--topology", "/nonexistent.yaml"), "/nonexistent.yaml"),
        (("provision", "--target", "mainframe"), "'mainframe' is not"),
        (("drill", "run", "--yes"), "Missing argument"),
        (("drill", "report"), "there is no cluster"),
        (("destroy", "--yes"), "there is no cluster"),
        (("topology", "check", "/dev/null"), "empty"),
        (("plan", "--output", "xml"), "'xml' is not"),
    ],
)
def test_wrong_input_is_one_clear_error_and_exit_2(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    ended = run(*words, home=tmp_path)
    assert ended.returncode == 2, ended
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_several_clusters_must_be_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "topology.yaml").write_text("")
    ended = run("status", home=tmp_path)
    assert ended.returncode == 2
    assert "one, two" in ended.stderr
    assert "--cluster" in ended.stderr


def test_schema_and_shipped_topology_are_whole() -> None:
    schema = json.loads(run("topology", "schema").stdout)
    assert schema["properties"]["mongo"]
    assert "shard-a" in run("topology", "show").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = run("completion", shell).stdout
    assert "_SKILLSWAP_OPS_COMPLETE" in script


def test_completion_completes() -> None:
    env = {
        **os.environ,
        "_SKILLSWAP_OPS_COMPLETE": "bash_complete",
        "COMP_WORDS": "skillswap-ops pro",
        "COMP_CWORD": "1",
    }
    script = Path(sys.executable).parent / "skillswap-ops"
    shown = subprocess.run([script], capture_output=True, text=True, env=env, check=False).stdout
    assert "provision" in shown


def test_no_colour_where_there_is_no_terminal(tmp_path: Path) -> None:
    for words in (("drill", "list"), ("--help",), ("status",)):
        ended = run(*words, home=tmp_path)
        assert "\x1b[" not in ended.stdout + ended.stderr


def test_every_command_that_the_readme_names_exists() -> None:
    named = set(
        re.findall(r"^skillswap-ops ([a-z]+)(?: ([a-z]+))?", README.read_text("utf-8"), re.M)
    )
    assert len(named) > 8
    for command, sub in named:
        assert command in COMMANDS, command
        found = cli.get_command(None, command)  # type: ignore[arg-type]
        if sub and hasattr(found, "commands"):
            assert sub in found.commands, (command, sub)
