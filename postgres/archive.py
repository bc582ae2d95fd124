"""pgBackRest's configuration: the repositories of WAL and backups, the same on every member.

Each member runs pgBackRest itself against the shared repositories, so that whoever leads archives.
"""

from dataclasses import dataclass

from cluster.context import Context
from cluster.inventory import Node
from cluster.render import render
from cluster.server import ConfigFile
from cluster.topology import S3Repository
from postgres import names
from postgres.scopes import data_folder

CONFIG = "pgbackrest.conf"
PASSFILE = "pgbackrest.pgpass"


@dataclass(frozen=True)
class Commands:
    """What PostgreSQL calls. Each finds its configuration by PGBACKREST_CONFIG."""

    push: str
    get: str


@dataclass(frozen=True)
class Key:
    """Access to an S3 bucket."""

    key: str
    secret: str


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


def files(context: Context, node: Node) -> tuple[ConfigFile, ...]:
    """pgBackRest's files on a node. S3 keys are the secrets `archive-repo1-key`, `…-key-secret`."""
    repositories = context.topology.archive.repositories
    text = render(
        "postgres",
        "pgbackrest.conf.j2",
        repositories=repositories,
        folder=context.layout.archive,
        keys=[
            _key(context, number) if isinstance(repository, S3Repository) else None
            for number, repository in enumerate(repositories, start=1)
        ],
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


def _key(context: Context, number: int) -> Key:
    name = f"archive-repo{number}-key"
    return Key(
        context.secrets.get(name).get_secret_value(),
        context.secrets.get(f"{name}-secret").get_secret_value(),
    )
