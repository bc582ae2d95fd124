"""Which user servers run as, and what that user must be able to read."""

import os
import pwd
from dataclasses import dataclass

from cluster.errors import MissingPrerequisiteError


@dataclass(frozen=True)
class RunAs:
    """The servers' user; `name` is None where servers simply run as whoever calls."""

    name: str | None
    uid: int
    gid: int


def run_as(wanted: str) -> RunAs:
    """The servers' user: the caller, or for root the unprivileged user of the topology.

    PostgreSQL refuses to run as root, and nothing else here needs it.
    Raises MissingPrerequisiteError where that user does not exist.
    """
    if os.geteuid() != 0:
        return RunAs(None, os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(wanted)
    except KeyError:
        raise MissingPrerequisiteError(
            f"local.run_as: there is no user {wanted} on this machine",
            f"useradd --system --no-create-home --shell /usr/sbin/nologin {wanted}",
        ) from None
    return RunAs(entry.pw_name, entry.pw_uid, entry.pw_gid)
