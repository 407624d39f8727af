"""The in-toto Statement of a run: what is in it, that it is one (by in-toto's own code), and what contradicts it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from tests.evidence.npm_sigstore import ask
from tests.evidence.specimens import KEY, STRANGER, Scribe, replay, seal_again
from tests.evidence.test_dsse import pem
from tests.evidence.test_packet import FACTS, make_packet

from trio_egress.evidence.dials import ROWS
from trio_egress.evidence.dsse import parse_envelope, render_bundle, render_envelope, sign_envelope
from trio_egress.evidence.packet_form import RunFacts
from trio_egress.evidence.report import Report
from trio_egress.evidence.sign import SigningKey
from trio_egress.evidence.statement import BUNDLE_NAME, PAYLOAD_TYPE, STATEMENT_NAME, render_statement
from trio_egress.evidence.verify import verify

Change = Callable[[dict[str, Any]], None]


def reach(scribe: Scribe, host: str, dialled: str, **members: Any) -> None:
    """An allowed attempt that was connected to an address."""
    intent = scribe.draft(host, phase="intent", layer="rule")
    scribe.append(intent)
    facts = {**intent.facts, "dialled": dialled, "bytes_up": 10, "bytes_down": 20, "duration_us": 5}
    scribe.append(attrs.evolve(intent, phase="outcome", facts=facts, **members))


def write_lines() -> list[bytes]:
    scribe = Scribe().open()
    reach(scribe, "api.example.com", "192.0.2.7:443")
    reach(scribe, "api.example.com", "192.0.2.7:443")
    reach(scribe, "api.example.com", "[2001:db8::7]:443")
    reach(scribe, "192.0.2.9", "192.0.2.9:22")
    reach(scribe, "reset.example", "192.0.2.10:80", verdict="block")
    scribe.block().allow("unreachable.example")
    return scribe.close().lines


def read(packet: Path) -> dict[str, Any]:
    statement: dict[str, Any] = json.loads(parse_envelope((packet / STATEMENT_NAME).read_bytes()).payload)
    return statement


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    make_packet(directory, write_lines())
    return directory


def judge(packet: Path) -> Report:
    return verify(packet, [KEY.public_hex])


def codes(packet: Path) -> set[str]:
    return {finding.code for finding in judge(packet).findings}


def sign_again(packet: Path, change: Change, key: SigningKey = KEY, kind: str = PAYLOAD_TYPE) -> None:
    """What a dishonest holder of the key could write: another statement, bundle and manifest."""
    statement = read(packet)
    change(statement)
    envelope = sign_envelope(kind, json.dumps(statement).encode(), key)
    (packet / STATEMENT_NAME).write_bytes(render_envelope(envelope))
    (packet / BUNDLE_NAME).write_bytes(render_bundle(envelope, KEY.public_hex))
    seal_again(packet)


def test_it_tells_what_was_connected_to_and_nothing_else(packet: Path) -> None:
    own = {"attempts": 1, "bytesUp": 10, "bytesDown": 20}
    twice = {"attempts": 2, "bytesUp": 20, "bytesDown": 40}
    assert read(packet)["predicate"]["monitorLog"]["network"] == [
        {"ip": "192.0.2.9", "port": 22, "protocol": "tcp", "trioEgress": own},
        {
            "ip": "192.0.2.7",
            "hostname": "api.example.com",
            "port": 443,
            "protocol": "tcp",
            "trioEgress": twice,
        },
        {
            "ip": "2001:db8::7",
            "hostname": "api.example.com",
            "port": 443,
            "protocol": "tcp",
            "trioEgress": own,
        },
        {"ip": "192.0.2.10", "hostname": "reset.example", "port": 80, "protocol": "tcp", "trioEgress": own},
    ]


def test_a_run_without_traffic_has_one_too(tmp_path: Path) -> None:
    make_packet(tmp_path, Scribe().open().close().lines)
    assert read(tmp_path)["predicate"]["monitorLog"] == {"network": []}
    assert judge(tmp_path).exit_code == 0


def test_the_list_is_bounded_and_says_what_is_left_out() -> None:
    scribe = Scribe().open()
    for number in range(ROWS + 2):
        reach(scribe, f"h{number}.example", "192.0.2.7:443")
    played = replay(scribe.close().lines)
    run = RunFacts("local", "agent.sh", 0)
    predicate = json.loads(render_statement(played, run, "", {"p": "0" * 64}, "p"))["predicate"]
    assert len(predicate["monitorLog"]["network"]) == ROWS
    assert predicate["trioEgress"]["networkLeftOut"] == 2


def test_the_process_is_named_by_its_server_or_by_its_run() -> None:
    played = replay(write_lines())

    def find_process(run: RunFacts, server: str = "") -> dict[str, str]:
        process: dict[str, str] = json.loads(render_statement(played, run, server, {"p": "0" * 64}, "p"))[
            "predicate"
        ]["monitoredProcess"]
        return process

    local = find_process(RunFacts("local", "agent.sh", 0))
    assert (local["hostID"], local["event"]) == ("urn:trio-egress:host:local", "urn:trio-egress:run:run-1")
    github = RunFacts("github_actions", "agent.sh", 0, repository="o/r", run_id="7", run_attempt="2")
    hosted = find_process(github, "https://github.com")
    assert hosted == {
        "hostID": "https://github.com",
        "type": "https://actions.github.io/buildtypes/workflow/v1",
        "event": "https://github.com/o/r/actions/runs/7/attempts/2",
        "trioEgressRun": "run-1",
    }
    assert find_process(github)["hostID"] == "urn:trio-egress:host:github_actions"  # no server is known


def test_in_toto_s_own_code_reads_it(packet: Path) -> None:
    statement = read(packet)
    message = json_format.ParseDict(statement, statement_pb2.Statement())
    theirs = Statement.copy_from_pb(message)
    theirs.validate()
    assert [subject.name for subject in theirs.pb.subject] == [
        "evidence.jsonl",
        "policy-compiled.json",
        "policy.toml",
    ]
    assert theirs.pb.predicate_type == "https://in-toto.io/attestation/runtime-trace/v0.2"
    source = statement["predicate"]["monitor"]["configSource"]
    ResourceDescriptor(name=source["name"], digest=source["digest"]).validate()


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: statement.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda statement: statement.update(subject=[]),
        lambda statement: statement["subject"][0].pop("digest"),
        lambda statement: statement.update(predicateType=""),
    ],
)
def test_in_toto_s_own_code_refuses_what_is_none(change: Change, packet: Path) -> None:
    statement = read(packet)
    change(statement)
    with pytest.raises(ValueError, match=r".+"):
        Statement.copy_from_pb(json_format.ParseDict(statement, statement_pb2.Statement())).validate()


def test_the_schema_of_the_predicate_holds(packet: Path) -> None:
    """The fields that runtime-trace v0.2 requires, and the types that it gives to those of the network list."""
    predicate = read(packet)["predicate"]
    assert isinstance(predicate["monitor"]["type"], str)
    assert {"hostID", "type", "event"} <= set(predicate["monitoredProcess"])
    kinds = {"ip": str, "hostname": str, "port": int, "protocol": str}
    for row in predicate["monitorLog"]["network"]:
        assert all(isinstance(row[name], kinds[name]) for name in kinds.keys() & row.keys())
        assert {"ip", "hostname"} & row.keys()
        assert 1 <= row["port"] <= 65535
    assert set(predicate["metadata"]) == {"buildStartedOn", "buildFinishedOn"}


def test_the_bundle_of_a_packet_convinces_npm_s_verifier(packet: Path, sigstore_js: Path) -> None:
    payload = ask(sigstore_js, [((packet / BUNDLE_NAME).read_bytes(), pem(KEY))])[0]
    assert json.loads(base64.b64decode(payload)) == read(packet)


def test_it_belongs_to_its_packet(packet: Path) -> None:
    assert judge(packet).exit_code == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda s: s["predicate"]["monitorLog"]["network"].pop(), "statement.claim"),
        (
            lambda s: s["predicate"]["monitorLog"]["network"][1].update(hostname="x.example"),
            "statement.claim",
        ),
        (
            lambda s: s["predicate"]["monitorLog"]["network"][1]["trioEgress"].update(bytesUp=0),
            "statement.claim",
        ),
        (
            lambda s: s["predicate"]["metadata"].update(buildFinishedOn="2027-01-15T08:00:00Z"),
            "statement.claim",
        ),
        (lambda s: s["predicate"]["trioEgress"].update(denied=0), "statement.claim"),
        (lambda s: s["predicate"]["trioEgress"].update(more=None), "statement.claim"),
        (lambda s: s["predicate"].pop("trioEgress"), "statement.claim"),
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "statement.claim"),
        (lambda s: s["subject"].pop(0), "statement.claim"),
        (lambda s: s["subject"].append({"name": "policy.toml"}), "statement.claim"),
        (lambda s: s["predicate"]["monitorLog"].update(network={}), "statement.claim"),
        (lambda s: s["subject"].append({"name": "../x", "digest": {"sha256": "0" * 64}}), "statement.claim"),
        (lambda s: s["subject"].extend(s["subject"] * 9), "statement.claim"),
        (
            lambda s: s.update(predicateType="https://in-toto.io/attestation/runtime-trace/v0.1"),
            "statement.form",
        ),
        (lambda s: s.update(more=1), "statement.form"),
        (lambda s: s.update(predicate={}), "statement.form"),
    ],
)
def test_a_statement_that_contradicts_the_packet_is_found(change: Change, code: str, packet: Path) -> None:
    sign_again(packet, lambda statement: None)
    assert codes(packet) == set()
    sign_again(packet, change)
    assert codes(packet) == {code}


def test_what_a_later_release_says_of_traffic_is_not_judged(packet: Path) -> None:
    def change(statement: dict[str, Any]) -> None:
        statement["predicate"]["monitor"]["type"] = "urn:trio-egress:monitor:v2"
        statement["predicate"]["trioEgress"] = {}

    sign_again(packet, change)
    assert codes(packet) == set()


def test_a_member_that_stands_twice_is_found(packet: Path) -> None:
    payload = json.dumps(read(packet)).replace('{"_type"', '{"_type":"","_type"', 1).encode()
    envelope = sign_envelope(PAYLOAD_TYPE, payload, KEY)
    (packet / STATEMENT_NAME).write_bytes(render_envelope(envelope))
    (packet / BUNDLE_NAME).write_bytes(render_bundle(envelope, KEY.public_hex))
    seal_again(packet)
    assert codes(packet) == {"statement.form"}


def test_a_statement_by_another_key_or_of_another_type_is_found(packet: Path) -> None:
    sign_again(packet, lambda statement: None, key=STRANGER)
    assert codes(packet) == {"statement.signature"}
    sign_again(packet, lambda statement: None, kind="text/plain")
    assert codes(packet) == {"statement.form"}


def test_a_statement_of_any_length_is_refused_before_it_is_read(packet: Path) -> None:
    (packet / STATEMENT_NAME).write_bytes(b"[" + b"[]," * (1 << 20) + b"[]]")
    seal_again(packet)
    assert codes(packet) == {"statement.form"}


def test_a_bundle_of_something_else_is_found(packet: Path) -> None:
    bundle = (packet / BUNDLE_NAME).read_bytes()
    (packet / BUNDLE_NAME).write_bytes(bundle.replace(b"v0.3", b"v0.2"))
    seal_again(packet)
    assert codes(packet) == {"statement.claim"}


def test_the_documented_commands_verify_it(packet: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "attestations.md").read_text("utf-8")
    (script,) = re.findall(r"^```sh\n(python3 .*?)^```$", text, re.DOTALL | re.MULTILINE)

    def run() -> subprocess.CompletedProcess[str]:
        command = ["sh", "-ec", script.replace("/tmp/", f"{tmp_path}/")]
        return subprocess.run(command, cwd=packet, capture_output=True, text=True, check=False)

    ended = run()
    assert (ended.returncode, ended.stdout) == (0, "Signature Verified Successfully\n"), ended.stderr
    sign_again(packet, lambda statement: None, key=STRANGER)
    assert run().returncode == 1


@pytest.mark.parametrize("name", [STATEMENT_NAME, BUNDLE_NAME])
def test_it_cannot_be_taken_away(name: str, packet: Path) -> None:
    os.unlink(packet / name)
    assert "manifest.file" in codes(packet)


def test_evidence_that_does_not_hold_together_gets_no_statement(tmp_path: Path) -> None:
    lines = write_lines()
    make_packet(tmp_path, [*lines[:3], *lines[4:]], FACTS)
    assert not (tmp_path / STATEMENT_NAME).exists()
