"""Passwords: argon2id with argon2-cffi's defaults (RFC 9106's low-memory profile)."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()
# What an unknown user's password is held against, so that both cases take as long.
_NOBODY = _hasher.hash("nobody")
AT_ONCE = 2  # each hash takes 64 MiB and a core for some 50 ms
_gate = asyncio.Semaphore(AT_ONCE)


async def hashed(password: str) -> str:
    """The encoded hash, made off the event loop."""
    async with _gate:
        return await asyncio.to_thread(_hasher.hash, password)


async def fits(password: str, encoded: str | None) -> bool:
    """Whether it is the password of the hash; as slow where there is no hash."""
    async with _gate:
        return await asyncio.to_thread(_fits, password, encoded)


def outdated(encoded: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(encoded)


def _fits(password: str, encoded: str | None) -> bool:
    try:
        return _hasher.verify(encoded or _NOBODY, password) and encoded is not None
    except (VerificationError, InvalidHashError):
        return False
