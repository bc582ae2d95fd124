"""Where objects are kept by S3: the local target's own store, or somebody else's service."""

from dataclasses import dataclass

from pydantic import SecretStr

from cluster.certificates import Authority
from cluster.context import Context
from cluster.inventory import Kind, Node
from cluster.topology import FolderRepository, ObjectsRepository, Repository, S3Repository, Topology

PORT = 9000  # of the local store, by TLS
REGION = "us-east-1"
BUCKETS_STEP = "buckets"  # the step after which the local store can be used
LOCAL_KEY = "objects-key"
FILES_KEY = "services-s3-key"


@dataclass(frozen=True)
class Key:
    """Access to a bucket."""

    key: SecretStr
    secret: SecretStr


@dataclass(frozen=True)
class Place:
    """A bucket as a client needs it. `uri_style` is `host` or `path`; always TLS.

    `ca_file` holds the certificates that the client is to trust; None: those of its machine.
    """

    host: str
    port: int
    bucket: str
    region: str
    uri_style: str
    ca_file: str | None
    key: Key

    @property
    def url(self) -> str:
        """The endpoint, as boto3 takes it."""
        return f"https://{self.host}:{self.port}"


def store(context: Context) -> Node | None:
    """The node of the local store; None where the topology has none."""
    nodes = context.inventory.of(Kind.OBJECTS)
    return nodes[0] if nodes else None


def buckets(topology: Topology) -> tuple[str, ...]:
    """The buckets that the local store must have."""
    if not topology.objects.members:
        return ()
    archive = (
        repository.bucket
        for repository in (*topology.archive.repositories, topology.mongo.backup.repository)
        if isinstance(repository, ObjectsRepository)
    )
    files = () if topology.objects.external else (topology.objects.bucket,)
    return tuple(dict.fromkeys((*files, *archive)))


def local_key(context: Context) -> Key:
    """The key that the local store takes."""
    return _key(context, LOCAL_KEY)


def files(context: Context) -> Place | None:
    """Where the service `files` keeps its bytes; None where the topology has no place for them.

    The keys of somebody else's service are the secrets `services-s3-key` and `…-secret`.
    """
    wanted = context.topology.objects
    if wanted.external:
        there = wanted.external
        return Place(
            there.endpoint,
            there.port,
            there.bucket,
            there.region,
            "path",
            there.ca_file,
            _key(context, FILES_KEY),
        )
    node = store(context)
    return _local(context, node, wanted.bucket) if node else None


def repository(context: Context, number: int) -> Place | None:
    """Where repository `number` (from 1) of the archive is; None for one in a folder.

    The keys of somebody else's service are the secrets `archive-repo1-key`, `…-key-secret`.
    """
    wanted = context.topology.archive.repositories[number - 1]
    return place(context, wanted, f"archive-repo{number}-key")


def place(context: Context, wanted: Repository, key: str) -> Place | None:
    """Where a repository is; None for one in a folder. `key` names the secret of its S3 key."""
    match wanted:
        case FolderRepository():
            return None
        case ObjectsRepository():
            node = context.inventory.of(Kind.OBJECTS)[0]
            return _local(context, node, wanted.bucket)
        case S3Repository():
            return Place(
                wanted.endpoint,
                wanted.port,
                wanted.bucket,
                wanted.region,
                wanted.uri_style,
                wanted.ca_file,
                _key(context, key),
            )


def _local(context: Context, node: Node, bucket: str) -> Place:
    ca_file = str(Authority(context.layout).certificate_file())
    return Place(node.address, PORT, bucket, REGION, "path", ca_file, local_key(context))


def _key(context: Context, name: str) -> Key:
    return Key(context.secrets.get(name), context.secrets.get(f"{name}-secret"))
