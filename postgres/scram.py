"""SCRAM-SHA-256 verifiers, made here so that no password is ever part of an SQL statement.

The format is PostgreSQL's (`pg_authid.rolpassword`), the arithmetic RFC 5802's. Passwords are
ASCII (cluster.secrets makes them), so SASLprep changes nothing.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

ITERATIONS = 4096  # PostgreSQL's own
SALT_BYTES = 16


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """What PostgreSQL stores for a password."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored)}:{_text(server)}"


def matches(stored: str | None, password: str) -> bool:
    """Whether a stored verifier is one of this password; an MD5 or missing one never is."""
    try:
        kind, parameters, _ = (stored or "").split("$")
        iterations, salt = parameters.split(":")
        again = verifier(password, base64.b64decode(salt, validate=True), int(iterations))
    except (ValueError, binascii.Error):
        return False
    return kind == "SCRAM-SHA-256" and hmac.compare_digest(again, stored or "")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
