"""A table of nft's own for each partition: what is dropped between two cgroups of this machine."""

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import MissingPrerequisiteError, OpsError

ROOT_OF_PATHS = Path("/sys/fs/cgroup")  # nft resolves the paths of cgroups below it
SECONDS = 30


@dataclass(frozen=True, order=True)
class Flow:
    """One direction of a TCP connection."""

    source: str
    source_port: int
    destination: str
    destination_port: int

    @property
    def back(self) -> "Flow":
        """The other direction."""
        return Flow(self.destination, self.destination_port, self.source, self.source_port)

    def __str__(self) -> str:
        return f"{self.source} . {self.source_port} . {self.destination} . {self.destination_port}"


@dataclass(frozen=True)
class Side:
    """The processes of one cgroup, and the addresses that they may no longer send to."""

    group: Path
    forbidden: tuple[str, ...]


def ruleset(table: str, tree: Path, sides: Iterable[Side], flows: Collection[Flow]) -> str:
    """The table as nft reads it; takes the place of one of the same name.

    A socket belongs for ever to the cgroup in which it was opened: those of before are dropped by
    their addresses and ports.
    """
    drops = "\n".join(_drop(side, tree) for side in sides)
    old = f"    elements = {{ {', '.join(map(str, sorted(flows)))} }}\n" if flows else ""
    return f"""\
add table ip {table}
delete table ip {table}
table ip {table} {{
  set old {{
    type ipv4_addr . inet_service . ipv4_addr . inet_service
{old}  }}
  chain output {{
    type filter hook output priority 0; policy accept;
    ip saddr . tcp sport . ip daddr . tcp dport @old counter drop
{drops}
  }}
}}
"""


def _drop(side: Side, tree: Path) -> str:
    path, level = side.group.relative_to(ROOT_OF_PATHS), len(side.group.relative_to(tree).parts)
    addresses = ", ".join(side.forbidden)
    return f'    socket cgroupv2 level {level} "{path}" ip daddr {{ {addresses} }} counter drop'


def more_flows(table: str, flows: Collection[Flow]) -> str:
    """What adds connections to those that a table cuts."""
    return f"add element ip {table} old {{ {', '.join(map(str, sorted(flows)))} }}\n"


def lacks(tree: Path) -> str:
    """Why rules of that kind cannot be made here, "" if they can; asks the kernel, makes none."""
    if _program() is None:
        return "cutting the network needs nft: install nftables"
    if not tree.is_relative_to(ROOT_OF_PATHS):
        return f"cutting the network needs the cgroup v2 tree below {ROOT_OF_PATHS}: it is {tree}"
    relative = tree.relative_to(ROOT_OF_PATHS)
    text = (
        "table ip sso_check { chain output { type filter hook output priority 0;\n"
        f'socket cgroupv2 level 1 "{relative}" counter drop\n}}\n}}\n'
    )
    ended = _nft(["-c", "-f", "-"], text)
    if ended.returncode:
        return f"cutting the network needs rules on cgroups: nft says {_reason(ended.stderr)}"
    return ""


def apply(text: str) -> None:
    """Load rules, all or none. Raises OpsError with nft's own words."""
    ended = _nft(["-f", "-"], text)
    if ended.returncode:
        raise OpsError(f"nft refused the rules: {_reason(ended.stderr)}")


def tables(prefix: str) -> tuple[str, ...]:
    """The tables whose names begin so."""
    listed = json.loads(_nft(["-j", "list", "tables"]).stdout or '{"nftables": []}')
    names = [entry["table"]["name"] for entry in listed["nftables"] if "table" in entry]
    return tuple(name for name in names if name.startswith(prefix))


def drop_table(table: str) -> None:
    """Remove a table. Idempotent."""
    apply(f"add table ip {table}\ndelete table ip {table}\n")


def dropped(table: str) -> int:
    """How many packets a table has dropped."""
    listed = json.loads(_nft(["-j", "list", "table", "ip", table]).stdout)
    rules = [entry["rule"]["expr"] for entry in listed["nftables"] if "rule" in entry]
    return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


def _program() -> str | None:
    # An ordinary shell of root's may not have it on its path.
    return shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _nft(arguments: list[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    program = _program()
    if program is None:
        raise MissingPrerequisiteError("there is no nft on this machine", "install nftables")
    return subprocess.run(
        [program, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _reason(stderr: str) -> str:
    return next((line.strip() for line in stderr.splitlines() if line.strip()), "nothing")
