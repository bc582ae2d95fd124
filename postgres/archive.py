"""pgBackRest's configuration: the repositories of WAL and backups, the same on every member.

Each member runs pgBackRest itself against the shared repositories, so that whoever leads archives.

A repository that this cluster makes is encrypted; what was begun without a cipher stays without,
for pgBackRest can change neither. See docs/decisions/encrypted-repositories.md.
"""

from dataclasses import dataclass

from cluster import objects
from cluster.context import Context
from cluster.errors import RefusedError
from cluster.inventory import Kind, Node
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
        ciphers=[cipher(context, number) for number in numbers(context)],
        lock=context.layout.run(node) / "pgbackrest",
        spool=context.layout.run(node) / "pgbackrest-spool",
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


def cipher(context: Context, number: int) -> str | None:
    """The passphrase of a repository; None for one that is not encrypted.

    The secret itself is what tells: it is made with the repository, and never for one that a
    member's configuration already names without a cipher. Raises RefusedError where the topology
    wants it otherwise.
    """
    name = f"archive-repo{number}-cipher"
    wanted = context.topology.archive.repositories[number - 1].encrypted
    found = context.secrets.find(name)
    if found is None:
        began = _is_known(context, number)
        if wanted and began:
            raise RefusedError(
                f"archive.repositories[{number - 1}].encrypted: the repository was begun without "
                "encryption, and stays so",
                "leave the field out, or add an encrypted repository beside it",
            )
        return None if began or wanted is False else context.secrets.get(name).get_secret_value()
    if wanted is False:
        raise RefusedError(
            f"archive.repositories[{number - 1}].encrypted: the repository is encrypted, and stays",
            "leave the field out, or add another repository beside it",
        )
    return found.get_secret_value()


def _is_known(context: Context, number: int) -> bool:
    """Whether a member was configured with this repository before."""
    for node in context.inventory.of(Kind.POSTGRES):
        path = context.layout.conf(node) / CONFIG
        if path.is_file() and f"\nrepo{number}-path=" in path.read_text("utf-8"):
            return True
    return False
