"""The cluster's logical clock, passed on between clients and shards.

Shards believe a `$clusterTime` from the router, which is one of them; the router believes one
from a client only where it, or another router of this cluster, signed it. A client could else
push the clock of the whole cluster into the future.
"""

import hashlib
import hmac
import struct

from bson import Binary, Int64, Timestamp

from mongo.router.document import BINARY, INT64, TIMESTAMP, Document, encode_elements
from mongo.router.errors import CommandError

FIELD = "$clusterTime"
KEY_ID = 1  # of the key that is made from the key file; shards number theirs by timestamps
_UINT64 = struct.Struct("<Q")
_NO_HASH = b"\0" * 20
_HASH_BYTES = 20


class ClusterTime:
    """The highest time seen so far."""

    def __init__(self, key: str) -> None:
        self._key = hashlib.sha256(b"segment router, cluster time:" + key.encode()).digest()
        self._highest = 0
        self._signed = b""
        self._trusted = b""

    def for_client(self) -> bytes:
        """The element `$clusterTime`, signed; empty while no time is known."""
        return self._signed

    def for_shard(self) -> bytes:
        """The element `$clusterTime` as servers of one cluster send it to each other."""
        return self._trusted

    def operation_time(self) -> bytes:
        """The element `operationTime` for answers that no shard gave."""
        if not self._highest:
            return b""
        return encode_elements({"operationTime": _timestamp(self._highest)})

    def from_shard(self, reply: Document) -> None:
        """Note the time in a server's answer."""
        if FIELD in reply:
            given = reply.document(FIELD)
            if given is not None:
                self._advance(_time_of(given))

    def from_client(self, body: Document) -> None:
        """Note the time in a client's command, where its signature is one of ours."""
        if FIELD not in body or body.bytes_of(FIELD) == self._signed:
            return
        try:
            given = body.document(FIELD)
            time = _time_of(given) if given is not None else 0
            genuine = given is not None and hmac.compare_digest(_hash_of(given), self._sign(time))
        except CommandError:
            return
        if genuine:
            self._advance(time)

    def _advance(self, time: int) -> None:
        if time <= self._highest:
            return
        self._highest = time
        stamp = _timestamp(time)
        self._signed = _element(stamp, self._sign(time), KEY_ID)
        self._trusted = _element(stamp, _NO_HASH, 0)

    def _sign(self, time: int) -> bytes:
        return hmac.digest(self._key, _UINT64.pack(time), "sha256")[:_HASH_BYTES]


def _element(stamp: Timestamp, digest: bytes, key_id: int) -> bytes:
    signature = {"hash": Binary(digest, 0), "keyId": Int64(key_id)}
    return encode_elements({FIELD: {"clusterTime": stamp, "signature": signature}})


def _timestamp(time: int) -> Timestamp:
    return Timestamp(time >> 32, time & 0xFFFFFFFF)


def _time_of(given: Document) -> int:
    kind, _, value, _ = given.elements.get("clusterTime", (0, 0, 0, 0))
    return int(_UINT64.unpack_from(given.raw, value)[0]) if kind == TIMESTAMP else 0


def _hash_of(given: Document) -> bytes:
    """The signature's hash; empty where it is not of our key."""
    signature = given.document("signature")
    if signature is None or signature.type_of("keyId") != INT64:
        return b""
    if signature.integer("keyId") != KEY_ID or signature.type_of("hash") != BINARY:
        return b""
    _, _, value, end = signature.elements["hash"]
    return signature.raw[value + 5 : end]
