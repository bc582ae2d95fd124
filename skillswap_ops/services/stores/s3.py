"""Objects on any S3 endpoint. boto3 blocks, so its calls run in threads; signing is local."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from manifests.services.settings import S3Store, Settings
from skillswap_ops.services.base.calls import Caller, Way
from skillswap_ops.services.base.metrics import Metrics

NAME = "s3"
T = TypeVar("T")
LINK_SECONDS = 300


class S3:
    """One instance's way to its bucket."""

    def __init__(self, store: S3Store, settings: Settings, metrics: Metrics) -> None:
        self._bucket = store.bucket
        self._client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            region_name=store.region,
            verify=store.ca_file,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key.get_secret_value(),
            config=Config(
                connect_timeout=2,
                read_timeout=settings.deadlines.store,
                retries={"total_max_attempts": 1},  # ours retry
                signature_version="s3v4",
                s3={"addressing_style": "path"},
            ),
        )
        self._caller = Caller(
            Way(NAME, settings.deadlines.store, unavailable), settings.breaker, metrics
        )

    async def size(self, key: str) -> int | None:
        """How many bytes the object has; None where there is none."""

        def head() -> int | None:
            try:
                return int(self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"])
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise

        return await self._call("head", head)

    async def delete(self, key: str) -> None:
        """Remove the object; idempotent."""
        await self._call("delete", lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    def upload_link(self, key: str, media_type: str, size: int) -> str:
        """A link that takes exactly this many bytes of this type, for LINK_SECONDS."""
        return str(
            self._client.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ContentType": media_type,
                    "ContentLength": size,
                },
                ExpiresIn=LINK_SECONDS,
            )
        )

    def download_link(self, key: str) -> str:
        """A link that gives the object, for LINK_SECONDS."""
        return str(
            self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=LINK_SECONDS
            )
        )

    async def ping(self) -> None:
        """Raises whatever the driver does where the bucket cannot be reached."""
        await asyncio.to_thread(self._client.head_bucket, Bucket=self._bucket)

    def renew(self) -> None:
        """Nothing: its key is not changed while an instance runs."""

    async def close(self) -> None:
        """End the connections."""
        await asyncio.to_thread(self._client.close)

    async def _call(self, operation: str, work: Callable[[], T]) -> T:
        return await self._caller.call(operation, lambda: asyncio.to_thread(work), again=True)


def unavailable(error: Exception) -> str | None:
    """Why the object store is unavailable by this error; None where it is an answer."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return f"it answers {status}" if status >= 500 or status == 429 else None
    return "no connection" if isinstance(error, BotoCoreError) else None
