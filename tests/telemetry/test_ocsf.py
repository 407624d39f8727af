"""Receipts as OCSF events while they come: those of an export of the packet, but for the verifier's word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.views.pictures import take, write_lines, write_packet

from trio_egress.telemetry.ocsf import Ocsf
from trio_egress.views.ocsf import render_ocsf


def test_live_events_are_those_of_the_packet(tmp_path: Path) -> None:
    lines = write_lines()
    exported = [json.loads(text) for text in render_ocsf(take(write_packet(tmp_path, lines)))]
    live = Ocsf("packet", exported[-1]["metadata"]["correlation_uid"])
    events: list[dict[str, Any]] = [json.loads(event) for line in lines for event in live.feed(line)]
    assert live.finish() == []
    assert {event["metadata"]["labels"][0] for event in events} == {"evidence:live"}
    attempts = [event for event in exported if event["class_uid"] != 2004]
    for event in (*events, *attempts):
        del event["metadata"]["labels"], event["metadata"]["log_name"]
    assert len(events) >= 6
    assert events == attempts


def test_what_has_not_ended_is_told_at_the_end() -> None:
    lines = write_lines()
    live = Ocsf("packet", "run")
    assert [event for line in lines[:2] for event in live.feed(line)] == []
    (event,) = live.finish()
    assert json.loads(event)["class_uid"] == 4001


def test_what_is_no_receipt_is_no_event() -> None:
    assert Ocsf("packet", "run").feed(b"{}\n") == ()
