"""Chance that is the same everywhere: whole arrays of draws from a name.

Philox's stream is fixed for all versions of numpy (NEP 19 promises that of bit generators, not of
the distributions), so every distribution here is computed from its raw words.
"""

import hashlib

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

_DASHES = (8, 13, 18, 23)
_DIGITS = [at for at in range(36) if at not in _DASHES]
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


class Draws:
    """A stream of its own for every key; the same key draws the same."""

    def __init__(self, *key: str | int) -> None:
        digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
        self._bits = np.random.Philox(key=np.frombuffer(digest, "<u8").astype(np.uint64))

    def words(self, count: int) -> Words:
        """Random 64-bit words."""
        drawn: Words = self._bits.random_raw(count)
        return drawn

    def unit(self, count: int) -> Floats:
        """Evenly from [0, 1)."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, count: int, bound: int | Ints) -> Ints:
        """Evenly from 0 to `bound` - 1; a bound of less than 1 gives 0. Each may have its own."""
        return (self.unit(count) * np.maximum(bound, 1)).astype(np.int64)

    def chance(self, count: int, probability: float | Floats) -> Bools:
        """True with the probability."""
        return self.unit(count) < probability

    def bell(self, count: int) -> Floats:
        """Bell-shaped around 0 with a deviation of 1: the sum of twelve even draws."""
        bells: Floats = self.unit(12 * count).reshape(12, count).sum(axis=0) - 6.0
        return bells

    def choose(self, count: int, weights: tuple[float, ...]) -> Ints:
        """Indices of `weights`, each as often as its weight says."""
        bounds = np.cumsum(weights) / sum(weights)
        return np.searchsorted(bounds[:-1], self.unit(count), side="right").astype(np.int64)

    def ids(self, count: int) -> list[str]:
        """UUIDs as lower-case text: version 8, whose bits are the maker's own (RFC 9562, 5.8).

        122 random bits each: two of them never meet.
        """
        octets = self.words(2 * count).astype("<u8").view(np.uint8).reshape(count, 16)
        octets[:, 6] = octets[:, 6] & 0x0F | 0x80
        octets[:, 8] = octets[:, 8] & 0x3F | 0x80
        text = np.full((count, 36), ord("-"), np.uint8)
        nibbles = np.stack((octets >> 4, octets & 15), axis=2).reshape(count, 32)
        text[:, _DIGITS] = _HEX[nibbles]
        whole = text.tobytes().decode("ascii")
        return [whole[at : at + 36] for at in range(0, 36 * count, 36)]
