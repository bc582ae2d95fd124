"""Where programs are in the images."""

from collections.abc import Sequence
from pathlib import Path

from cluster.layout import PodLayout
from cluster.programs import POSTGRES_FOLDER, Programs

LAYOUT = PodLayout(Path("/var/lib/skillswap-ops"))
FILES = Path("/skillswap-files")  # config maps and secrets as they are mounted, a folder a node
SECRETS = Path("/skillswap-secrets")  # every password by its name, for the tool alone
PATHS = {
    "pgbackrest": "/usr/bin/pgbackrest"
}  # PostgreSQL calls it, by the path of Debian's package


class PodPrograms(Programs):
    """The programs of the images; nothing is looked for on this machine."""

    def find(self, name: str, package: str, folders: Sequence[str] = ()) -> str:  # noqa: ARG002
        """On the image's PATH."""
        return PATHS.get(name, name)

    def look_up(self, name: str, folders: Sequence[str] = ()) -> str | None:  # noqa: ARG002
        """On the image's PATH."""
        return PATHS.get(name, name)

    def python(self) -> str:
        """The tool's image has one."""
        return "python"

    def script(self, name: str) -> str:
        """On the image's PATH."""
        return name

    def mongod(self) -> str:
        """MongoDB's official image."""
        return "mongod"

    def mongos(self, binary: str | None) -> str | None:  # noqa: ARG002
        """MongoDB's official image has it; the segment router is for the local target alone."""
        return "mongos"

    def postgres(self, name: str, version: int) -> str:
        """As Debian's packages have it."""
        return f"{POSTGRES_FOLDER.format(version=version)}/{name}"
