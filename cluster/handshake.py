"""Which certificate a port shows to its clients, and whether it would speak without one."""

import socket
import ssl
import struct

from cluster.certificates import Validity, validity
from cluster.errors import UnreachableError
from cluster.tls_context import client_context

SECONDS = 5.0
# A client of PostgreSQL asks for TLS, and the server says yes (S) or no (N):
# https://www.postgresql.org/docs/15/protocol-message-formats.html (SSLRequest)
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
YES = b"S"


def presented(
    address: str,
    port: int,
    trust: str,
    *,
    negotiated: bool = False,
    own: str = "",
    seconds: float = SECONDS,
) -> Validity:
    """Of the certificate that a port shows, verified by the file `trust`.

    `own` is a file with a certificate, for ports that ask for one; where `negotiated`, a client of
    PostgreSQL asks for TLS first.

    Raises UnreachableError where nobody answers, where it speaks no TLS, and where a client would
    refuse what it shows.
    """
    where = f"{address}:{port}"
    try:
        with socket.create_connection((address, port), seconds) as plain:
            if negotiated:
                _ask_for_tls(plain, where)
            context = client_context(trust, own)
            with context.wrap_socket(plain, server_hostname=address) as secured:
                der = secured.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"{where} shows a certificate that clients refuse: {error.verify_message}",
            "`skillswap-ops certs list` says what each server should show",
        ) from error
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error) or type(error).__name__
        raise UnreachableError(f"{where} does not answer by TLS: {reason}") from error
    return validity(ssl.DER_cert_to_PEM_cert(der).encode())


def _ask_for_tls(plain: socket.socket, where: str) -> None:
    plain.sendall(SSL_REQUEST)
    answer = plain.recv(1)
    if answer != YES:
        raise UnreachableError(f"{where} does not speak TLS: it answered {answer!r}")
