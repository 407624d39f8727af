"""packet.json's form: our tables and the JSON Schema say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import attrs
import jsonschema  # type: ignore[import-untyped]
import pytest
from tests.evidence.test_audit_packet import PACKET, POSTURE, RUN

from trio_egress.evidence import packet_form
from trio_egress.evidence.members import Presence, Table
from trio_egress.evidence.packet_form import POSTURE_WORDS, is_inside

SCHEMA: dict[str, Any] = json.loads(
    resources.files("trio_egress.evidence").joinpath("audit_packet_v0.schema.json").read_text("utf-8")
)


def test_the_schema_is_a_schema_and_fits_what_we_write() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(PACKET)
    assert packet_form.PACKET.find_misfits(PACKET) == []


def _walk(table: Table, schema: Mapping[str, Any], place: str = "") -> list[str]:
    """Every place at which table and schema name other members, or other required ones."""
    assert schema["additionalProperties"] is False, place
    required = {m.name for m in table.members if m.presence in (Presence.FILLED, Presence.PRESENT)}
    differ = [place] if set(table.by_name) != set(schema["properties"]) else []
    differ += [f"{place} required"] if required != set(schema["required"]) else []
    for member in table.members:
        if member.shape.table is not None:
            differ += _walk(member.shape.table, schema["properties"][member.name], f"{place}/{member.name}")
    return differ


def test_tables_and_schema_have_the_same_members() -> None:
    assert _walk(packet_form.PACKET, SCHEMA) == []


def _set(path: str, value: object) -> dict[str, Any]:
    packet: dict[str, Any] = json.loads(json.dumps(PACKET))
    *outer, last = path.split("/")
    inner = packet
    for name in outer:
        inner = inner[name]
    inner[last] = value
    return packet


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", "pipelock.audit_packet.v1"),
        ("extra", 1),
        ("run/extra", 1),
        ("summary/totals/extra", 1),
        ("generated_at", "yesterday"),
        ("run/provider", "jenkins"),
        ("run/agent_exit_code", "0"),
        ("run/agent_exit_code", True),
        ("policy/policy_hashes", ["a", "a"]),
        ("policy/config_snapshot_sha256", "00"),
        ("summary/receipt_count", -1),
        ("summary/totals/allow", "1"),
        ("summary/transports", {"dns": -1}),
        ("summary/transports", []),
        ("verifier/verdict", "maybe"),
        ("verifier/root_hash", "sha256:00"),
        ("posture/raw_socket_status", "perhaps"),
        ("posture/docker_socket_status", "perhaps"),
        ("posture/dns_udp_status", "perhaps"),
        ("posture/browser_proxy_status", "perhaps"),
        ("posture/websocket_frame_scanning", "perhaps"),
        ("posture/unsupported_paths", "none"),
        ("posture/agent_uid", "1000"),
        ("posture/runner_os", ""),
        ("artifacts/evidence", "/etc/passwd"),
        ("artifacts/evidence", "../evidence.jsonl"),
        ("artifacts/verifier", ""),
        ("receipts", []),
        ("scanner_config_snapshot", {}),
    ],
)
def test_tables_and_schema_refuse_the_same(path: str, value: object) -> None:
    packet = _set(path, value)
    assert packet_form.PACKET.find_misfits(packet) != []
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(packet)


@pytest.mark.parametrize(("verdict", "trusted"), [("valid", False), ("invalid", True), ("not_run", True)])
def test_the_schema_knows_that_trusted_means_valid(verdict: str, trusted: bool) -> None:
    packet = _set("verifier/verdict", verdict)
    packet["verifier"]["trusted"] = trusted
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(packet)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "...", "a b", "-", ".hidden", "ü"])
def test_a_path_inside_is_inside(path: str) -> None:
    assert is_inside(path)
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(_set("artifacts/verifier", path))


@pytest.mark.parametrize(
    "path", ["", "/", "/a", "a/", "a//b", ".", "./a", "..", "a/../b", "a/..", "C:a", "a\\b", "a\nb"]
)
def test_a_path_that_could_lead_out_is_not_inside(path: str) -> None:
    assert not is_inside(path)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(_set("artifacts/verifier", path))


@pytest.mark.parametrize("name", POSTURE_WORDS)
def test_a_posture_with_another_word_is_refused_when_it_is_made(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        attrs.evolve(POSTURE, **{name: "perhaps"})  # type: ignore[arg-type]


def test_a_run_at_an_unknown_provider_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="provider"):
        attrs.evolve(RUN, provider="jenkins")
