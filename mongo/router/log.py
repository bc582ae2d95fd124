"""One JSON line on stdout for each notable event. Callers pass no secrets."""

import json
import logging
import sys
from datetime import UTC, datetime

_LOGGER = logging.getLogger("mongo.router")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = getattr(record, "fields", {})
        line = {"t": at, "s": record.levelname[0], "msg": record.getMessage(), **fields}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start(router: str) -> None:
    """Write this process's events to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    event("segment router starts", router=router)


def event(message: str, **fields: object) -> None:
    """Something that an operator may want to know."""
    _LOGGER.info(message, extra={"fields": fields})


def warning(message: str, **fields: object) -> None:
    """Something that an operator may have to act on."""
    _LOGGER.warning(message, extra={"fields": fields})


def failure(message: str, **fields: object) -> None:
    """A defect: logged with the exception being handled."""
    _LOGGER.exception(message, extra={"fields": fields})
