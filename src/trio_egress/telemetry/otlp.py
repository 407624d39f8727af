"""Events as OpenTelemetry logs: OTLP 1.x over HTTP, in its JSON form (POST to `/v1/logs`).

Rule 1: what the collector says is to be tried again (429, 502, 503, 504), and what didn't reach it, is, every
RETRY_SECONDS; what it refuses is dropped, and told once.
Rule 2: no credentials: they are for a collector on this machine to add.
Rule 3: nothing is imported once it runs, so what a name's look-up would load is loaded here.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401
import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from trio_egress import __version__
from trio_egress.errors import UsageError
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.telemetry.feed import Patience, Say

RETRY_SECONDS = 1.0
WAIT_SECONDS = 5.0
ANSWER_BYTES = 64 * 1024
AGAIN = frozenset({429, 502, 503, 504})

INFO, INFO2, WARN, ERROR, FATAL = 9, 10, 13, 17, 21
_OF_OCSF: Mapping[object, int] = {1: INFO, 2: INFO2, 3: WARN, 4: ERROR, 5: FATAL}
_WORDS = {INFO: "INFO", INFO2: "INFO2", WARN: "WARN", ERROR: "ERROR", FATAL: "FATAL"}
_TOLD = ("verdict", "layer", "transport", "method", "target", "decision_phase")
"""Members of a receipt that are attributes as well."""


class OtlpSink:
    """Raises UsageError for a URL that is none of a collector's."""

    def __init__(self, url: str, run_id: str, say: Say) -> None:
        self._say = say
        self._run_id = run_id
        self._told = False
        parts = urlsplit(url)
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if (
            parts.scheme not in ("http", "https")
            or not re.fullmatch(r"[A-Za-z0-9.:_-]+", host)
            or "@" in parts.netloc
        ):
            raise UsageError("give the URL of a collector, as otlp:http://localhost:4318")
        self._path = parts.path if parts.path.strip("/") else "/v1/logs"
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._way: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port or 4318, timeout=WAIT_SECONDS, context=context
            )
        else:
            self._way = http.client.HTTPConnection(host, port or 4318, timeout=WAIT_SECONDS)

    def send(self, events: Sequence[bytes], patience: Patience) -> int:
        if not events:
            return 0
        body = render_logs(events, self._run_id, time.time_ns())
        while not patience.over:
            sent = self._post(body, len(events))
            if sent is not None:
                return sent
            if patience.ending:
                break
            patience.pause(RETRY_SECONDS)
        return 0

    def close(self) -> None:
        self._way.close()

    def _post(self, body: bytes, count: int) -> int | None:
        """How many were taken; None where it is to be tried again."""
        try:
            self._way.request("POST", self._path, body, {"Content-Type": "application/json"})
            with self._way.getresponse() as answer:
                status, said = answer.status, answer.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._way.close()
            self._tell(f"{getattr(error, 'strerror', None) or type(error).__name__}: events wait")
            return None
        if answer.will_close or len(said) == ANSWER_BYTES:
            self._way.close()
        if status in AGAIN:
            self._tell(f"status {status}: events wait")
            return None
        if status // 100 != 2:
            self._tell(f"status {status}: events are dropped")
            return 0
        return count - min(count, _read_rejected(said))

    def _tell(self, why: str) -> None:
        if not self._told:
            self._say(why)
        self._told = True


def render_logs(events: Sequence[bytes], run_id: str, now_ns: int) -> bytes:
    """An ExportLogsServiceRequest; the body of each record is the event, byte for byte."""
    resource = {"service.name": "trio-egress", "service.version": __version__, "service.instance.id": run_id}
    scope = {"name": "trio_egress", "version": __version__}
    records = [_render_record(event.removesuffix(b"\n").decode(), now_ns) for event in events]
    logs = {
        "resource": {"attributes": _render_attributes(resource)},
        "scopeLogs": [{"scope": scope, "logRecords": records}],
    }
    return json.dumps({"resourceLogs": [logs]}, separators=(",", ":")).encode()


def _render_record(event: str, now_ns: int) -> dict[str, object]:
    value = json.loads(event)
    record = value.get("action_record")
    if isinstance(record, dict):
        time_ns = parse_timestamp(str(record.get("timestamp"))) or now_ns
        severity = WARN if record.get("verdict") == "block" else INFO
        told = {name: str(record[name]) for name in _TOLD if record.get(name)}
    else:
        time_ns = int(value.get("time") or 0) * 1_000_000 or now_ns
        severity = _OF_OCSF.get(value.get("severity_id"), INFO)
        told = {"class_name": str(value.get("class_name", ""))}
    return {
        "timeUnixNano": str(time_ns),
        "observedTimeUnixNano": str(now_ns),
        "severityNumber": severity,
        "severityText": _WORDS[severity],
        "body": {"stringValue": event},
        "attributes": _render_attributes({f"trio_egress.{name}": text for name, text in told.items()}),
    }


def _render_attributes(members: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"key": name, "value": {"stringValue": text}} for name, text in members.items()]


def _read_rejected(said: bytes) -> int:
    """How many records the collector did not take, though it took others."""
    try:
        return max(int(json.loads(said)["partialSuccess"]["rejectedLogRecords"]), 0)
    except (ValueError, KeyError, TypeError):
        return 0
