"""The README's journey, its very lines, run on a lab where the services are deployed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, Lab

SECONDS = 120


def lines_of_the_readme() -> str:
    """The shell block that follows the words on the journey."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"The whole journey of phase 1 by hand.*?```sh\n(.*?)```", text, re.DOTALL)
    assert found, "the README has no journey"
    return found[1]


def command_on_path(lab: Lab, folder: Path) -> str:
    """A PATH on which `skillswap-ops` is this code on this lab."""
    command = folder / "skillswap-ops"
    options = f"--home '{lab.home}' --topology '{lab.topology}'"
    command.write_text(f"""#!/bin/sh
exec '{sys.executable}' -m skillswap_ops.main "$@" {options}
""")
    command.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def run_journey(lab: Lab, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the lines to their end, or to the first that fails; `folder` takes a command for PATH."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines_of_the_readme()],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": command_on_path(lab, folder),
            "PYTHONPATH": str(ROOT),
            "python": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
