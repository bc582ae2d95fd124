"""What a server is to a target: a program, its files, where it listens.

Engines describe servers; targets run them: as supervised processes on one machine, or as
containers whose ConfigMaps hold the same files.
"""

from dataclasses import dataclass
from enum import StrEnum

from cluster.inventory import Node


class OnChange(StrEnum):
    """How a running server takes a changed configuration file."""

    RESTART = "restart"
    RELOAD = "reload"  # SIGHUP


@dataclass(frozen=True)
class ConfigFile:
    """A rendered file in the server's `conf` folder; a secret one is readable to its user only.

    A `live` one is never a reason to restart the server or to have it read its files anew: it takes
    a new one by itself, or when it is told to. `fixed` is said where that is true of a part only:
    it is the rest, which a server that runs does not take anew.
    """

    name: str
    text: str
    secret: bool = False
    live: bool = False
    fixed: str | None = None


@dataclass(frozen=True)
class Volume:
    """A disk of a server's own, mounted on the folder `name` below the node's folder."""

    name: str
    mebibytes: int


@dataclass(frozen=True)
class Server:
    """One program of one node. `name` is unique in the cluster and is what `logs NAME` takes.

    `folders` are made (mode 0700) below the node's folder before the start, `volumes` mounted.
    `env` never holds a password. `as_operator`: it needs the cluster's own secrets, and runs as who
    supervises it and not as the servers' user. `stop_seconds` is how long a clean stop may take
    before it is killed. `needs` names the steps that must be done before the first start. At the
    ports in `negotiated` a client of PostgreSQL asks for TLS before it begins.
    """

    name: str
    node: Node
    component: str
    argv: tuple[str, ...]
    files: tuple[ConfigFile, ...] = ()
    folders: tuple[str, ...] = ("conf", "data")
    env: tuple[tuple[str, str], ...] = ()
    ports: tuple[int, ...] = ()
    on_change: OnChange = OnChange.RESTART
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    needs: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    as_operator: bool = False
    negotiated: tuple[int, ...] = ()

    @property
    def certificate(self) -> ConfigFile | None:
        """The file with the key and the certificate that it shows; None where it speaks no TLS."""
        return next((file for file in self.files if file.name.endswith(".pem")), None)

    @property
    def start_step(self) -> str:
        """The name of the step that starts this server."""
        return f"start {self.name}"
