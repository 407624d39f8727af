"""The figures of a run, read by the parser of Prometheus' own client library."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.session import INTERCEPTED, POLICY_TRANSPORT
from trio_egress.telemetry.feed import Feed, Lines
from trio_egress.telemetry.metrics import METRICS, PREFIX, Metrics
from trio_egress.telemetry.unix import UnixSink

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
ACTION = "018f0000-0000-7000-8000-000000000000"


def draft(phase: str = "", verdict: str = "allow", parent: str = "", **more: object) -> Draft:
    layer, transport = str(more.pop("layer", "rule")), str(more.pop("transport", "transparent"))
    return Draft(ACTION, "x", verdict, transport, phase, layer=layer, facts=more, parent_id=parent)


def read(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Each sample by its name, without the prefix, and the values of its labels."""
    samples: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(metrics.render()):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name.removeprefix(PREFIX), *sample.labels.values())
            samples[key] = sample.value
    return samples


def make() -> Metrics:
    return Metrics("run-1", 1_500_000_000)


def test_names_types_and_help_are_of_the_table_and_of_the_page() -> None:
    families = {family.name: family for family in text_string_to_metric_families(make().render())}
    # The parser leaves the ending of a counter to its samples.
    told = {name.removesuffix("_total"): (name, row) for name, row in METRICS.items()}
    assert {name.removeprefix(PREFIX) for name in families} == set(told)
    for name, family in families.items():
        whole, (kind, meaning) = told[name.removeprefix(PREFIX)]
        assert (family.type, family.documentation) == (kind, meaning)
        assert (kind == "counter") == whole.endswith("_total")
    page = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+?) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert {name.removeprefix(PREFIX): (kind, meaning) for name, kind, meaning in page} == METRICS


def test_attempts_are_counted_by_verdict_layer_and_transport() -> None:
    metrics = make()
    metrics.note(draft("intent"))
    metrics.note(draft("intent", tls=INTERCEPTED))
    metrics.note(draft(verdict="block", layer="default_deny"))
    metrics.note(draft(verdict="block", layer="kernel", transport="packet", count=7))
    metrics.note(draft(verdict="block", transport=POLICY_TRANSPORT))
    samples = read(metrics)
    assert samples["attempts_total", "allowed", "rule", "transparent"] == 1
    assert samples["attempts_total", "denied", "default_deny", "transparent"] == 1
    assert samples["attempts_total", "denied", "kernel", "packet"] == 7
    assert len([key for key in samples if key[0] == "attempts_total"]) == 3
    assert samples["attempts_open",] == 2


def test_bytes_are_those_of_attempts_that_have_ended() -> None:
    metrics = make()
    for _ in range(2):
        metrics.note(draft("intent"))
    metrics.note(draft("outcome", bytes_up=10, bytes_down=300))
    metrics.note(draft("outcome", "block", layer="scan", bytes_up=1, bytes_down=2))
    samples = read(metrics)
    assert (samples["sent_bytes_total",], samples["received_bytes_total",]) == (11, 302)
    assert samples["attempts_open",] == 0
    assert samples["attempts_total", "denied", "scan", "transparent"] == 1


def test_findings_are_counted_by_kind_and_what_was_done() -> None:
    finding = {
        "detector": "acme-token",
        "kind": "secret",
        "place": "body",
        "action": "block",
        "severity": "high",
        "commitment": f"[acme-token:{0:032x}]",
        "count": 3,
    }
    metrics = make()
    metrics.note(draft(verdict="block", parent=ACTION, findings=[finding]))
    samples = read(metrics)
    assert samples["findings_total", "secret", "block"] == 3
    assert not [key for key in samples if key[0] == "attempts_total"]


def test_times_to_disk_are_a_histogram() -> None:
    metrics = make()
    metrics.take([b"1\n", b"2\n"], 0.0005)
    metrics.take([b"3\n"], 0.3)
    metrics.take([b"4\n"], 99.0)
    samples = read(metrics)
    assert samples["receipts_written_total",] == 4
    buckets = [samples["fsync_duration_seconds_bucket", bound] for bound in ("0.0005", "0.25", "0.5", "10.0")]
    assert buckets == [1, 1, 2, 2]
    assert samples["fsync_duration_seconds_bucket", "+Inf"] == samples["fsync_duration_seconds_count",] == 3
    assert samples["fsync_duration_seconds_sum",] == 99.3005


def test_what_was_not_handed_on_is_told_by_where_it_should_have_gone(tmp_path: Path) -> None:
    name = 'unix:/a "b" \\ c\nd'
    feed = Feed(name, UnixSink(str(tmp_path / "nobody"), lambda text: None), Lines(), lambda text: None)
    feed.take([b"1\n"])
    feed.close()
    samples = read(Metrics("run-1", 0, [feed]))
    told = (samples[f"events_{part}", name] for part in ("queue_length", "sent_total", "dropped_total"))
    assert tuple(told) == (0, 0, 1)
