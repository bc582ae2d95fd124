"""What a trial is, and what becomes of one: a reason why the requirement does not hold, or none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pymongo.errors import BulkWriteError, PyMongoError

from cluster.errors import OpsError, UnreachableError
from cluster.schema.findings import Outcome, Proof
from cluster.schema.types import Store
from mongo.client import as_ops_error
from mongo.outcomes import code_of

Trial = Callable[[], str]  # "" where the requirement holds

ROUTERS = "the routers"
# A router's answer for a shard that it cannot reach (src/mongo/base/error_codes.yml).
UNREACHED = frozenset({6, 7, 89, 133, 202})


@dataclass(frozen=True)
class Line:
    """A requirement of an entity ("": of the whole cluster) and how it is tried."""

    entity: str
    requirement: str
    trial: Trial

    def proof(self, reason: str) -> Proof:
        """What a reason, or none, makes of it."""
        return proof(self.entity, self.requirement, reason)


def proof(entity: str, requirement: str, reason: str) -> Proof:
    """The requirement holds where there is no reason."""
    outcome = Outcome.FAILED if reason else Outcome.PASSED
    return Proof(Store.MONGO, entity, requirement, outcome, reason)


def run(lines: Iterable[Line]) -> list[Proof]:
    """Try every line. Once a server is silent the rest of them are not tried, and say why."""
    proofs, silent = [], ""
    for line in lines:
        reason = silent
        if not silent:
            reason, silent = tried(line.trial)
        proofs.append(line.proof(reason))
    return proofs


def tried(trial: Trial) -> tuple[str, str]:
    """The reason why it failed, and the reason again where it is a silent server."""
    try:
        return trial(), ""
    except BulkWriteError as error:
        first = next(iter(error.details["writeErrors"]), {"errmsg": str(error)})
        return f"{ROUTERS}: {first['errmsg']}", ""
    except PyMongoError as error:
        found = as_ops_error(ROUTERS, error)
        silent = code_of(error) in UNREACHED or isinstance(found, UnreachableError)
    except OpsError as error:
        found, silent = error, isinstance(error, UnreachableError)
    return found.message, found.message if silent else ""
