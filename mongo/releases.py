"""Which of MongoDB's releases is taken for which machine, and where a downloaded one is found."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "8.0.32"
PROGRAMS = ("mongod", "mongos")
ROOT_HOME = Path("/opt/skillswap-ops/mongodb")

# SHA-256 of `<site>/linux/mongodb-linux-<machine>-<build>-<VERSION>.tgz`. MongoDB publishes each
# beside its archive with `.sha256` added. docs/decisions/mongodb-server.md says how these were
# found, and how to go to another version.
CHECKSUMS: Mapping[tuple[str, str], str] = {
    ("x86_64", "debian12"): "b61cda162c6592347b7503c683145304f74c900b1c10a395520c7c24d3f8445c",
    ("x86_64", "ubuntu2204"): "41da8d92dde2896ebda278cf296ae86462da6b39eda81ce6ce4fb9ce819adb2e",
    ("x86_64", "ubuntu2404"): "b411be17c31ef249767ed91974d876e007c91afd5f45e1534057d247eada9f0d",
    ("aarch64", "ubuntu2204"): "7411bc9efef53346a26e67241ca9db9926c30b7a056e2515068223b497682c81",
    ("aarch64", "ubuntu2404"): "8cca3993520a7f189790264ee57fb5d55a91094fb4be5f06bbbaf67c974d273f",
}


@dataclass(frozen=True)
class Release:
    """One archive of MongoDB's site, and the checksum that it must have."""

    version: str
    machine: str
    build: str
    sha256: str

    @property
    def name(self) -> str:
        """The archive's top folder, and its file name without `.tgz`."""
        return f"mongodb-linux-{self.machine}-{self.build}-{self.version}"

    def url(self, site: str) -> str:
        """Where `site` has the archive."""
        return f"{site.rstrip('/')}/linux/{self.name}.tgz"


def release_for(machine: str, system: str, version: str) -> Release | None:
    """The release for a machine (`uname -m`) and a system (`ID` and `VERSION_ID` of os-release).

    A newer Debian or Ubuntu takes the newest build that MongoDB makes for its family; MongoDB
    builds nothing for Debian on ARM, where Ubuntu 22.04's build fits (an older glibc, OpenSSL 3).
    """
    if system == "debian":
        build = "debian12" if machine == "x86_64" else "ubuntu2204"
    elif system == "ubuntu":
        build = "ubuntu2204" if version < "24.04" else "ubuntu2404"
    else:
        return None
    sha256 = CHECKSUMS.get((machine, build))
    return Release(VERSION, machine, build, sha256) if sha256 else None


def server_homes(environ: Mapping[str, str], *, root: bool) -> tuple[Path, ...]:
    """Folders that may hold downloaded servers, one subfolder a version; ours to write first."""
    if root:
        return (ROOT_HOME,)
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "/")) / ".local/share"
    return (Path(data) / "skillswap-ops/mongodb", ROOT_HOME)


def installed_server(homes: Sequence[Path], version: str | None = None) -> Path | None:
    """The folder that holds a downloaded `mongod` and `mongos`, or None.

    Without a `version` it is the newest there is: a machine that has not fetched the pinned one
    yet goes on with the one before.
    """
    found = [
        (_ordered(entry.name), entry / "bin")
        for home in homes
        for entry in home.glob(version or "[0-9]*")
        if all(os.access(entry / "bin" / program, os.X_OK) for program in PROGRAMS)
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
