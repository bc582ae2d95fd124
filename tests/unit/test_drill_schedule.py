"""Drills that run by themselves: what systemd, cron and Kubernetes are given."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import yaml
from click.testing import CliRunner, Result
from kubernetes.client import ApiClient

from cluster.errors import InvalidInputError
from cluster.topology_file import SHIPPED
from skillswap_ops.commands.drill.run import run as drill_run
from skillswap_ops.drill_schedule import (
    EXIT_CODES,
    Format,
    Schedule,
    command_line,
    cron_job,
    rendered,
)
from skillswap_ops.main import cli

HOME, TOPOLOGY = PurePosixPath("/srv/ops"), PurePosixPath("/srv/ops/a/topology.yaml")
ODD = '/srv/50% of $HOME\'s "ops"/a\\b'


def schedule(**changes: object) -> Schedule:
    values: dict[str, object] = {
        "cluster": "skillswap",
        "what": "tagged quarterly",
        "command": command_line(("/usr/bin/true",), ("--tag", "quarterly"), HOME, TOPOLOGY),
        "calendar": "quarterly",
    }
    return Schedule(**(values | changes))  # type: ignore[arg-type]


def cron(**changes: object) -> str:
    [text] = rendered(schedule(calendar="17 3 1 1,4,7,10 *", **changes), Format.CRON).values()
    return text


def test_the_command_line_asks_nobody_and_leaves_nothing_open() -> None:
    words = command_line(("/usr/bin/x",), ("pg-node-kill",), HOME, TOPOLOGY)
    assert shlex.join(words) == (
        "/usr/bin/x drill run pg-node-kill --home /srv/ops "
        "--topology /srv/ops/a/topology.yaml --yes"
    )


def test_what_is_scheduled_is_what_drill_run_takes() -> None:
    """The words after `drill run` are parsed as the command itself parses them."""
    for chosen in (("pg-node-kill",), ("--tag", "quarterly", "--tag", "edge")):
        words = command_line((), chosen, HOME, TOPOLOGY)
        parsed = drill_run.make_context("run", list(words[2:])).params
        assert parsed["yes"]
        assert parsed["home"] == Path("/srv/ops")
        assert parsed["topology"] == Path(TOPOLOGY)
        assert parsed["names"] or parsed["tags"] == ("quarterly", "edge")


# systemd


def verified(folder: Path, files: dict[str, str]) -> str:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    units = [str(folder / name) for name in files]
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = ended.stderr.splitlines()
    said = "\n".join(line for line in lines if any(name in line for name in files))
    return said or ("" if ended.returncode == 0 else ended.stderr)


def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    assert verified(tmp_path, rendered(schedule(), Format.SYSTEMD)) == ""


def test_systemd_would_say_so(tmp_path: Path) -> None:
    files = rendered(schedule(calendar="every full moon"), Format.SYSTEMD)
    assert "every full moon" in verified(tmp_path, files)


def test_a_quarterly_timer_makes_up_for_what_it_missed() -> None:
    timer = rendered(schedule(), Format.SYSTEMD)["skillswap-ops-drills-skillswap.timer"]
    for line in ("OnCalendar=quarterly", "Persistent=true", "RandomizedDelaySec=1h"):
        assert line in timer.splitlines()


def test_a_stop_leaves_time_to_undo_and_keeps_the_servers() -> None:
    service = rendered(schedule(), Format.SYSTEMD)["skillswap-ops-drills-skillswap.service"]
    assert {"Type=oneshot", "KillMode=process", "TimeoutStopSec=900", "User=root"} <= set(
        service.splitlines()
    )


def test_odd_words_come_through_systemd() -> None:
    """Undone by its own rules: %% and $$ are one, quotes and backslashes as in C."""
    command = ("/usr/bin/true", ODD, "plain", "")
    service = rendered(schedule(command=command), Format.SYSTEMD)
    text = service["skillswap-ops-drills-skillswap.service"]
    [line] = re.findall(r"(?m)^ExecStart=(.*)$", text)
    assert shlex.split(line.replace("%%", "%").replace("$$", "$")) == list(command)


# cron


def test_a_line_of_cron_has_five_fields_a_user_and_the_command() -> None:
    [line] = [line for line in cron().splitlines() if line and line[0].isdigit()]
    assert line.split(" ", 6)[:6] == ["17", "3", "1", "1,4,7,10", "*", "root"]
    assert shlex.split(line.split(" ", 6)[6]) == list(schedule().command)


def test_odd_words_come_through_cron() -> None:
    """cron takes a bare % for a line break, and the shell takes the rest."""
    command = (sys.executable, "-c", "import sys; print(sys.argv[1:])", ODD)
    line = cron(command=command).splitlines()[-1].split(" ", 6)[6]
    assert not re.search(r"(?<!\\)%", line)
    ended = subprocess.run(
        ["sh", "-c", line.replace("\\%", "%")], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == repr([ODD])


def test_a_file_of_cron_d_has_no_dot_in_its_name() -> None:
    made = rendered(schedule(calendar="0 3 * * *", cluster="a-b"), Format.CRON)
    assert list(made) == ["skillswap-ops-drills-a-b"]


@pytest.mark.parametrize("calendar", ["quarterly", "0 3 * *", "0 3 * * * root", "", "0 3 * * *; x"])
@pytest.mark.parametrize("form", [Format.CRON, Format.KUBERNETES])
def test_what_is_no_calendar_of_cron_is_refused(form: Format, calendar: str) -> None:
    with pytest.raises(InvalidInputError, match="five fields"):
        rendered(schedule(calendar=calendar, image="x"), form)


@pytest.mark.parametrize("form", Format)
def test_no_line_can_be_smuggled_in(form: Format) -> None:
    with pytest.raises(InvalidInputError, match="line break"):
        rendered(schedule(command=("/bin/x", "a\nUser=root"), image="x"), form)
    with pytest.raises(InvalidInputError, match="line break"):
        rendered(schedule(calendar="daily\nUser=root", image="x"), form)


@pytest.mark.parametrize("form", Format)
def test_the_exit_codes_are_written_down(form: Format) -> None:
    calendar = "quarterly" if form is Format.SYSTEMD else "0 3 1 * *"
    text = "".join(rendered(schedule(calendar=calendar, image="x"), form).values())
    assert all(f"#   {code}" in text for code in EXIT_CODES)


# Kubernetes


def test_kubernetes_knows_every_field() -> None:
    """The client's models drop what they do not know: nothing may be missing afterwards."""
    made = schedule(calendar="17 3 1 1,4,7,10 *", image="example/skillswap-ops:0.1.0")
    [text] = rendered(made, Format.KUBERNETES).values()
    document = yaml.safe_load(text)
    assert document == cron_job(made)
    client = ApiClient()
    model = client._ApiClient__deserialize(document, "V1CronJob")
    assert client.sanitize_for_serialization(model) == document


