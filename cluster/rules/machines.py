"""The archive's repositories, and what the local target takes of the machine."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import PurePosixPath

from cluster.problems import Path, Problem, dotted
from cluster.rules.base import repeated, rule
from cluster.topology import (
    FolderRepository,
    ObjectsRepository,
    Repository,
    Topology,
)

LOOPBACK = IPv4Network("127.0.0.0/8")
MONGO: Path = ("mongo", "backup", "repository")
LOCALHOST = IPv4Network("127.0.0.0/16")
_IPV4 = re.compile(r"\d+(\.\d+){3}")


def unique_repositories(topology: Topology) -> Iterable[Problem]:
    """Two repositories in one place overwrite each other's backups and expire each other's WAL."""
    return repeated(
        ((path, _place(path, repository)) for path, repository in _repositories(topology)),
        "is the same place as {first}",
    )


def folders_apart(topology: Topology) -> Iterable[Problem]:
    """A repository below another is deleted with what the other expires."""
    folders = [
        (path, PurePosixPath(repository.path))
        for path, repository in _repositories(topology)
        if isinstance(repository, FolderRepository) and repository.path
    ]
    for path, folder in folders:
        for other, outer in folders:
            if outer in folder.parents:
                yield Problem((*path, "path"), f"is inside {dotted(other)}", str(folder))


def plain_paths(topology: Topology) -> Iterable[Problem]:
    """`..` hides where a path leads, and a repository at `/` would be the whole machine."""
    for path, repository in _repositories(topology):
        if repository.path is None:
            continue
        parts = PurePosixPath(repository.path).parts
        if ".." in parts:
            yield Problem((*path, "path"), "must not go through ..", repository.path)
        elif isinstance(repository, FolderRepository) and len(parts) == 1:
            yield Problem((*path, "path"), "must be a folder of its own", repository.path)


def legal_buckets(topology: Topology) -> Iterable[Problem]:
    """Amazon S3 User Guide, General purpose buckets naming rules."""
    for path, repository in _repositories(topology):
        if not isinstance(repository, FolderRepository):
            yield from _bucket(path, repository.bucket)


def legal_file_buckets(topology: Topology) -> Iterable[Problem]:
    """The same of the buckets that files are in."""
    yield from _bucket(("objects",), topology.objects.bucket)
    if topology.objects.external:
        yield from _bucket(("objects", "external"), topology.objects.external.bucket)


def _bucket(path: Path, bucket: str) -> Iterator[Problem]:
    if ".." in bucket:
        yield Problem((*path, "bucket"), "must not have two dots together", bucket)
    if _IPV4.fullmatch(bucket):
        yield Problem((*path, "bucket"), "must not look like an address", bucket)


def objects_there(topology: Topology) -> Iterable[Problem]:
    """A repository in the local object store needs one."""
    for path, repository in _repositories(topology):
        if isinstance(repository, ObjectsRepository) and not topology.objects.members:
            yield Problem((*path, "type"), "needs objects.members: 1", repository.type)


def buckets_apart(topology: Topology) -> Iterable[Problem]:
    """Whoever may give out files must not be able to give out the archive."""
    files = topology.objects.bucket
    for path, repository in _repositories(topology):
        if isinstance(repository, ObjectsRepository) and repository.bucket == files:
            yield Problem((*path, "bucket"), "must not be the files' (objects.bucket)", files)


def loopback_network(topology: Topology) -> Iterable[Problem]:
    """Every address of 127.0.0.0/8 is this machine's own on Linux; the plan takes a /16 of it, and
    127.0.0.0/16 is where localhost's other servers are.
    """
    network = topology.local.network
    if network.prefixlen != 16 or not network.subnet_of(LOOPBACK) or network == LOCALHOST:
        reason = "must be a /16 from 127.1.0.0/16 to 127.255.0.0/16"
        yield Problem(("local", "network"), reason, str(network))


def unprivileged(topology: Topology) -> Iterable[Problem]:
    """PostgreSQL refuses to run as root, and nothing here needs it."""
    if topology.local.run_as == "root":
        yield Problem(("local", "run_as"), "must be an unprivileged user", "root")


def _repositories(topology: Topology) -> Iterator[tuple[Path, Repository]]:
    for index, repository in enumerate(topology.archive.repositories):
        yield ("archive", "repositories", index), repository
    yield MONGO, topology.mongo.backup.repository


def _place(path: Path, repository: Repository) -> str:
    """Where it is, the same for two spellings of one place."""
    if isinstance(repository, FolderRepository):
        default = "MongoDB's default folder" if path == MONGO else "the default folder"
        return str(PurePosixPath(repository.path)) if repository.path else default
    # MongoDB's is below `mongo` there, so that one bucket serves both.
    below = PurePosixPath(repository.path, "mongo" if path == MONGO else "")
    if isinstance(repository, ObjectsRepository):
        return f"objects/{repository.bucket}{below}"
    return f"{repository.endpoint}:{repository.port}/{repository.bucket}{below}"


RULES = (
    rule(unique_repositories, "archive", "mongo"),
    rule(folders_apart, "archive", "mongo"),
    rule(plain_paths, "archive", "mongo"),
    rule(legal_buckets, "archive", "mongo"),
    rule(legal_file_buckets, "objects"),
    rule(objects_there, "archive", "mongo", "objects"),
    rule(buckets_apart, "archive", "mongo", "objects"),
    rule(loopback_network, "local"),
    rule(unprivileged, "local"),
)
