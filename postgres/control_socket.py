"""Commands to a running HAProxy, by its socket.

https://docs.haproxy.org/2.6/management.html#9.3
"""

import socket
from pathlib import Path

from cluster.errors import OpsError, UnreachableError

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 64 * 1024


def ask(control: Path, command: str, expected: str = "") -> str:
    """Its answer. Raises OpsError where `expected` is not in it, UnreachableError where none comes.

    The message names the first words of the command alone: more may be a secret.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_SECONDS)
            client.connect(str(control))
            client.sendall(command.encode("ascii"))
            answer = b""
            while part := client.recv(ANSWER_BYTES):
                answer += part
    except OSError as error:
        raise UnreachableError(f"{control} does not answer: {error}") from error
    said = answer.decode("utf-8", "replace")
    if expected not in said:
        words = " ".join(command.split()[:2])
        raise OpsError(f"HAProxy refuses {words}: {' '.join(said.split())[:200]}")
    return said
