"""Entry point: names the commands, imports the one that runs, and turns errors into exit codes."""

import importlib
import os
import sys

import click

from skillswap_ops import __version__

# Each command's module is imported only when it runs: `--help` answers at once.
COMMANDS = {
    "demo": ("demo", "Build it all here with its services, break it, print the verdicts."),
    "plan": ("plan", "Say what `provision` would change, and why not the rest."),
    "provision": ("provision", "Make the cluster as the topology says; run again to finish."),
    "status": ("status", "Show every node by engine and zone: role, lag, term, memory."),
    "verify": ("verify", "Assert the TP3 requirements on the live cluster, one line each."),
    "endpoints": ("endpoints", "Print connection strings; secrets are masked unless asked."),
    "schema": ("schema", "The data model: show, apply, find drift, prove it."),
    "data": ("data", "Write a realistic data set; find what refers to nothing."),
    "report": ("report", "Reporting reads, from secondaries and standbys, with their age."),
    "services": ("services", "The application: deploy it, roll it out and back, look at it."),
    "logs": ("logs", "Print or follow a server's log."),
    "drill": ("drill", "Break something on purpose and prove what survived."),
    "backup": ("backup", "Take, list, verify and expire backups; name a point in time."),
    "restore": ("restore", "Bring data back to an instant, beside the cluster or in place."),
    "dr": ("dr", "The DR region: how far behind it is, promote it, fail back."),
    "doctor": ("doctor", "Say what is wrong, with evidence, and which runbook applies."),
    "runbook": ("runbook", "Procedures for the bad day: read one, or be led through it."),
    "monitor": ("monitor", "Prometheus exporter, alert rules with runbooks, dashboards."),
    "mongo": ("mongo", "MongoDB on an ordinary day: step down, copy a member anew, remove one."),
    "pg": ("pg", "PostgreSQL on an ordinary day: switch over, copy a member anew, remove one."),
    "restart": ("restart", "Restart the servers one at a time, in the right order."),
    "certs": ("certs", "Certificates: what each port shows, and new ones without a restart."),
    "secrets": ("secrets", "Passwords and keys: what each opens, and new ones without an outage."),
    "audit": ("audit", "Who changed what, and when: show the book, verify its chain."),
    "stop": ("stop", "Stop every server cleanly; data stays, `provision` starts it again."),
    "destroy": ("destroy", "Stop and remove the cluster, with its data and its backups."),
    "lint": ("lint", "Say what would break the SLA, before anything is deployed."),
    "render": ("render", "Write Kubernetes objects as YAML for GitOps, or say what differs."),
    "topology": ("topology", "Show, check or start a topology file; export its JSON schema."),
    "completion": ("completion", "Print the shell completion script."),
}

EPILOG = """\b
Examples:
  skillswap-ops provision
  skillswap-ops status --watch
  skillswap-ops drill run pg-node-kill --yes
  skillswap-ops endpoints --output json

\b
Exit codes: 0 done or pass, 1 failed or SLA broken, 2 usage or input,
3 inconclusive, 4 a fault could not be undone."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command that is asked for."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"skillswap_ops.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from the names alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SKILLSWAP_OPS",
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="skillswap-ops")
def cli() -> None:
    """Build SkillSwap's data plane, break it on purpose, and bring it back.

    A sharded MongoDB cluster, and PostgreSQL under Patroni with a standby in another region: real
    servers, as processes of this machine.
    """


def main() -> None:
    """Run the command line; every foreseeable error is one or two lines and an exit code."""
    from skillswap_ops.auditing import Trail, recorded
    from skillswap_ops.tracing import traced

    words = sys.argv[1:]
    try:
        with recorded(Trail(words)), traced(cli, words):
            cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; nothing is lost: the same command goes on from here.", err=True)
        sys.stdout.flush()
        os._exit(130)  # steps under way may be waiting; everything may be killed anywhere
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 - what is no OpsError is raised again
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    from cluster.errors import OpsError

    if isinstance(error, OpsError):
        click.secho(f"Error: {error.message}", err=True, fg="red")
        if error.hint:
            click.echo(f"       {error.hint}", err=True)
        return error.exit_code
    if isinstance(error, OSError):
        click.secho(f"Error: {error}", err=True, fg="red")
        return 1
    raise error


if __name__ == "__main__":
    main()
