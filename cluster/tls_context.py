"""What connections are made with: by what a client verifies, and what a server shows.

Apart from `cluster.tls`, because programs that only connect need nothing else of it.
"""

import ssl
from functools import lru_cache
from pathlib import Path


def client_context(trusted: str, own: str = "") -> ssl.SSLContext:
    """Verifies a server by its name and the authorities in the file `trusted`.

    `own` is a file with a key and a certificate to show. One a state of the files, not a
    connection: it is the loading that takes time. Raises OSError where a file is missing.
    """
    changed = tuple(Path(file).stat().st_mtime_ns for file in (trusted, own) if file)
    return _client_context(trusted, changed, own)


@lru_cache(maxsize=16)
def _client_context(
    trusted: str,
    changed: tuple[int, ...],  # noqa: ARG001 - a key
    own: str,
) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=trusted)
    if own:
        made.load_cert_chain(own)
    return made


class ServerContext:
    """A server's side, which takes a renewed certificate for the connections that come then."""

    def __init__(self, pem: Path) -> None:
        self._pem = pem
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded = self._load()

    def refresh(self) -> bool:
        """Whether the file had changed. Raises OSError (SSLError is one) where it is damaged."""
        if self._stamp() == self._loaded:
            return False
        self._loaded = self._load()
        return True

    def _load(self) -> tuple[int, int]:
        while True:
            stamp = self._stamp()
            try:
                self.context.load_cert_chain(self._pem)
            except ssl.SSLError:
                if stamp == self._stamp():  # else it was replaced between certificate and key
                    raise
            else:
                return stamp

    def _stamp(self) -> tuple[int, int]:
        found = self._pem.stat()
        return found.st_mtime_ns, found.st_ino
