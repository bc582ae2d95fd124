"""The router's configuration file: JSON or YAML. Secrets are in the key file that it names."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, ValidationError

from cluster.errors import InvalidInputError
from cluster.topology import Model, Seconds

SeedList = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+/[^,:/\s]+:\d{1,5}(,[^,:/\s]+:\d{1,5})*$")
]
OTHERS = 0o077  # permission bits of group and others


class Limits(Model):
    """Bounds on what the router holds and how long it waits (seconds)."""

    max_connections: int = Field(1000, ge=1, le=65_000, description="clients at once")
    pool_size: int = Field(100, ge=1, le=10_000, description="connections to one server")
    selection: Seconds = Field(15, description="wait for a server before a command is not sent")
    command: Seconds = Field(60, description="longest wait for an answer without maxTimeMS")
    definition: Seconds = Field(600, description="the same for index builds and the like")
    margin: Seconds = Field(5, description="added to maxTimeMS and wtimeout")
    connect: Seconds = 2
    handshake: Seconds = Field(10, description="TLS's of a client, before it is turned away")
    drain: Seconds = Field(5, description="what is under way may end within this at SIGTERM")
    refresh: Seconds = Field(30, description="how often metadata and users are read again")
    heartbeat: float = Field(1, ge=0.5, le=60, description="how often a server is looked at")


class RouterTls(Model):
    """Clients must speak TLS, and servers are verified; without it both speak in the clear."""

    certificate_key_file: Path = Field(description="key and certificate; read anew when it changes")
    ca_file: Path = Field(description="the authorities by which the servers are verified")


class RouterConfig(Model):
    """Where to listen, whose router this is, and its limits."""

    listen: Annotated[str, StringConstraints(pattern=r"^[^:/\s]+:\d{1,5}$")]
    config_servers: SeedList = Field(description="`config/host:port,host:port,host:port`")
    key_file: Path
    tls: RouterTls | None = None
    limits: Limits = Limits()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return split_host(self.listen)


def split_host(text: str) -> tuple[str, int]:
    """`host:port` as host and port."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def load(path: Path) -> RouterConfig:
    """The configuration in a file. Raises InvalidInputError naming the file and the field."""
    try:
        values = yaml.safe_load(_text(path))  # JSON is YAML
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path}: neither JSON nor YAML") from error
    if not isinstance(values, dict):
        raise InvalidInputError(f"{path}: not an object of settings")
    try:
        return RouterConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(f"{path}: {field}: {first['msg']}") from error


def keys(path: Path) -> tuple[str, ...]:
    """The keys in a key file, as mongod reads it: one text without its white space, or a list.

    The first is what we authenticate with. Raises InvalidInputError.
    """
    text = _text(path)
    if path.stat().st_mode & OTHERS:
        raise InvalidInputError(
            f"{path}: others than its user may read the key", f"chmod 600 {path}"
        )
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError:
        parsed = text
    many = parsed if isinstance(parsed, list) else [text]
    found = tuple("".join(str(key).split()) for key in many)
    if not found or not all(found):
        raise InvalidInputError(f"{path}: holds no key")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