def test_a_verdict_is_not_tried_again_and_two_runs_are_never_at_once() -> None:
    spec = cron_job(schedule(image="x", calendar="0 3 1 * *"))["spec"]
    assert isinstance(spec, dict)
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] >= 600


def test_the_longest_clusters_name_fits_a_cron_job() -> None:
    assert len(schedule(cluster="a" * 31).name) <= 52


def test_a_cron_job_without_an_image_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="image"):
        rendered(schedule(calendar="0 3 1 * *"), Format.KUBERNETES)


# The command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    cluster = tmp_path / "home" / "skillswap"
    cluster.mkdir(parents=True)
    (cluster / "topology.yaml").write_text(SHIPPED.read_text("utf-8"), "utf-8")
    return cluster.parent


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["drill", "schedule", *words, "--home", str(home)])


def test_files_are_printed_or_written(home: Path, tmp_path: Path) -> None:
    printed = run(home)
    assert printed.exit_code == 0
    assert f"--home {home} --topology {home}/skillswap/topology.yaml --yes" in printed.stdout
    program = re.findall(r"(?m)^ExecStart=(\S+)", printed.stdout)
    assert Path(program[0]).is_absolute()
    assert Path(program[0]).exists()
    folder = tmp_path / "units"
    written = run(home, "--write", str(folder))
    assert written.stdout == ""
    assert {path.name for path in folder.iterdir()} == {
        "skillswap-ops-drills-skillswap.service",
        "skillswap-ops-drills-skillswap.timer",
    }
    assert "systemctl enable --now skillswap-ops-drills-skillswap.timer" in written.stderr
    said = json.loads(run(home, "-o", "json").stdout)
    assert said["skillswap-ops-drills-skillswap.timer"].startswith("[Unit]")


def test_a_relative_topology_is_made_absolute(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(SHIPPED.read_text("utf-8"), "utf-8")
    assert f"--topology {tmp_path}/my.yaml" in run(home, "-f", "my.yaml").stdout


def test_names_are_drills_and_go_with_no_tag(home: Path) -> None:
    assert "drill run pg-node-kill --home" in run(home, "pg-node-kill").stdout
    assert type(run(home, "no-such-drill").exception).__name__ == "InvalidInputError"
    assert type(run(home, "--tag", "nothing").exception).__name__ == "InvalidInputError"
    assert run(home, "pg-node-kill", "--tag", "edge").exit_code == 2


def test_a_calendar_is_checked(home: Path) -> None:
    assert "0 4 * * 1" in run(home, "--format", "cron", "--calendar", "0 4 * * 1").stdout
    if shutil.which("systemd-analyze"):
        assert run(home, "--calendar", "every full moon").exit_code == 2
        assert run(home, "--calendar", "Mon *-*-* 04:00").exit_code == 0


def test_a_pod_has_paths_of_its_own(home: Path) -> None:
    text = run(home, "--format", "kubernetes", "--image", "example/x:1").stdout
    assert str(home) not in text
    assert "- /var/lib/skillswap-ops/skillswap/topology.yaml" in text


def test_what_was_never_provisioned_is_not_scheduled(tmp_path: Path) -> None:
    assert type(run(tmp_path).exception).__name__ == "InvalidInputError"
