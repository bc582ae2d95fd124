"""How everything in the repository is written: compressed, in frames, encrypted, authenticated.

A stream is a header line of JSON and frames of up to 1 MiB of compressed data, each sealed with
AES-256-GCM. Frame n's nonce is a random prefix and n; its additional data are the header and
whether it is the last, so that a frame that was changed, left out, repeated, moved or cut off, or
put behind another header, does not open (the STREAM construction: Hoang, Reyhanitabar, Rogaway,
Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015). Without
encryption the frames carry the SHA-256 of the same data in place of a tag.
"""

import hashlib
import hmac
import json
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"SSOBK1\n"
FRAME = 1 << 20  # bytes of compressed data in a frame
MAX_HEADER = 1 << 16
MAX_FRAME = FRAME + 64
LEVEL = 1  # of zstd: what a core does beside a database
PREFIX_BYTES = 8
TAG_BYTES = 16
LENGTH = struct.Struct(">I")

Header = dict[str, object]


class DamagedError(ValueError):
    """What was read is not what was written."""


class Sealer(Protocol):
    """Seals and opens frames."""

    @property
    def fingerprint(self) -> str:
        """Which key it is; "" for none."""
        ...

    def seal(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """The sealed frame. `bound` must be the same when it is opened."""
        ...

    def open(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """The frame as it was. Raises DamagedError."""
        ...


class Encrypted:
    """AES-256-GCM, with a key derived from a secret of the cluster's."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(SHA256(), 32, None, b"skillswap-ops mongo backup").derive(secret.encode())
        self._cipher = AESGCM(derived)
        self.fingerprint = hashlib.sha256(b"fingerprint" + derived).hexdigest()[:16]

    def seal(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """Encrypt."""
        return self._cipher.encrypt(nonce, data, bound)

    def open(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """Decrypt. Raises DamagedError."""
        try:
            return self._cipher.decrypt(nonce, data, bound)
        except InvalidTag as error:
            raise DamagedError("a frame was changed") from error


class Plain:
    """No encryption; damage is found all the same."""

    fingerprint = ""

    def seal(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """The data behind their checksum."""
        return _digest(nonce, data, bound) + data

    def open(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """The data. Raises DamagedError."""
        found, plain = data[:TAG_BYTES], data[TAG_BYTES:]
        if not hmac.compare_digest(found, _digest(nonce, plain, bound)):
            raise DamagedError("a frame was changed")
        return plain


def _digest(nonce: bytes, data: bytes, bound: bytes) -> bytes:
    return hashlib.sha256(nonce + bound + data).digest()[:TAG_BYTES]


@dataclass(frozen=True)
class Size:
    """Bytes before and after."""

    plain: int
    stored: int
    sha256: str  # of what is stored


def write(sealer: Sealer, header: Header, pieces: Iterable[bytes], into: BinaryIO) -> Size:
    """Write a header and the pieces of its content to a file."""
    prefix = os.urandom(PREFIX_BYTES)
    whole = {**header, "key": sealer.fingerprint, "prefix": prefix.hex()}
    line = json.dumps(whole, sort_keys=True).encode() + b"\n"
    if len(line) > MAX_HEADER:
        raise ValueError("the header is too long")
    hashed = hashlib.sha256()
    stored = plain = 0

    def put(data: bytes) -> None:
        nonlocal stored
        into.write(data)
        hashed.update(data)
        stored += len(data)

    def count(pieces: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal plain
        for piece in pieces:
            plain += len(piece)
            yield piece

    put(MAGIC + line)
    for number, (data, last) in enumerate(_frames(count(pieces))):
        sealed = sealer.seal(_nonce(prefix, number), data, _bound(line, last=last))
        put(LENGTH.pack(len(sealed)) + sealed)
    return Size(plain, stored, hashed.hexdigest())


def read_header(source: BinaryIO) -> Header:
    """The header, as it says of itself: only what follows proves it. Raises DamagedError."""
    return _header(source)[0]


def read(sealer: Sealer, source: BinaryIO) -> tuple[Header, Iterator[bytes]]:
    """The header, and the pieces of the content. The iterator raises DamagedError.

    Nothing of the header is proved before the iterator has ended.
    """
    header, line = _header(source)
    if header.get("key") != sealer.fingerprint:
        raise DamagedError("it was sealed with another key")
    try:
        prefix = bytes.fromhex(str(header["prefix"]))
    except (KeyError, ValueError) as error:
        raise DamagedError("its header has no nonce") from error
    return header, _opened(sealer, source, prefix, line)


def _opened(sealer: Sealer, source: BinaryIO, prefix: bytes, line: bytes) -> Iterator[bytes]:
    unpack = zstandard.ZstdDecompressor().decompressobj()
    number, length = 0, _length(source)
    while length is not None:
        data = source.read(length)
        if len(data) < length:
            raise DamagedError("it is cut off")
        following = _length(source)
        bound = _bound(line, last=following is None)
        plain = sealer.open(_nonce(prefix, number), data, bound)
        number, length = number + 1, following
        try:
            yield unpack.decompress(plain)
        except zstandard.ZstdError as error:
            raise DamagedError(f"it does not decompress: {error}") from error
    if not number:
        raise DamagedError("it is cut off")


def _header(source: BinaryIO) -> tuple[Header, bytes]:
    if source.read(len(MAGIC)) != MAGIC:
        raise DamagedError("it is nothing that this program has written")
    line = source.readline(MAX_HEADER)
    try:
        header = json.loads(line)
    except ValueError as error:
        raise DamagedError("its header cannot be read") from error
    if not isinstance(header, dict) or not line.endswith(b"\n"):
        raise DamagedError("its header cannot be read")
    return header, line


def _length(source: BinaryIO) -> int | None:
    """The next frame's length; None at the end."""
    raw = source.read(LENGTH.size)
    if not raw:
        return None
    if len(raw) < LENGTH.size:
        raise DamagedError("it is cut off")
    (length,) = LENGTH.unpack(raw)
    if not TAG_BYTES <= length <= MAX_FRAME:
        raise DamagedError("a frame's length was changed")
    return int(length)


def _frames(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The compressed data in frames, each with whether it is the last; at least one."""
    pack = zstandard.ZstdCompressor(level=LEVEL).compressobj()
    waiting = bytearray()
    for piece in pieces:
        waiting += pack.compress(piece)
        while len(waiting) > FRAME:
            yield bytes(waiting[:FRAME]), False
            del waiting[:FRAME]
    waiting += pack.flush()
    while len(waiting) > FRAME:
        yield bytes(waiting[:FRAME]), False
        del waiting[:FRAME]
    yield bytes(waiting), True


def _nonce(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(4, "big")


def _bound(line: bytes, *, last: bool) -> bytes:
    return line + (b"last" if last else b"more")
