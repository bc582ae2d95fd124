"""The password of a proxy's statistics: a list of its own, changed under the running HAProxy.

A reload would have the old process end what is left of its sessions after `hard-stop-after`.
"""

import re
from pathlib import Path

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from cluster.server import ConfigFile
from postgres import control_socket, names

FILE = "operators.acl"


def path(context: Context, node: Node) -> Path:
    """The file of a proxy's operators, by which HAProxy knows the list too."""
    return context.layout.conf(node) / FILE


def file(context: Context) -> ConfigFile:
    """One password a line, without names: they are in the configuration."""
    text = names.password(context, names.STATS_USER) + "\n"
    return ConfigFile(FILE, text, secret=True, live=True)


def take(context: Context, node: Node, *passwords: str) -> None:
    """Have a running proxy take these passwords and no other, at once.

    https://docs.haproxy.org/2.6/management.html#9.3 (prepare acl, add acl, commit acl)
    """
    known, control = path(context, node), context.layout.run(node) / names.HAPROXY_SOCKET
    said = control_socket.ask(control, f"prepare acl {known}\n", "New version created")
    found = re.search(r"created: (\d+)", said)
    if found is None:
        raise OpsError(f"{node.name} does not say which list it has begun: {said.strip()[:200]}")
    version = found[1]
    lines = [f"add acl @{version} {known} {password}" for password in passwords]
    for line in (*lines, f"commit acl @{version} {known}"):
        if control_socket.ask(control, f"{line}\n").strip():  # it says nothing of what it has done
            raise OpsError(f"{node.name} refuses to {' '.join(line.split()[:2])}")
