"""A bucket of any S3 service as the place where backups are kept."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, cast

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cluster.errors import OpsError, UnreachableError
from mongo.backup.storage import LEFT_OVER, Object


@dataclass(frozen=True)
class Bucket:
    """Which bucket, and how to reach it."""

    endpoint: str
    name: str
    region: str
    path: str
    key: str
    secret: str
    ca_file: str | None = None
    addressing: str = "path"


class S3:
    """A bucket; large objects go up in parts, and are there once the last one is."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._prefix = bucket.path.strip("/")
        self._client = boto3.client(
            "s3",
            endpoint_url=bucket.endpoint,
            region_name=bucket.region,
            aws_access_key_id=bucket.key,
            aws_secret_access_key=bucket.secret,
            verify=bucket.ca_file or True,
            config=Config(
                s3={"addressing_style": bucket.addressing},
                connect_timeout=5,
                read_timeout=60,
                retries={"max_attempts": 3, "mode": "standard"},
            ),
        )

    @property
    def name(self) -> str:
        """Bucket and path, as people write them."""
        return f"s3://{self._bucket.name}/{self._prefix}"

    def put(self, key: str, source: BinaryIO) -> None:
        """Upload it; from 8 MB on in parts."""
        source.seek(0)
        with self._explained(key):
            self._client.upload_fileobj(_KeptOpen(source), self._bucket.name, self._key(key))

    def open(self, key: str) -> BinaryIO:
        """Download it, to a file that is gone when it is closed."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            with self._explained(key):
                self._client.download_fileobj(self._bucket.name, self._key(key), file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return cast("BinaryIO", file)

    def list(self, prefix: str) -> tuple[Object, ...]:
        """All pages of it."""
        with self._explained(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=self._key(prefix)
            )
            found = [row for page in pages for row in page.get("Contents", ())]
        strip = len(self._key(""))
        objects = (Object(row["Key"][strip:], row["Size"]) for row in found)
        return tuple(sorted(objects, key=lambda one: one.key))

    def delete(self, keys: Iterable[str]) -> None:
        """One by one: not every service has the call for many."""
        for key in keys:
            with self._explained(key):
                self._client.delete_object(Bucket=self._bucket.name, Key=self._key(key))

    def sweep(self) -> None:
        """Give up uploads in parts that nobody goes on with: they cost money, unseen."""
        with self._explained("uploads"):
            answer = self._client.list_multipart_uploads(
                Bucket=self._bucket.name, Prefix=self._key("")
            )
            for upload in answer.get("Uploads", ()):
                if datetime.now(UTC) - upload["Initiated"] > LEFT_OVER:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket.name, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            what = error.response.get("Error", {})
            text = f"{what.get('Code')}: {what.get('Message')}"
            raise OpsError(f"{self.name}: {key}: {text}", "check bucket and keys") from error
        except (BotoCoreError, Boto3Error, OSError) as error:
            raise UnreachableError(
                f"{self.name} does not answer: {error}", "check endpoint and certificate"
            ) from error


class _KeptOpen:
    """A file that whoever reads it cannot close, which boto3 does."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Its next bytes."""
        return self._file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place in it."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """The place in it."""
        return self._file.tell()

    def close(self) -> None:
        """Nothing: whoever opened it closes it."""
