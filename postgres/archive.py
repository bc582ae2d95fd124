"""pgBackRest's configuration: the repositories of WAL and backups, the same on every member.

Each member runs pgBackRest itself against the shared repositories, so that whoever leads archives.
"""

from dataclasses import dataclass

from cluster import objects
from cluster.context import Context
from cluster.inventory import Node
from cluster.render import render
from cluster.server import ConfigFile
from postgres import names
from postgres.scopes import data_folder

CONFIG = "pgbackrest.conf"
PASSFILE = "pgbackrest.pgpass"


@dataclass(frozen=True)
class Commands:
    """What PostgreSQL calls. Each finds its configuration by PGBACKREST_CONFIG."""

    push: str
    get: str


def stanza(context: Context) -> str:
    """The name of the one database cluster in the repositories; DR belongs to it too."""
    return context.topology.postgres.scope


def program(context: Context) -> str:
    """The path of pgbackrest."""
    return context.programs.find("pgbackrest", "pgbackrest")


def config_path(context: Context, node: Node) -> str:
    """pgBackRest's configuration on a node."""
    return str(context.layout.conf(node) / CONFIG)


def commands(context: Context) -> Commands:
    """PostgreSQL's archive_command and restore_command."""
    call = f"{program(context)} --stanza={stanza(context)}"
    return Commands(f'{call} archive-push "%p"', f'{call} archive-get %f "%p"')


def environment(context: Context, node: Node) -> dict[str, str]:
    """The environment of a pgbackrest that is run on a node."""
    return {
        "PGBACKREST_CONFIG": config_path(context, node),
        "PGPASSFILE": str(context.layout.conf(node) / PASSFILE),
    }


def numbers(context: Context) -> tuple[int, ...]:
    """pgBackRest's numbers of the repositories."""
    return tuple(range(1, len(context.topology.archive.repositories) + 1))


def files(context: Context, node: Node) -> tuple[ConfigFile, ...]:
    """pgBackRest's files on a node."""
    repositories = context.topology.archive.repositories
    text = render(
        "postgres",
        "pgbackrest.conf.j2",
        repositories=repositories,
        folder=context.layout.archive,
        places=[objects.repository(context, number) for number in numbers(context)],
        lock=context.layout.run(node) / "pgbackrest",
        stanza=stanza(context),
        data=data_folder(context.layout, node),
        socket=context.layout.run(node),
        user=names.BACKUP,
    )
    users = [(names.BACKUP, names.password(context, names.BACKUP))]
    return (
        ConfigFile(CONFIG, text, secret=True),
        ConfigFile(PASSFILE, render("postgres", "pgpass.j2", users=users), secret=True),
    )
