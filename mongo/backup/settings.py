"""From the topology to the repository: where it is, and what seals it."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cluster import objects
from cluster.context import Context
from cluster.topology import FolderRepository, MongoBackup
from mongo.backup.sealing import Encrypted, Plain, Sealer
from mongo.backup.storage import Folder, Storage

KEY = "mongo-backup-key"
S3_KEY = "mongo-backup-s3-key"


class Place(BaseModel):
    """A repository as programs of the servers' user are told of it; holds its secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder", "s3"]
    folder: str = ""
    endpoint: str = ""
    bucket: str = ""
    region: str = ""
    path: str = ""
    key: str = ""
    secret: str = ""
    ca_file: str | None = None
    addressing: str = "path"
    sealed_with: str = ""  # "" for no encryption

    def storage(self) -> Storage:
        """The way to it."""
        if self.kind == "folder":
            return Folder(Path(self.folder))
        from mongo.backup.s3 import S3, Bucket  # noqa: PLC0415 - boto3 takes half a second

        return S3(
            Bucket(
                endpoint=self.endpoint,
                name=self.bucket,
                region=self.region,
                path=self.path,
                key=self.key,
                secret=self.secret,
                ca_file=self.ca_file,
                addressing=self.addressing,
            )
        )

    def sealer(self) -> Sealer:
        """What seals everything in it."""
        return Encrypted(self.sealed_with) if self.sealed_with else Plain()


def backup(context: Context) -> MongoBackup:
    """How MongoDB is backed up."""
    return context.topology.mongo.backup


def place(context: Context) -> Place:
    """The cluster's repository. Its S3 keys are the secrets `mongo-backup-s3-key`, `…-secret`."""
    wanted = backup(context)
    repository = wanted.repository
    plain = repository.encrypted is False
    key = "" if plain else context.secrets.key(KEY).get_secret_value()
    if isinstance(repository, FolderRepository):
        return Place(kind="folder", folder=str(folder(context)), sealed_with=key)
    there = objects.place(context, repository, S3_KEY)
    if there is None:
        raise LookupError("a repository is a folder, or in a bucket")
    return Place(
        kind="s3",
        endpoint=there.url,
        bucket=there.bucket,
        region=there.region,
        path=f"{repository.path}/mongo",
        key=there.key.key.get_secret_value(),
        secret=there.key.secret.get_secret_value(),
        ca_file=there.ca_file,
        addressing="virtual" if there.uri_style == "host" else "path",
        sealed_with=key,
    )


def folder(context: Context) -> Path | None:
    """The repository's folder; None where it is S3."""
    repository = backup(context).repository
    if not isinstance(repository, FolderRepository):
        return None
    return Path(repository.path) if repository.path else context.layout.mongo_backups
