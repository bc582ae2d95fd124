"""A server's change of state is not the router's: drivers must not take it for one.

A driver that reads NotWritablePrimary or ShutdownInProgress forgets the server that said so, which
would be the router. mongos shows such errors as HostUnreachable, which is as retryable (its
`RewriteStateChangeErrors`); so do we, and name the error in the message.
"""

from typing import Any

from mongo.router.document import Document, encode
from mongo.router.errors import Code
from mongo.router.failures import DOOR, INTERRUPTED

STATE_CHANGES = DOOR | INTERRUPTED
# Old drivers read these words in place of a code.
_PHRASES = {"not master": "(NOT_PRIMARY)", "node is recovering": "(NODE_IS_RECOVERING)"}
_ERRORS = ("writeErrors", "writeConcernError")


def cloaked(answer: Document) -> Document:
    """The answer without errors that tell of a server's state."""
    if answer.truth("ok") and not any(name in answer for name in _ERRORS):
        return answer
    fields = answer.decoded()
    errors = [fields, fields.get("writeConcernError"), *fields.get("writeErrors", ())]
    told = [each for each in errors if isinstance(each, dict) and each.get("code") in STATE_CHANGES]
    for error in told:
        _edit(error)
    return Document(encode(fields)) if told else answer


def _edit(error: dict[str, Any]) -> None:
    message = str(error.get("errmsg", ""))
    for phrase, instead in _PHRASES.items():
        message = message.replace(phrase, instead)
    error["errmsg"] = f"{message} ({Code(error['code']).name} on the shard)"
    error["code"] = int(Code.HostUnreachable)
    if "codeName" in error:
        error["codeName"] = Code.HostUnreachable.name
