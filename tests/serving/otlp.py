"""Who gets the server's traces: OpenTelemetry's own collector where `make collector-test` built it, else a small
receiver with OpenTelemetry's own message definitions.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from deploy import tools
from serving.conftest import free_ports, wait_until

IDS = ("traceId", "spanId", "parentSpanId")


@dataclass(frozen=True)
class Span:
    """One span, ids in hex."""

    trace: str
    span: str
    parent: str
    name: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    nanoseconds: int


@dataclass
class Received:
    """Everything that came in so far."""

    url: str
    spans: list[Span] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def trace(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]


def decode(body: bytes, kind: str) -> ExportTraceServiceRequest:
    """A request of either encoding; JSON has ids in hex where protobuf's own JSON has base64."""
    if kind == "application/x-protobuf":
        return ExportTraceServiceRequest.FromString(body)
    return json_format.ParseDict(_base64(json.loads(body)), ExportTraceServiceRequest())


def _base64(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in IDS else _base64(value)
            for key, value in part.items()
        }
    return [_base64(inner) for inner in part] if isinstance(part, list) else part


def spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for group in request.resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    _values(span.attributes),
                    resource,
                    span.end_time_unix_nano - span.start_time_unix_nano,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@contextmanager
def receiver(folder: Path) -> Iterator[Received]:
    """A receiver on a free port until the end of the block, behind the real collector where there is one.

    Args:
        folder: for files of the collector.
    """
    with _own() as received:
        if not tools.binary("otelcol").is_file():
            yield received
            return
        with _collector(folder, received.url) as url:
            received.url = url
            yield received


@contextmanager
def _collector(folder: Path, target: str) -> Iterator[str]:
    """The collector, which hands on what it understood; its address for OTLP over HTTP."""
    (port,) = free_ports(1)
    parts = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlphttp": {"traces_endpoint": target, "compression": "none"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    (folder / "collector.yaml").write_text(yaml.safe_dump(parts))
    log = folder / "collector.log"
    with log.open("wb") as output:
        command = [str(tools.binary("otelcol")), f"--config={folder / 'collector.yaml'}"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Everything is ready" in log.read_text() or process.poll() is not None, 30)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}/v1/traces"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _own() -> Iterator[Received]:

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                assert self.path == "/v1/traces", self.path
                received.spans += spans(decode(body, self.headers["Content-Type"]))
            except Exception as error:
                received.faults.append(f"{type(error).__name__}: {error}")
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """The test's output stays readable."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
