"""Where the reason of a decision is said to stand."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from tests.views.pictures import COMPILED, RULED, write_packet

from trio_egress.evidence.attempts import Told
from trio_egress.evidence.container import Folder
from trio_egress.views.source import Place, Sources, read_claim, read_claims


def tell(rule: str | None, policy_hash: str = RULED.policy_hash) -> Told:
    return Told(1, {"policy_hash": policy_hash}, {} if rule is None else {"rule": rule})


def make_sources(packet: Path, config_path: str = "ci/agent.toml", root: Path | None = None) -> Sources:
    return Sources(Folder(write_packet(packet, [], config_path)), root)


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("egress[0] 'api.example.com' (line 5)", Place("ci/agent.toml", 5)),
        ("egress[2] api '(line 7).example' (line 5)", Place("ci/agent.toml", 5)),
        ("egress[0] 'a' (base.toml line 12)", Place("ci/base.toml", 12)),
        ("egress[0] 'a' (../common/base policy.toml line 12)", Place("common/base policy.toml", 12)),
        ("egress[0] 'a' (line 0)", Place("ci/agent.toml", 1)),
        (None, Place("ci/agent.toml", 3)),
        ("no such thing", Place("ci/agent.toml", 3)),
    ],
)
def test_a_rule_stands_at_its_line_of_the_repository(tmp_path: Path, rule: str, place: Place) -> None:
    assert make_sources(tmp_path / "packet", root=tmp_path).locate(tell(rule)) == (place, False)


@pytest.mark.parametrize(
    "rule",
    ["egress[0] 'a' (preset:github line 3)", "egress[0] 'a' (../../x.toml line 3)", "e 'a' (\\xe9 line 3)"],
)
def test_an_included_file_that_is_not_there_is_in_the_packet(tmp_path: Path, rule: str) -> None:
    place = Place("policy-includes.json", 1), True
    assert make_sources(tmp_path / "packet", root=tmp_path).locate(tell(rule)) == place


@pytest.mark.parametrize(
    "config_path", ["/etc/agent.toml", "../agent.toml", "a/../../x", "", "\x1b[31m.toml"]
)
def test_a_policy_from_elsewhere_is_shown_from_the_packet(tmp_path: Path, config_path: str) -> None:
    sources = make_sources(tmp_path / "packet", config_path, tmp_path)
    assert sources.locate(tell("egress[0] 'a' (line 5)")) == (Place("policy.toml", 5), True)


def test_an_absolute_path_in_the_repository_is_found_there(tmp_path: Path) -> None:
    sources = make_sources(tmp_path / "packet", str(tmp_path / "ci" / ".." / "agent.toml"), tmp_path)
    assert sources.locate(tell(None)) == (Place("agent.toml", 3), False)


def test_a_policy_that_came_into_force_later_has_lines_of_its_own(tmp_path: Path) -> None:
    packet = write_packet(tmp_path / "packet", [])
    (packet / "policy-2-compiled.json").write_bytes(b"[]")
    (packet / "policy-2.yaml").write_bytes(b"# one\n# two\n# three\n'default_deny': true\n")
    sources = Sources(Folder(packet), None)
    later = f"sha256:{sha256(b'[]').hexdigest()}"
    assert sources.locate(tell(None, later)) == (Place("policy-2.yaml", 4), True)
    assert sources.locate(tell(None)) == (Place("policy.toml", 3), True)
    assert COMPILED != b"[]"


def test_a_policy_that_the_packet_does_not_have_is_at_its_beginning(tmp_path: Path) -> None:
    assert make_sources(tmp_path / "packet").locate(tell(None, "sha256:other")) == (
        Place("policy.toml", 1),
        True,
    )


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 100_000, json.dumps({"policy": 5}).encode()])
def test_claims_that_are_none_claim_nothing(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "packet.json").write_bytes(raw)
    claims = read_claims(Folder(tmp_path))
    assert read_claim(claims, "policy", "config_path") is None
