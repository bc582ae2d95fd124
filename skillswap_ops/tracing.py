"""OpenTelemetry traces of the tool's own work: a span a command; its steps, and a drill's phases.

They are sent by OTLP over HTTP to the collector that the environment names, as
https://opentelemetry.io/docs/specs/otel/protocol/exporter/ says; where it names none, nothing is
recorded. A collector that is gone costs a warning and FLUSH_SECONDS, never the command's work.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cluster.drill.report import RunSummary

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
FLUSH_SECONDS = 3.0  # so long the end of a command waits for a collector, unless TIMEOUT says so
NAME = "skillswap-ops"


def wanted() -> bool:
    """Whether the environment names a collector."""
    return any(os.environ.get(name) for name in ENDPOINTS)


@contextmanager
def traced(cli: click.Group, words: Sequence[str]) -> Iterator[None]:
    """Trace the block as the command of these words, where the environment names a collector.

    Of the words the command's own name alone is told: arguments may be anything.
    """
    if not wanted():
        yield
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from skillswap_ops import __version__

    complaints = _Complaints()
    exporter = OTLPSpanExporter(timeout=None if os.environ.get(TIMEOUT) else FLUSH_SECONDS)
    resource = Resource.create({"service.name": NAME, "service.version": __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        with trace.get_tracer(NAME).start_as_current_span(command_path(cli, words)):
            yield
    finally:
        provider.shutdown()
        complaints.tell()


class _Complaints(logging.Handler):
    """What the exporter complains of, told in one line at the end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last = ""
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last one."""
        self._last = record.getMessage().splitlines()[0]

    def tell(self) -> None:
        """Say it, if there was one."""
        if self._last:
            click.echo(f"Traces were not sent: {self._last}", err=True)


def command_path(cli: click.Group, words: Sequence[str]) -> str:
    """The command that these words name, without its options and arguments."""
    found: click.Command = cli
    path = [NAME]
    for word in words:
        if not isinstance(found, click.Group):
            break
        with click.Context(found) as ctx:
            inner = found.get_command(ctx, word)
        if inner is not None:
            found = inner
            path.append(word)
    return " ".join(path)


def tell_run(summary: "RunSummary") -> None:
    """A drill's run and its phases, as its evidence has them."""
    if not wanted():
        return
    from opentelemetry import trace
    from opentelemetry.trace import Status, StatusCode

    tracer, ends = trace.get_tracer(NAME), summary.began
    run = tracer.start_span(
        f"drill {summary.drill}",
        start_time=_nanoseconds(summary.began),
        attributes={"drill.run": summary.run, "drill.conclusion": summary.conclusion.value},
    )
    context = trace.set_span_in_context(run)
    for phase in summary.phases:
        begins = summary.began + timedelta(seconds=phase.began)
        ends = begins + timedelta(seconds=phase.seconds or 0)
        span = tracer.start_span(phase.name, context, start_time=_nanoseconds(begins))
        span.end(_nanoseconds(ends))
    if summary.exit_code:
        run.set_status(Status(StatusCode.ERROR, "; ".join(summary.reasons)))
    run.end(_nanoseconds(ends))


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
