"""What was acknowledged against what was read back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.drill.contracts import OpIds
from cluster.drill.history import NO_INTENT, Flags, History
from cluster.drill.ledger import SEQUENCE_BITS, SEQUENCE_MASK, op_id
from cluster.drill.outcome import Outcome


@dataclass(frozen=True)
class Counts:
    """How many of a stream's operations ended how."""

    acked: int
    failed: int
    unknown: int
    unsent: int


@dataclass(frozen=True)
class Sets:
    """A stream's operations against what was read: the ids that break a promise.

    `lost`: acknowledged and not read. `phantom`: read and never attempted. `duplicate`: read more
    than once. `resurrected`: read although the error proved that it had not executed, or it was
    never sent. `recovered` counts the unknown ones that were read: they are nobody's fault.
    """

    read: int
    recovered: int
    lost: OpIds
    phantom: OpIds
    duplicate: OpIds
    resurrected: OpIds

    def defects(self, limit: int) -> tuple[int, ...]:
        """The ids of all that is wrong, at most `limit` of each kind."""
        kinds = (self.lost, self.phantom, self.duplicate, self.resurrected)
        return tuple(op for ids in kinds for op in ids[:limit].tolist())


def count(history: History) -> Counts:
    """Count a stream's operations by outcome."""
    acked, failed, lost_touch, never = (
        int(np.count_nonzero(history.having(outcome)))
        for outcome in (Outcome.ACKED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNSENT)
    )
    return Counts(acked, failed, lost_touch, never)


def compare(history: History, read: OpIds) -> Sets:
    """Compare a stream's history with all rows that were read back, repeats included."""
    sequence = read & SEQUENCE_MASK
    own = (read >> SEQUENCE_BITS == history.number) & (sequence < len(history))
    mine = sequence if own.all() else sequence[own]
    present = np.zeros(len(history), np.bool_)
    present[mine] = True
    attempted = history.outcome != NO_INTENT
    never_ran = history.having(Outcome.FAILED, Outcome.UNSENT)
    return Sets(
        read=len(read),
        recovered=int(np.count_nonzero(present & history.having(Outcome.UNKNOWN))),
        lost=_ids(history, history.having(Outcome.ACKED) & ~present),
        phantom=np.unique(np.concatenate((read[~own], _ids(history, present & ~attempted)))),
        duplicate=_ids(history, _repeated(mine, present)),
        resurrected=_ids(history, present & never_ran),
    )


def _ids(history: History, chosen: Flags) -> OpIds:
    ids: OpIds = np.flatnonzero(chosen).astype(np.int64) | op_id(history.number, 0)
    return ids


def _repeated(sequence: npt.NDArray[np.int64], present: Flags) -> Flags:
    if len(sequence) == np.count_nonzero(present):  # the usual case, without a count per id
        return np.zeros(len(present), np.bool_)
    repeated: Flags = np.bincount(sequence, minlength=len(present)) > 1
    return repeated
