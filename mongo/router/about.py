"""Answers that need nothing but the router itself."""

import os
import platform
import socket
import sys
import uuid
from collections.abc import Mapping
from typing import Any

from bson import Binary
from bson.binary import UUID_SUBTYPE

from mongo.router.document import STRING
from mongo.router.errors import Code, CommandError
from mongo.router.request import Fields, Request
from mongo.router.scram import MECHANISM
from mongo.router.table import SPECS

SESSION_MINUTES = 30


async def nothing(request: Request) -> Fields:
    """Yes."""
    del request
    return {}


async def logout(request: Request) -> Fields:
    """The connection is nobody's again."""
    request.identity.name = None
    return {}


async def whatsmyuri(request: Request) -> Fields:
    """Where the client comes from."""
    return {"you": request.identity.client}


async def list_commands(request: Request) -> Fields:
    """The commands that are known, and who answers them."""
    del request
    return {
        "commands": {
            spec.name: {"help": spec.goes.value, "adminOnly": spec.admin_only} for spec in SPECS
        }
    }


async def start_session(request: Request) -> Fields:
    """A session's id; sessions need no start."""
    del request
    return {"id": {"id": Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}, "timeoutMinutes": 30}


async def repl_set_get_status(request: Request) -> Fields:
    """Refused as by mongos."""
    del request
    raise CommandError(
        Code.CommandFailed,
        "replSetGetStatus is not supported through mongos",
        extra={"info": "mongos"},
    )


PARAMETERS: Mapping[str, Any] = {
    "authenticationMechanisms": [MECHANISM],
    "localLogicalSessionTimeoutMinutes": SESSION_MINUTES,
}


async def get_parameter(request: Request) -> Fields:
    """The few settings that a client may look at."""
    body = request.body
    everything = body.type_of("getParameter") == STRING and body.text("getParameter") == "*"
    found = {name: value for name, value in PARAMETERS.items() if everything or name in body}
    if not found:
        raise CommandError(Code.InvalidOptions, "no option found to get")
    return found


async def get_command_line(request: Request) -> Fields:
    """How this router was started."""
    del request
    return {"argv": ["python", "-m", "mongo.router", *sys.argv[1:]], "parsed": {}}


async def get_log(request: Request) -> Fields:
    """The log is on stdout, for the supervisor."""
    del request
    return {"totalLinesWritten": 0, "log": []}


async def host_info(request: Request) -> Fields:
    """The machine."""
    del request
    return {
        "system": {"hostname": socket.gethostname(), "numCores": os.cpu_count()},
        "os": {"type": platform.system(), "name": platform.platform()},
    }
