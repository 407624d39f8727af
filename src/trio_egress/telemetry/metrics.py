"""Figures of a run in the text format of Prometheus (version 0.0.4).

Counted from receipts when they are asked for, so that what stands here and what stands in the packet are the same.
Nothing of what the agent writes becomes a label: their values are words of ours, so their number is bounded.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from trio_egress import __version__
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.scan_read import read_findings
from trio_egress.evidence.session import INTERCEPTED, OWN_TRANSPORTS
from trio_egress.telemetry.feed import Feed

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of one fdatasync: from a disk with a cache that survives to one that is failing."""

METRICS: Mapping[str, tuple[str, str]] = {
    "run_info": ("gauge", "The run that this is about; always 1."),
    "run_start_timestamp_seconds": ("gauge", "When the run began, as Unix time."),
    "attempts_total": (
        "counter",
        "Attempts by verdict, the layer that decided, and transport; packets and system calls each once.",
    ),
    "attempts_open": ("gauge", "Allowed attempts that have not ended: connections, requests."),
    "sent_bytes_total": ("counter", "Bytes to upstreams, of attempts that have ended."),
    "received_bytes_total": ("counter", "Bytes from upstreams, of attempts that have ended."),
    "findings_total": ("counter", "What scans found, by kind and what was done."),
    "receipts_written_total": ("counter", "Receipts on disk, the session's own included."),
    "fsync_duration_seconds": (
        "histogram",
        "How long it took to write a group of receipts and make it durable.",
    ),
    "events_queue_length": ("gauge", "Receipts that wait to be handed on (--events)."),
    "events_sent_total": ("counter", "Events that were handed on (--events)."),
    "events_dropped_total": ("counter", "Events that were not handed on, and never will be (--events)."),
}
"""Type and meaning, without the prefix."""

PREFIX = "trio_egress_"

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Fed from the run's threads, rendered from any."""

    def __init__(self, run_id: str, started_ns: int, feeds: Sequence[Feed] = ()) -> None:
        self._run_id = run_id
        self._started_ns = started_ns
        self._feeds = feeds
        self._lock = threading.Lock()
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()
        self._open = 0
        self._bytes = {"bytes_up": 0, "bytes_down": 0}
        self._receipts = 0
        self._syncs = [0] * (len(BUCKETS) + 1)
        self._sync_seconds = 0.0

    def note(self, draft: Draft) -> None:
        """A receipt that was asked for."""
        if draft.transport in OWN_TRANSPORTS:
            return
        with self._lock:
            for finding in read_findings(draft.facts):
                self._findings[finding.kind, finding.action] += finding.count
            if not draft.parent_id:
                self._note_attempt(draft)

    def take(self, lines: Sequence[bytes], seconds: float) -> None:
        """Receipts that are on disk now, and how long that took."""
        with self._lock:
            self._receipts += len(lines)
            self._syncs[bisect_left(BUCKETS, seconds)] += 1
            self._sync_seconds += seconds

    def _note_attempt(self, draft: Draft) -> None:
        self._open += {"intent": 1, "outcome": -1}.get(draft.phase, 0)
        denied = draft.verdict == "block"
        if denied or (draft.phase != "outcome" and draft.facts.get("tls") != INTERCEPTED):
            verdict = "denied" if denied else "allowed"
            self._attempts[verdict, draft.layer, draft.transport] += _count(draft, "count", 1)
        if draft.phase == "outcome":
            for name in self._bytes:
                self._bytes[name] += _count(draft, name, 0)

    def render(self) -> str:
        with self._lock:
            samples = dict(self._list())
        return "".join(_render_metric(name, samples.get(name, ())) for name in METRICS)

    def _list(self) -> Iterator[tuple[str, list[tuple[str, Labels, float]]]]:
        """For each metric its samples: a suffix of the name, labels, a value."""
        info = _label(("run_id", "version"), (self._run_id, __version__))
        yield "run_info", [("", info, 1)]
        yield "run_start_timestamp_seconds", _one(self._started_ns / 1e9)
        names = ("verdict", "layer", "transport")
        yield "attempts_total", [("", _label(names, key), n) for key, n in sorted(self._attempts.items())]
        yield "attempts_open", _one(self._open)
        yield "sent_bytes_total", _one(self._bytes["bytes_up"])
        yield "received_bytes_total", _one(self._bytes["bytes_down"])
        kinds = ("kind", "action")
        yield "findings_total", [("", _label(kinds, key), n) for key, n in sorted(self._findings.items())]
        yield "receipts_written_total", _one(self._receipts)
        yield "fsync_duration_seconds", list(self._list_syncs())
        figures = (("queue_length", "queued"), ("sent_total", "sent"), ("dropped_total", "dropped"))
        for name, attribute in figures:
            yield (
                f"events_{name}",
                [("", _label(("to",), (feed.name,)), getattr(feed, attribute)) for feed in self._feeds],
            )

    def _list_syncs(self) -> Iterator[tuple[str, Labels, float]]:
        total = 0
        for bound, count in zip((*map(repr, BUCKETS), "+Inf"), self._syncs, strict=True):
            total += count
            yield "_bucket", (("le", bound),), total
        yield "_sum", (), self._sync_seconds
        yield "_count", (), total


def _one(value: float) -> list[tuple[str, Labels, float]]:
    return [("", (), value)]


def _label(names: Sequence[str], values: Sequence[str]) -> Labels:
    return tuple(zip(names, values, strict=True))


def _count(draft: Draft, name: str, otherwise: int) -> int:
    value = draft.facts.get(name, otherwise)
    return value if isinstance(value, int) else otherwise


def _render_metric(name: str, samples: Iterable[tuple[str, Labels, float]]) -> str:
    kind, meaning = METRICS[name]
    head = f"# HELP {PREFIX}{name} {meaning}\n# TYPE {PREFIX}{name} {kind}\n"
    return head + "".join(f"{PREFIX}{name}{end}{_render_labels(of)} {value}\n" for end, of, value in samples)


def _render_labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
