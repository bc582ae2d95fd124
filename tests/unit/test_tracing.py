"""Traces of commands and steps, sent to a collector that decodes what it is given."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cluster.drill.runner import Options, run_drill
from skillswap_ops.main import cli
from skillswap_ops.tracing import command_path, tell_run
from tests.unit.drill_fakes import RULES, FakeCluster, drill, quicken

STEPS = """
import sys
from click import Group
from cluster.errors import OpsError
from cluster.plan import Step, done, execute, todo
from skillswap_ops.tracing import traced

def fails():
    raise OpsError("no disk")

with traced(Group("skillswap-ops"), ["provision"]):
    execute([
        Step("there", "PostgreSQL", "", lambda: done("is there"), fails),
        Step("breaks", "MongoDB", "", lambda: todo("is not"), fails),
        Step("after", "MongoDB", "", lambda: todo("is not"), fails, needs=("breaks",)),
    ], lambda _: None)
"""


class Collector(BaseHTTPRequestHandler):
    """Keeps every span that it is sent."""

    spans: list[Span]

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            raise NotImplementedError
        for resource in ExportTraceServiceRequest.FromString(sent).resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Span]]]:
    spans: list[Span] = []
    kind = type("Kind", (Collector,), {"spans": spans})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
        thread.join()


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_command_is_one_span_without_its_arguments(
    collector: tuple[str, list[Span]],
) -> None:
    endpoint, spans = collector
    words = ("-m", "skillswap_ops.main", "topology", "check", "/nowhere/topology.yaml")
    ended = run(*words, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert ended.returncode == 2
    [span] = spans
    assert span.name == "skillswap-ops topology check"
    assert span.status.code == Status.STATUS_CODE_ERROR


def test_steps_lie_below_their_command(collector: tuple[str, list[Span]]) -> None:
    endpoint, spans = collector
    ended = run("-c", STEPS, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{endpoint}/v1/traces")
    assert not ended.stderr
    by_name = {span.name: span for span in spans}
    whole = by_name.pop("skillswap-ops")
    assert {span.parent_span_id for span in by_name.values()} == {whole.span_id}
    told = {
        name: {each.key: each.value.string_value for each in span.attributes}["step.outcome"]
        for name, span in by_name.items()
    }
    assert told == {"there": "unchanged", "breaks": "failed", "after": "skipped"}
    assert by_name["breaks"].status.message == "no disk"
    assert by_name["there"].status.code == Status.STATUS_CODE_UNSET


def test_a_collector_that_is_gone_costs_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    words = ("-m", "skillswap_ops.main", "topology", "show")
    ended = run(*words, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert ended.returncode == 0
    [line] = ended.stderr.splitlines()
    assert line.startswith("Traces were not sent: ")


def test_without_a_collector_nothing_is_loaded() -> None:
    seen = "import sys; from skillswap_ops.main import main; sys.argv[1:] = ['topology', 'show']\n"
    seen += "try: main()\nfinally: print('opentelemetry.sdk' in sys.modules, file=sys.stderr)"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ""}
    assert run("-c", seen, **environment).stderr.strip() == "False"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["drill", "run", "pg-node-kill", "--yes"], "skillswap-ops drill run"),
        (["provision", "--home", "/secret"], "skillswap-ops provision"),
        (["nothing", "known"], "skillswap-ops"),
        ([], "skillswap-ops"),
    ],
)
def test_a_path_names_commands_alone(words: list[str], path: str) -> None:
    assert command_path(cli, words) == path


def test_a_drill_that_failed_is_a_span_over_its_phases(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    quicken(monkeypatch)
    summary = run_drill(
        drill(FakeCluster(lose=3)), tmp_path, Options(seed=2, tool="0", rules=RULES)
    )
    tell_run(summary)
    *phases, whole = kept.get_finished_spans()
    assert whole.name == f"drill {summary.drill}"
    assert whole.attributes == {"drill.run": summary.run, "drill.conclusion": "fail"}
    assert not whole.status.is_ok
    assert [phase.name for phase in phases] == [phase.name for phase in summary.phases]
    assert all(phase.parent == whole.context for phase in phases)
    assert whole.start_time == phases[0].start_time
    assert whole.end_time == phases[-1].end_time
