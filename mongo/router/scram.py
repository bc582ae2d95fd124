"""SCRAM: the server's side for clients, the client's side for the connections behind.

RFC 5802 and RFC 7677, in the form of MongoDB's saslStart and saslContinue commands.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scramp import ScramException, ScramMechanism

from mongo.router.errors import Code, CommandError

MECHANISM = "SCRAM-SHA-256"
INTERNAL_USER, INTERNAL_DATABASE = "__system", "local"
ITERATIONS = 15_000  # MongoDB's default for SCRAM-SHA-256
SALT_BYTES = 28
MAX_PAYLOAD = 4096


@dataclass(frozen=True)
class Credential:
    """What a server keeps of a password."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int


def internal_credentials(keys: Sequence[str]) -> tuple[Credential, ...]:
    """The internal user's credentials, one for each key, with one salt."""
    salt = secrets.token_bytes(SALT_BYTES)
    mechanism = ScramMechanism(MECHANISM)
    made = (mechanism.make_auth_info(key, iteration_count=ITERATIONS, salt=salt) for key in keys)
    return tuple(Credential(*each) for each in made)


def parse_credential(stored: Mapping[str, Any]) -> Credential:
    """A credential as the config servers keep it."""
    return Credential(
        b64decode(stored["salt"]),
        b64decode(stored["storedKey"]),
        b64decode(stored["serverKey"]),
        int(stored["iterationCount"]),
    )


def authentication_failed() -> CommandError:
    """The one answer to every failed attempt: it tells nothing."""
    return CommandError(Code.AuthenticationFailed, "Authentication failed.")


def user_of(first: bytes) -> str:
    """The user's name in a client-first message. Raises CommandError."""
    seen: list[str] = []

    def note(name: str) -> None:
        seen.append(name)

    server = ScramMechanism(MECHANISM).make_server(note)
    try:
        server.set_client_first(_text(first))
    except ScramException as error:
        if not seen:
            raise authentication_failed() from error
    return seen[0]


class Conversation:
    """A client proves that it knows a password: one of `credentials` must fit.

    More than one is tried only for the internal user, while a key is being rotated; the salt and
    the iterations must then be the same.
    """

    def __init__(self, credentials: Sequence[Credential]) -> None:
        nonce = secrets.token_urlsafe(24)
        self._servers = [
            ScramMechanism(MECHANISM).make_server(_keeper(each), s_nonce=nonce)
            for each in credentials
        ]
        self.proved = False

    def first(self, payload: bytes) -> bytes:
        """The answer to the client-first message. Raises CommandError."""
        try:
            for server in self._servers:
                server.set_client_first(_text(payload))
            answers = [str(server.get_server_first()) for server in self._servers]
        except ScramException as error:
            raise authentication_failed() from error
        return answers[0].encode()

    def final(self, payload: bytes) -> bytes:
        """The answer to the client-final message. Raises CommandError for a wrong proof."""
        text = _text(payload)
        for server in self._servers:
            try:
                server.set_client_final(text)
                answer = str(server.get_server_final()).encode()
            except ScramException:
                continue
            self.proved = True
            return answer
        raise authentication_failed()


def _keeper(kept: Credential) -> Any:
    def look_up(_name: str) -> tuple[bytes, bytes, bytes, int]:
        return kept.salt, kept.stored_key, kept.server_key, kept.iterations

    return look_up


def _text(payload: bytes) -> str:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise authentication_failed() from error
    if len(text) > MAX_PAYLOAD:
        raise authentication_failed()
    return text


class Login:
    """The client's side, as the internal user: towards a server behind.

    Written out here because the salted password is kept: a new connection must not hold up the
    event loop for thousands of rounds of hashing.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._nonce = secrets.token_urlsafe(24)
        self._bare = f"n={INTERNAL_USER},r={self._nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """The client-first message."""
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """The client-final message. Raises ValueError for a challenge that is not ours."""
        text = challenge.decode("utf-8")
        fields = dict(part.split("=", 1) for part in text.split(","))
        if not fields["r"].startswith(self._nonce):
            raise ValueError("the server answered another nonce")
        client_key, server_key = _keys(self._key, b64decode(fields["s"]), int(fields["i"]))
        proofless = f"c=biws,r={fields['r']}"
        signed = f"{self._bare},{text},{proofless}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = hmac.digest(server_key, signed, "sha256")
        return f"{proofless},p={b64encode(proof).decode()}".encode()

    def verify(self, final: bytes) -> None:
        """Raises ValueError where the server does not know the key itself."""
        wanted = b"v=" + b64encode(self._server_signature)
        if not hmac.compare_digest(final, wanted):
            raise ValueError("the server did not prove that it knows the key")


@lru_cache(64)
def _keys(key: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", key.encode("ascii"), salt, iterations)
    return hmac.digest(salted, b"Client Key", "sha256"), hmac.digest(
        salted, b"Server Key", "sha256"
    )
