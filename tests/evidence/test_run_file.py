"""run.json, counters.json and policy-hash.txt: what they say, and that they cannot say otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import KEY, POLICY_HASH, Scribe, render_counters, seal_again
from tests.evidence.test_packet import FACTS, make_packet

from trio_egress.evidence.verify import verify

Tamper = Callable[[dict[str, object]], object]


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    counters = render_counters(redirected=1)
    close = {"agent_exit_code": 0, **counters}
    make_packet(tmp_path, Scribe().open().allow().close("agent_exited", close, books=False).lines)
    return tmp_path


def codes(directory: Path) -> set[str]:
    return {finding.code for finding in verify(directory, [KEY.public_hex]).findings}


def edit(path: Path, tamper: Tamper) -> None:
    value = json.loads(path.read_bytes())
    tamper(value)
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")))
    seal_again(path.parent)


def test_run_json_says_what_was_run_where_and_how_it_ended(packet: Path) -> None:
    assert codes(packet) == set()
    run = json.loads((packet / "packet.json").read_bytes())["run"]
    assert json.loads((packet / "run.json").read_bytes()) == {
        "ci": {"GITHUB_RUN_ID": "77"},
        "command": {
            "arguments": 1,
            "program": "agent.sh",
            "sha256": sha256(b"./agent.sh\0--fast\0").hexdigest(),
        },
        "completed_at": run["completed_at"],
        "ended_by": "agent_exited",
        "environment": ["HOME", "PATH"],
        "exit_code": 0,
        "run_id": "run-1",
        "schema": "trio-egress.run.v1",
        "started_at": run["started_at"],
        "versions": {"python": "3.11.2"},
    }


def test_counters_json_has_the_kernels_counters_and_the_books(packet: Path) -> None:
    counters = json.loads((packet / "counters.json").read_bytes())
    assert counters["counters"]["redirected"] == [1, 60]
    assert (counters["balance"]["even"], counters["balance"]["unexplained"]) == (True, 0)
    (row,) = (row for row in counters["balance"]["rows"] if row["counter"] == "redirected")
    assert (row["counted"], row["recorded"]) == (1, 1)


def test_the_policys_hash_is_one_line(packet: Path) -> None:
    assert (packet / "policy-hash.txt").read_text() == f"{POLICY_HASH}\n"


def test_a_run_that_never_stood_has_no_counters(tmp_path: Path) -> None:
    make_packet(tmp_path, Scribe().open().close("refused", books=False).lines)
    assert codes(tmp_path) == set()
    counters = json.loads((tmp_path / "counters.json").read_bytes())
    assert (counters["counters"], counters["balance"]) == (None, None)


def test_a_chain_that_is_not_closed_ended_by_nothing(tmp_path: Path) -> None:
    make_packet(tmp_path, Scribe().open().lines)
    assert codes(tmp_path) == set()
    assert json.loads((tmp_path / "run.json").read_bytes())["ended_by"] == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run_id", "run-2"),
        ("ended_by", "timed_out"),
        ("ended_by", ""),
        ("exit_code", 1),
        ("exit_code", None),
        ("started_at", "2027-01-15T08:00:00.5Z"),
        ("completed_at", "2027-01-15T09:00:00Z"),
    ],
)
def test_whoever_signed_it_what_contradicts_the_rest_is_a_finding(
    name: str, value: object, packet: Path
) -> None:
    edit(packet / "run.json", lambda run: run.update({name: value}))
    (finding,) = verify(packet, [KEY.public_hex]).findings
    assert (finding.code, finding.file, finding.place) == ("run.claim", "run.json", name)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda run: run.update(extra=1),
        lambda run: run.pop("environment"),
        lambda run: run.update(environment={"PATH": "/bin"}),
        lambda run: run.update(ci={"GITHUB_RUN_ID": 77}),
        lambda run: run.update(schema="trio-egress.run.v2"),
        lambda run: run["command"].pop("sha256"),
        lambda run: run["command"].update(text="./agent.sh --fast"),
        lambda run: run.update(exit_code=True),
    ],
)
def test_another_form_is_a_finding(tamper: Tamper, packet: Path) -> None:
    edit(packet / "run.json", tamper)
    assert codes(packet) == {"run.form"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"a":1.5}'])
def test_what_is_no_object_is_a_finding(raw: bytes, packet: Path) -> None:
    (packet / "run.json").write_bytes(raw)
    (packet / "counters.json").write_bytes(raw)
    seal_again(packet)
    assert codes(packet) == {"run.form", "run.counters"}


def test_a_member_that_stands_twice_is_a_finding(packet: Path) -> None:
    raw = (packet / "run.json").read_bytes()
    (packet / "run.json").write_bytes(raw.replace(b'{"ci"', b'{"run_id":"run-2","ci"', 1))
    seal_again(packet)
    assert codes(packet) == {"run.form"}


@pytest.mark.parametrize(
    "tamper",
    [
        lambda value: value["counters"].update(udp=[1, 60]),
        lambda value: value.update(counters=None),
        lambda value: value["balance"].update(unexplained=1),
        lambda value: value.update(extra=1),
    ],
)
def test_other_counters_than_the_close_receipt_signs_are_a_finding(tamper: Tamper, packet: Path) -> None:
    edit(packet / "counters.json", tamper)
    assert codes(packet) == {"run.counters"}


@pytest.mark.parametrize("raw", [b"", POLICY_HASH.encode(), b"sha256:" + b"0" * 64 + b"\n", b"\xff\n"])
def test_another_policy_hash_is_a_finding(raw: bytes, packet: Path) -> None:
    (packet / "policy-hash.txt").write_bytes(raw)
    seal_again(packet)
    assert codes(packet) == {"packet.policy"}


@pytest.mark.parametrize("name", ["run.json", "counters.json", "policy-hash.txt"])
def test_each_must_be_there(name: str, packet: Path) -> None:
    (packet / name).unlink()
    seal_again(packet)
    assert codes(packet) == {"packet.file"}


def test_texts_are_valid_and_bounded(tmp_path: Path) -> None:
    details = attrs.evolve(FACTS.details, environment=("A\udcff", "B" * 300), ci={"X": "y" * 5000})
    make_packet(tmp_path, facts=attrs.evolve(FACTS, details=details))
    run = json.loads((tmp_path / "run.json").read_bytes())
    assert run["environment"] == ["A\ufffd", "B" * 256 + "...(44 more)"]
    assert len(run["ci"]["X"]) < 4200
    assert codes(tmp_path) == set()
