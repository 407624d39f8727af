"""A run tells the state of its log outside: its first head, and each state in a file that the agent can't reach."""

from __future__ import annotations

import re

import pytest
from tests.runs.launch import Place, write_policy

from trio_egress.evidence.anchor import parse_anchors
from trio_egress.evidence.checkpoint import parse_checkpoint
from trio_egress.evidence.line import Line, read_line

pytestmark = pytest.mark.sandbox


def test_heads_are_said_and_states_are_kept_where_the_agent_cannot_reach_them(place: Place) -> None:
    kept = place.work / "anchors.jsonl"
    agent = "cat anchors.jsonl; echo forged >>anchors.jsonl; rm -f anchors.jsonl; mv anchors.jsonl elsewhere"
    ended = place.run(write_policy(), "sh", "-c", agent, options=["--anchor-file", str(kept)])
    lines = (ended.evidence / "evidence.jsonl").read_bytes().splitlines()
    first, last = read_line(lines[0]), read_line(lines[-1])
    assert isinstance(first, Line)
    assert isinstance(last, Line)
    assert re.findall(r"head ([0-9a-f]{64})", ended.err) == [first.hash, last.hash]
    states = [state for _, state in parse_anchors(kept.read_bytes())]
    assert [state.size for state in states] == [1, len(lines)]
    assert states[-1] == parse_checkpoint((ended.evidence / "checkpoint.txt").read_bytes()).checkpoint
    assert kept.read_bytes().count(b"\n") == 2
    assert b"trio-egress/run/" not in ended.out
    assert ended.verify() == 0
