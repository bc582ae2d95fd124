"""Structured logs: one JSON object a line on stderr, with the request's id."""

import logging
import sys

import structlog
from structlog.typing import FilteringBoundLogger, Processor

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure(level: str, **always: str) -> None:
    """Send everything, the libraries' warnings too, to stderr as JSON with the fields `always`."""

    def ours(_logger: object, _name: str, event: structlog.typing.EventDict) -> dict[str, object]:
        return {**always, **event}

    structlog.configure(
        processors=[*_SHARED, ours, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, ours],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def logger() -> FilteringBoundLogger:
    """The log of the running service."""
    log: FilteringBoundLogger = structlog.get_logger()
    return log
