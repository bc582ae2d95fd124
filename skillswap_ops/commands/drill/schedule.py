"""`drill schedule`."""

import shutil
import subprocess
import sysconfig
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.drill.names import complete_name, tag_option
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from skillswap_ops.drill_schedule import Schedule

SYSTEMD_ANALYZE_SECONDS = 30


@click.command("schedule")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete_name)
@tag_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["systemd", "cron", "kubernetes"]),
    default="systemd",
    show_default=True,
    help="Who starts the drills.",
)
@click.option(
    "--calendar",
    metavar="WHEN",
    help="systemd: OnCalendar=, else five fields of cron. Default: once a quarter.",
)
@click.option("--image", metavar="IMAGE", default="", help="The container's, for Kubernetes.")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the files there. Default: print them.",
)
@selects_cluster
def schedule(
    selection: Selection,
    *,
    names: tuple[str, ...],
    tags: tuple[str, ...],
    form: str,
    calendar: str | None,
    image: str,
    folder: Path | None,
) -> None:
    """Make drills run by themselves: by NAME, or by --tag; default: those tagged quarterly.

    Prints a systemd service and timer, a file of /etc/cron.d, or a Kubernetes CronJob. Nothing is
    installed. Whoever starts them sees `drill run`'s exit codes: 0 pass, 1 fail, 3 inconclusive,
    4 a fault could not be undone.

    \b
    Examples:
      skillswap-ops drill schedule --write /etc/systemd/system
      skillswap-ops drill schedule pg-node-kill --format cron --calendar "0 4 * * 1"
      skillswap-ops drill schedule --format kubernetes --image example/skillswap-ops:0.1.0
    """
    from skillswap_ops.drill_schedule import Format, rendered

    if names and tags:
        raise click.UsageError("Give names or --tag, not both.")
    made = _schedule(selection, names, tags or ("quarterly",), form, calendar, image)
    files = rendered(made, Format(form))
    if form == Format.SYSTEMD:
        _check_calendar(made.calendar)
    if folder:
        for name, text in files.items():
            console.say(f"{_written(folder, name, text)}")
        console.say(_next(Format(form), made, folder))
    elif selection.json:
        console.print_json(files)
    else:
        click.echo("\n".join(_headed(files)), nl=False)


def _schedule(
    selection: Selection,
    names: tuple[str, ...],
    tags: tuple[str, ...],
    form: str,
    calendar: str | None,
    image: str,
) -> "Schedule":
    import getpass

    from skillswap_ops.drill_schedule import (
        POD_HOME,
        POD_PROGRAM,
        QUARTERLY,
        Format,
        Schedule,
        command_line,
    )
    from skillswap_ops.drilling import chosen, tagged
    from skillswap_ops.wiring import context_of, home_folder

    context = context_of(selection, must_exist=selection.topology is None)
    cluster = context.topology.name
    if names:
        words = tuple(spec.name for spec in chosen(names))
    else:
        tagged(tags)
        words = tuple(word for tag in tags for word in ("--tag", tag))
    own = context.layout.topology
    program, home, topology = POD_PROGRAM, POD_HOME, POD_HOME / cluster / own.name
    if form != Format.KUBERNETES:
        program, home = _program(), PurePosixPath(home_folder(selection.home))
        topology = PurePosixPath((selection.topology or own).absolute())
    return Schedule(
        cluster=cluster,
        what=" ".join(names) if names else f"tagged {', '.join(tags)}",
        command=command_line(program, words, home, topology),
        calendar=calendar or QUARTERLY[form],
        user=getpass.getuser(),
        image=image,
    )


def _program() -> tuple[str, ...]:
    """This program, by its absolute path: a timer has another PATH than a person."""
    import sys

    script = Path(sysconfig.get_path("scripts")) / "skillswap-ops"
    return (str(script),) if script.exists() else (sys.executable, "-m", "skillswap_ops.main")


def _check_calendar(calendar: str) -> None:
    """Ask systemd, where there is one: a timer with a wrong OnCalendar= never starts anything."""
    if not shutil.which("systemd-analyze"):
        return
    asked = subprocess.run(
        ["systemd-analyze", "calendar", calendar],
        capture_output=True,
        text=True,
        check=False,
        timeout=SYSTEMD_ANALYZE_SECONDS,
    )
    if asked.returncode:
        raise click.UsageError(f"--calendar: {asked.stderr.strip() or 'not understood'}")


def _written(folder: Path, name: str, text: str) -> Path:
    from cluster.files import write_atomic

    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / name, text)
    return folder / name


def _next(form: str, made: "Schedule", folder: Path) -> str:
    return {
        "systemd": f"Next: systemctl daemon-reload && systemctl enable --now {made.name}.timer",
        "cron": "Next: nothing, if that is /etc/cron.d; else copy it there.",
        "kubernetes": f"Next: kubectl apply -f {folder / made.name}.yaml",
    }[form]


def _headed(files: dict[str, str]) -> list[str]:
    """Each file under its name, where there are several."""
    if len(files) == 1:
        return list(files.values())
    return [f"# {name}\n{text}" for name, text in files.items()]
