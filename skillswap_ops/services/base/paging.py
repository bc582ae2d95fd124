"""Pages: a cursor says after which row the next page begins, whatever was added meanwhile."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.problems import ApiError, FieldProblem

Document = dict[str, Any]
LARGEST = 100


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: its time, and its id where several have the same."""

    at: datetime
    key: str

    def text(self) -> str:
        """What a client gets and sends back unread."""
        milliseconds = round(self.at.timestamp() * 1000)
        raw = json.dumps([milliseconds, self.key], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse(text: str) -> Cursor:
    """A client's cursor. Raises ApiError (422)."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        milliseconds, key = json.loads(raw)
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
        return Cursor(at, str(UUID(str(key))))
    except (ValueError, TypeError, OverflowError, OSError, binascii.Error) as error:
        field = FieldProblem(where="query.cursor", reason="must be a cursor of an earlier page")
        raise ApiError(problems.INVALID, "the cursor is not one of ours", fields=(field,)) from (
            error
        )


def after(cursor: Cursor, time: str, key: str, *, newest_first: bool = False) -> Document:
    """MongoDB's filter for the rows behind the cursor, in the order of (`time`, `key`)."""
    beyond = "$lt" if newest_first else "$gt"
    return {
        "$or": [
            {time: {beyond: cursor.at}},
            {time: cursor.at, key: {beyond: cursor.key}},
        ]
    }


def next_cursor(rows: list[Document], limit: int, time: str, key: str) -> str | None:
    """The cursor behind a page's rows; None where the page was not full."""
    if len(rows) < limit:
        return None
    return Cursor(rows[-1][time], rows[-1][key]).text()
