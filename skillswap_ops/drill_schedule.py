"""Drills that run by themselves: a systemd timer, a cron line, a Kubernetes CronJob. Pure text."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeAlias

import yaml

from cluster.errors import InvalidInputError

# As `drill run` says them; whoever watches the schedule must tell them apart.
EXIT_CODES = (
    "0 pass (or skipped)",
    "1 fail: a promise was broken",
    "3 inconclusive, or not run: run it again",
    "4 a fault could not be undone: `skillswap-ops drill heal`, at once",
)
# A stop asks the run to undo its fault and to write its report; that may take this long (seconds).
STOP_SECONDS = 900
DELAY = "1h"  # so that the clusters of a site are not all broken at once
MISSED_SECONDS = 7 * 24 * 3600  # a CronJob that could not start in time is made up for
QUARTERLY = {"systemd": "quarterly", "cron": "17 3 1 1,4,7,10 *", "kubernetes": "17 3 1 1,4,7,10 *"}
POD_HOME = PurePosixPath("/var/lib/skillswap-ops")
POD_PROGRAM: tuple[str, ...] = ("/usr/local/bin/skillswap-ops",)

Yaml: TypeAlias = str | int | bool | Sequence["Yaml"] | Mapping[str, "Yaml"]

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@+=./:,-]+")
_CRON = re.compile(r"([0-9A-Za-z*/,-]+ ){4}[0-9A-Za-z*/,-]+")


class Format(StrEnum):
    """Who starts the drills."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class Schedule:
    """What is to be run, when, and as whom; `image` is a container's, for Kubernetes alone."""

    cluster: str
    what: str  # "tagged quarterly"
    command: tuple[str, ...]
    calendar: str
    user: str = "root"
    image: str = ""

    @property
    def name(self) -> str:
        """Of the unit, the file, the object: one a cluster (a CronJob's has 52 characters)."""
        return f"skillswap-ops-drills-{self.cluster}"


def command_line(
    program: Sequence[str], chosen: Sequence[str], home: PurePosixPath, topology: PurePosixPath
) -> tuple[str, ...]:
    """`drill run` with everything that a shell or a person would else add; paths are absolute."""
    options = ("--home", str(home), "--topology", str(topology), "--yes")
    return (*program, "drill", "run", *chosen, *options)


def rendered(schedule: Schedule, form: Format) -> dict[str, str]:
    """The files, by name.

    Raises InvalidInputError for a calendar that is no cron line's, or a word that no file can hold.
    """
    if any("\n" in word or "\0" in word for word in (*schedule.command, schedule.calendar)):
        raise InvalidInputError("a path or the calendar has a line break in it", "rename it")
    return _RENDERERS[form](schedule)


def _systemd(schedule: Schedule) -> dict[str, str]:
    codes = "\n".join(f"#   {code}" for code in EXIT_CODES)
    service = f"""\
[Unit]
Description=Drills of cluster {schedule.cluster} ({schedule.what})
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={schedule.user}
ExecStart={" ".join(_systemd_word(word) for word in schedule.command)}
# The unit has failed where the exit code is not 0:
{codes}
# A stop undoes the fault and writes the report. Servers that the undo starts must outlive it.
KillMode=process
TimeoutStopSec={STOP_SECONDS}
"""
    timer = f"""\
[Unit]
Description=Drills of cluster {schedule.cluster} ({schedule.what}), {schedule.calendar}

[Timer]
OnCalendar={schedule.calendar.replace("%", "%%")}
# Made up for where the machine was off.
Persistent=true
RandomizedDelaySec={DELAY}

[Install]
WantedBy=timers.target
"""
    return {f"{schedule.name}.service": service, f"{schedule.name}.timer": timer}


def _systemd_word(word: str) -> str:
    """A word of ExecStart: `%` and `$` mean something there (systemd.service, Command lines)."""
    if _PLAIN_WORD.fullmatch(word):
        return word
    for special, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, written)
    return f'"{word}"'


def _cron(schedule: Schedule) -> dict[str, str]:
    """A file of /etc/cron.d, whose sixth field is the user; a `%` would be a line break there."""
    _must_be_cron(schedule.calendar)
    codes = "\n".join(f"#   {code}" for code in EXIT_CODES)
    words = shlex.join(schedule.command).replace("%", "\\%")
    text = f"""\
# Drills of cluster {schedule.cluster} ({schedule.what}). What they print is mailed to the user.
# Exit codes:
{codes}
# Nothing is made up for where the machine was off: `skillswap-ops drill due` tells.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
{schedule.calendar} {schedule.user} {words}
"""
    return {schedule.name: text}


def _kubernetes(schedule: Schedule) -> dict[str, str]:
    _must_be_cron(schedule.calendar)
    if not schedule.image:
        raise InvalidInputError("a CronJob needs an image", "name it with --image")
    codes = "\n".join(f"#   {code}" for code in EXIT_CODES)
    head = f"# Drills of cluster {schedule.cluster} ({schedule.what}). Exit codes:\n{codes}\n"
    body = yaml.dump(cron_job(schedule), Dumper=_Dumper, sort_keys=False)
    return {f"{schedule.name}.yaml": head + body}


class _Dumper(yaml.SafeDumper):
    """Writes everything out: an alias is hard to read, and harder to change."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's own signature
        """Always."""
        return True


def cron_job(schedule: Schedule) -> dict[str, Yaml]:
    """The object. A verdict is not tried again, and two runs are never at once."""
    labels: dict[str, Yaml] = {
        "app.kubernetes.io/name": "skillswap-ops",
        "app.kubernetes.io/component": "drills",
        "app.kubernetes.io/instance": schedule.cluster,
    }
    container: dict[str, Yaml] = {
        "name": "drills",
        "image": schedule.image,
        "command": list(schedule.command),
        "volumeMounts": [{"name": "home", "mountPath": str(POD_HOME)}],
    }
    pod: dict[str, Yaml] = {
        "serviceAccountName": "skillswap-ops",
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "containers": [container],
        "volumes": [
            {
                "name": "home",
                "persistentVolumeClaim": {"claimName": f"skillswap-ops-{schedule.cluster}"},
            }
        ],
    }
    job: dict[str, Yaml] = {
        "backoffLimit": 0,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": schedule.name, "labels": labels},
        "spec": {
            "schedule": schedule.calendar,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": MISSED_SECONDS,
            "successfulJobsHistoryLimit": 4,
            "failedJobsHistoryLimit": 4,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
        },
    }


def _must_be_cron(calendar: str) -> None:
    if not _CRON.fullmatch(calendar):
        raise InvalidInputError(
            f'--calendar "{calendar}" is no five fields of cron', f"such as {QUARTERLY['cron']}"
        )


_RENDERERS = {
    Format.SYSTEMD: _systemd,
    Format.CRON: _cron,
    Format.KUBERNETES: _kubernetes,
}
