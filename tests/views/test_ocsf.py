"""What an OCSF export says, checked by the schema of OCSF itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from tests.evidence.specimens import Scribe
from tests.pages.specimens import write_messages
from tests.views.pictures import (
    take,
    take_broken,
    take_hostile,
    verify_unreadable,
    write_lines,
    write_packet,
)

from trio_egress.views.ocsf import OCSF_VERSION, PROFILES, render_ocsf
from trio_egress.views.picture import Picture

Event = dict[str, Any]


@cache
def load_validator(class_uid: int) -> Draft202012Validator:
    """Of one class of events, as OCSF publishes it: nothing that it doesn't name may stand in an event."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))
    name = schema.lookup_class_name_from_uid(class_uid=class_uid)
    return Draft202012Validator(schema.get_class_schema(class_name=name, profiles=list(PROFILES)))


def find_misfits(event: Mapping[str, Any]) -> list[str]:
    return [error.message for error in load_validator(event["class_uid"]).iter_errors(event)]


def export(picture: Picture) -> list[Event]:
    """The events, each of which is an event of its class."""
    lines = "".join(render_ocsf(picture)).splitlines()
    assert all(line.isascii() for line in lines)
    events: list[Event] = [json.loads(line) for line in lines]
    assert [misfit for event in events for misfit in find_misfits(event)] == []
    return events


@pytest.fixture
def events(tmp_path: Path) -> list[Event]:
    return export(take(write_packet(tmp_path, write_lines())))


def test_the_schema_refuses_what_is_no_event(events: list[Event]) -> None:
    assert find_misfits({**events[0], "surprise": 1})
    assert find_misfits({**events[0], "activity_id": 8})
    assert find_misfits({name: value for name, value in events[0].items() if name != "metadata"})


def test_each_attempt_is_one_event_of_its_class(events: list[Event]) -> None:
    told = [
        (event["type_uid"], event["activity_name"], event["action"], event["disposition"]) for event in events
    ]
    assert told == [
        (400106, "Traffic", "Allowed", "Allowed"),
        (400203, "Get", "Allowed", "Allowed"),
        (400206, "Post", "Denied", "Blocked"),
        (400105, "Refuse", "Denied", "Blocked"),
        (400301, "Query", "Denied", "Blocked"),
        (400105, "Refuse", "Denied", "Dropped"),
        (100304, "Invoke", "Denied", "Blocked"),
    ]
    assert [event["count"] for event in events] == [1, 1, 1, 1, 20, 3, 2]
    assert {tuple(event["metadata"]["labels"]) for event in events} == {("evidence:valid",)}


def test_an_allowed_attempt_tells_where_it_went_and_how_much(events: list[Event]) -> None:
    tls, web = events[:2]
    assert tls["dst_endpoint"] == {"hostname": "api.example.com", "ip": "192.0.2.1", "port": 443}
    assert tls["traffic"] == {"bytes": 2100, "bytes_out": 100, "bytes_in": 2000}
    assert tls["end_time"] >= tls["start_time"] > 1_800_000_000_000
    assert web["dst_endpoint"]["ip"] == "2001:db8::1"
    assert web["http_request"]["url"]["path"] == "/v1"
    assert web["http_response"] == {"code": 204}
    assert tls["firewall_rule"]["uid"] == "egress[0] 'api.example.com' (line 5)"


def test_a_method_that_the_schema_does_not_know_names_the_activity(tmp_path: Path) -> None:
    scribe = Scribe().open()
    facts = {**scribe.draft().facts, "proto": "http"}
    scribe.block(target="http://evil.example:80/", method="PROPFIND", facts=facts)
    (event,) = export(take(write_packet(tmp_path, scribe.close().lines)))
    assert (event["activity_id"], event["activity_name"]) == (99, "PROPFIND")
    assert "http_method" not in event["http_request"]


def test_what_the_kernel_refused_names_its_protocol_and_its_call(events: list[Event]) -> None:
    udp, call = events[5:]
    assert udp["connection_info"]["protocol_num"] == 17
    assert udp["dst_endpoint"] == {"ip": "203.0.113.7", "port": 9999}
    assert call["kernel"] == {"name": "bpf", "type_id": 2, "type": "System Call"}
    assert call["unmapped"]["detail"] == "BPF_PROG_LOAD"


def test_what_an_mcp_server_and_its_client_say_is_a_call(tmp_path: Path) -> None:
    *calls, denied = export(take(write_packet(tmp_path, write_messages())))[-4:]
    assert [(each["class_uid"], each["activity_name"], each["action"]) for each in calls] == [
        (6003, "tools/call", "Allowed"),
        (6003, "tools/call", "Allowed"),
        (6003, "x", "Allowed"),
    ]
    assert denied["api"] == {"operation": "tools/call", "service": {"name": "rm"}}
    assert denied["src_endpoint"] == {"name": "mcp client"}
    assert "connection_info" not in denied


def test_a_packet_that_does_not_verify_says_so_first_and_in_every_event(tmp_path: Path) -> None:
    events = export(take_broken(tmp_path))
    verdict, *others = events
    assert (verdict["class_uid"], verdict["severity"]) == (2004, "Critical")
    assert verdict["message"].startswith("THE PACKET DOES NOT VERIFY")
    assert {event["finding_info"]["types"][0] for event in others if event["class_uid"] == 2004} >= {
        "chain.link"
    }
    assert any(event["class_uid"] == 4001 for event in others)
    assert {tuple(event["metadata"]["labels"]) for event in events} == {("evidence:invalid",)}


def test_whatever_stands_in_receipts_the_events_are_events(tmp_path: Path) -> None:
    events = export(take_hostile(tmp_path))
    texts = json.dumps(events, ensure_ascii=False)
    assert texts.isascii()
    assert texts.isprintable()
    assert "\\\\x1b[31m" in texts


def test_what_cannot_be_read_is_one_finding(tmp_path: Path) -> None:
    (event,) = export(verify_unreadable(tmp_path / "nowhere"))
    assert event["finding_info"]["title"].startswith("THE PACKET COULD NOT BE READ")
    assert "nowhere" in event["message"]


def test_a_secret_that_was_asked_for_by_another_weighs_more_than_another_denial(tmp_path: Path) -> None:
    scribe = Scribe().open().block("evil.example")
    scribe.append(scribe.draft("evil.example", verdict="block", layer="secret"))
    events = export(take(write_packet(tmp_path, scribe.close().lines)))
    assert [event["severity"] for event in events if event["class_uid"] == 4001] == ["Medium", "High"]
