"""A policy of several files in a real run: the agent can't change them, and a reviewer can read them again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, Ended, Place, read_lines, write_policy

from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.policy.compiled import parse_compiled, policy_hash
from trio_egress.policy.engine import decide
from trio_egress.policy.packaged import load_packaged

pytestmark = pytest.mark.sandbox

POLICY = 'version: "1.0"\ndefault_deny: true\ninclude: [sub/base.toml, "preset:github"]\n'
BASE = """version = "1.0"
default_deny = true
[[egress]]
destination = "b.example"
[resolve]
"b.example" = "127.0.0.1:1"
"""
AGENT_TRIES = (
    "curl -s -o /dev/null http://b.example/; curl -s -o /dev/null http://c.example/; "
    "for file in agent.yaml sub/base.toml; do if echo >>$file; then echo changed $file; fi; done; "
    "mv sub moved && echo moved"
)


def lay_out(place: Place) -> Path:
    """A policy in the agent's own directory, with a file that it includes."""
    (place.work / "sub").mkdir()
    for name, text in (("agent.yaml", POLICY), ("sub/base.toml", BASE)):
        (place.work / name).write_text(text)
    for name in ("sub", "agent.yaml", "sub/base.toml"):
        os.chown(place.work / name, AGENT.pw_uid, AGENT.pw_gid)
    return place.work / "agent.yaml"


def run(place: Place) -> Ended:
    policy = lay_out(place)
    return place.run("", "bash", "-c", AGENT_TRIES, options=("--policy", str(policy)))


@pytest.mark.programs
def test_rules_of_an_included_file_decide_and_are_named_by_their_place_there(place: Place) -> None:
    ended = run(place)
    assert ended.outcome.facts["rule"] == "egress[0] 'b.example' (sub/base.toml line 3)"
    assert {query.target for query in ended.queries if query.verdict == "block"} == {"dns:c.example"}


@pytest.mark.programs
def test_the_agent_can_change_no_file_of_the_policy(place: Place) -> None:
    ended = run(place)
    assert ended.text == ""
    assert ((place.work / "agent.yaml").read_text(), (place.work / "sub/base.toml").read_text()) == (
        POLICY,
        BASE,
    )


@pytest.mark.programs
def test_the_agent_can_change_the_same_files_where_they_are_no_policy(place: Place) -> None:
    lay_out(place)
    ended = place.run(write_policy(), "bash", "-c", AGENT_TRIES)
    assert ended.text == "changed agent.yaml\nchanged sub/base.toml\nmoved\n"


@pytest.mark.programs
def test_the_packet_has_all_texts_and_the_policy_is_read_again_from_them(place: Place) -> None:
    ended = run(place)
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    raw = (ended.evidence / "policy.yaml").read_bytes()
    again = load_packaged(raw, "policy.yaml", (ended.evidence / "policy-includes.json").read_bytes())
    opening = read_lines(ended.evidence)[0]["action_record"]
    compiled = (ended.evidence / "policy-compiled.json").read_bytes()
    assert policy_hash(again) == opening["policy_hash"] == policy_hash(parse_compiled(compiled))
    attempt = Attempt(Transport.TRANSPARENT, Protocol.HTTP, Name("b.example"), 80, "GET", "/")
    assert str(decide(again, attempt).rule) == ended.outcome.facts["rule"]


@pytest.mark.programs
def test_other_texts_in_the_packet_are_found(place: Place) -> None:
    ended = run(place)
    for name in ("policy.yaml", "policy-includes.json"):
        path = ended.evidence / name
        raw = path.read_bytes()
        path.write_bytes(raw + b"\n")
        assert ended.verify() == 1
        path.write_bytes(raw)
    assert ended.verify() == 0
