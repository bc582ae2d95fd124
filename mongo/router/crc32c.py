"""CRC-32C (Castagnoli), the checksum of OP_MSG; zlib's crc32 is of another polynomial."""

from collections.abc import Iterable

_POLYNOMIAL = 0x82F63B78  # reversed


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_entry(byte) for byte in range(256))


def crc32c(data: Iterable[int], crc: int = 0) -> int:
    """The sum of `data`, going on from `crc`."""
    crc ^= 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF
