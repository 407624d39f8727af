"""Events as OpenTelemetry logs: read by OpenTelemetry's own message types, sent to a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from tests.views.pictures import write_lines

from trio_egress.errors import UsageError
from trio_egress.telemetry import otlp
from trio_egress.telemetry.feed import Patience
from trio_egress.telemetry.ocsf import Ocsf
from trio_egress.telemetry.otlp import OtlpSink, render_logs

Answer = tuple[int, bytes]
NOW_NS = 1_800_000_000_000_000_000


class Collector(HTTPServer):
    """Answers each request with the next of `answers`, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, b"{}")]
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/logs"
        assert self.headers["Content-Type"] == "application/json"
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def open_sink(collector: Collector, say: Callable[[str], None] = print) -> OtlpSink:
    return OtlpSink(f"http://127.0.0.1:{collector.server_port}", "run-1", say)


def test_the_protocols_own_types_read_what_is_sent(collector: Collector) -> None:
    lines = write_lines()
    sink = open_sink(collector)
    assert sink.send(lines, Patience()) == len(lines)
    sink.close()
    (body,) = collector.bodies
    request = json_format.Parse(body, ExportLogsServiceRequest())
    (resource,) = request.resource_logs
    told = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (told["service.name"], told["service.instance.id"]) == ("trio-egress", "run-1")
    records = resource.scope_logs[0].log_records
    assert [record.body.string_value.encode() + b"\n" for record in records] == lines
    verdicts = [json.loads(line)["action_record"]["verdict"] for line in lines]
    assert [record.severity_text for record in records] == [
        "WARN" if verdict == "block" else "INFO" for verdict in verdicts
    ]
    assert all(
        0 < record.time_unix_nano != record.observed_time_unix_nano for record in records
    )  # the receipt's own time


def test_ocsf_events_are_logs_with_their_own_severity() -> None:
    live = Ocsf("packet", "run")
    events = [event for line in write_lines() for event in live.feed(line)]
    request = json_format.Parse(render_logs(events, "run", NOW_NS), ExportLogsServiceRequest())
    records = request.resource_logs[0].scope_logs[0].log_records
    assert {record.severity_number for record in records} == {otlp.INFO, otlp.WARN}


def test_a_collector_that_is_busy_is_asked_again(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "RETRY_SECONDS", 0.01)
    collector.answers[:0] = [(503, b""), (429, b"")]
    said: list[str] = []
    sink = open_sink(collector, said.append)
    assert sink.send(write_lines()[:2], Patience()) == 2
    sink.close()
    assert len(collector.bodies) == 3
    assert said == ["status 503: events wait"]


def test_what_the_collector_refuses_is_dropped_and_told_once(collector: Collector) -> None:
    collector.answers = [(400, b"no")]
    said: list[str] = []
    sink = open_sink(collector, said.append)
    assert [sink.send(write_lines()[:2], Patience()) for _ in range(2)] == [0, 0]
    sink.close()
    assert len(collector.bodies) == 2
    assert said == ["status 400: events are dropped"]


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (b'{"partialSuccess": {"rejectedLogRecords": "1"}}', 1),
        (b'{"partialSuccess": {"rejectedLogRecords": 99}}', 0),
        (b'{"partialSuccess": {}}', 2),
        (b"[]", 2),
        (b"", 2),
    ],
)
def test_what_a_collector_took_in_part_is_counted(collector: Collector, answer: bytes, taken: int) -> None:
    collector.answers = [(200, answer)]
    sink = open_sink(collector)
    assert sink.send(write_lines()[:2], Patience()) == taken
    sink.close()


def test_at_the_end_a_collector_that_is_not_there_is_tried_once() -> None:
    patience, said = Patience(), list[str]()
    patience.end(3600)
    sink = OtlpSink("http://127.0.0.1:1", "run-1", said.append)
    assert sink.send(write_lines()[:2], patience) == 0
    assert said == ["Connection refused: events wait"]


@pytest.mark.parametrize(
    "url",
    ["localhost:4318", "grpc://localhost", "http://", "http://user:pw@host", "http://host:x", "http://a b/"],
)
def test_what_is_no_collectors_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="URL of a collector"):
        OtlpSink(url, "run-1", print)
