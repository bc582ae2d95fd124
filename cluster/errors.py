"""One error root, and a child for each thing the operator does next."""


class OpsError(Exception):
    """Something the operator can act on; printed without a traceback.

    `message` says what is wrong and where, `hint` what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInputError(OpsError):
    """An argument or a topology file is wrong: correct it (exit code 2)."""

    exit_code = 2


class MissingPrerequisiteError(OpsError):
    """A program, a package or a right is missing on this machine: install or grant it."""


class BusyError(OpsError):
    """Another run works on the same cluster: wait for it."""


class UnreachableError(OpsError):
    """A server does not answer in time: look at its log, or start it."""


class RefusedError(OpsError):
    """A safeguard said no: the message says which, the hint what would satisfy it."""


class InconclusiveError(OpsError):
    """The question could not be answered (exit code 3)."""

    exit_code = 3


class FaultNotUndoneError(OpsError):
    """A drill's fault is still in place: run `drill heal` (exit code 4)."""

    exit_code = 4
