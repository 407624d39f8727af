"""What a run did, from its evidence alone."""

from __future__ import annotations

import io
import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.specimens import START_NS, STRANGER, Scribe
from tests.pages.specimens import begin, look_up, make_dossier, write_usual

from trio_egress.drafts import draft_command
from trio_egress.pages import story as story_module
from trio_egress.pages.story import BINS, Story, read_story
from trio_egress.pages.verdicts import tell_run

END_NS = START_NS + 1_000_000_000


def tell(lines: list[bytes]) -> Story:
    return read_story(io.BytesIO(b"".join(lines)), START_NS, END_NS)


def test_hosts_have_their_attempts_and_their_bytes() -> None:
    story = make_dossier(write_usual()).story
    assert [(h.name, h.allowed, h.denied, h.bytes_up, h.bytes_down) for h in story.reached] == [
        ("api.example.com", 1, 0, 738, 1454),
        ("docs.example.com", 1, 1, 1, 2),
    ]
    assert (story.allowed, story.denied, story.observed) == (2, 22, 0)
    assert (story.bytes_up, story.bytes_down) == (739, 1456)
    assert story.reached[0].ways == {"tls 443"}
    assert (story.actor, story.close_facts["agent_exit_code"]) == ("agent.sh", 0)


def test_denials_of_one_reason_are_one_and_keep_their_number() -> None:
    scribe = begin()
    look_up(look_up(scribe, "evil.example", 20), "evil.example", 3)
    look_up(scribe, "other.example")
    denials = list(tell(scribe.close().lines).denials.values())
    assert [(d.facts["host"], d.count) for d in denials] == [("evil.example", 23), ("other.example", 1)]


def miss(scribe: Scribe, host: str) -> Scribe:
    """An attempt that was allowed, and no connection came of it."""
    intent = scribe.draft(host, phase="intent", layer="rule")
    scribe.append(intent)
    facts = {**intent.facts, "reason": "it can't be resolved", "bytes_up": 0, "bytes_down": 0}
    return scribe.append(attrs.evolve(intent, phase="outcome", facts=facts))


def test_a_host_that_nothing_could_be_let_through_to_is_not_reached() -> None:
    scribe = miss(miss(begin().allow("api.example.com"), "api.example.com"), "gone.example")
    story = tell(scribe.close().lines)
    assert ([host.name for host in story.reached], story.missed) == (["api.example.com"], ["gone.example"])
    dossier = make_dossier(scribe.lines)
    assert tell_run(dossier).endswith("reached 1 host and was denied nothing. 1 host could not be reached.")


def test_a_name_that_is_only_looked_up_is_not_reached() -> None:
    story = tell(look_up(begin(), "api.example.com", allowed=True).close().lines)
    assert (story.reached, story.hosts["api.example.com"].lookups) == ([], 1)


def test_what_the_boundary_refused_after_its_intent_reached_nothing() -> None:
    scribe = begin()
    intent = scribe.draft("x.example", phase="intent")
    scribe.append(intent)
    scribe.append(scribe.draft("x.example", phase="outcome", verdict="block", action_id=intent.action_id))
    story = tell(scribe.close().lines)
    assert (story.reached, story.allowed, story.denied) == ([], 0, 1)


def test_commands_of_a_session_are_counted_and_are_no_attempts() -> None:
    scribe = begin().append(draft_command({"command_number": 1})).append(draft_command({"command_number": 2}))
    story = tell(scribe.close().lines)
    assert (story.commands, story.allowed, story.denied, story.hosts) == (2, 0, 0, {})


def test_what_was_only_observed_counts_as_let_through_and_as_a_denial_of_the_policy() -> None:
    story = tell(begin().allow("x.example", layer="observe").close().lines)
    assert (story.allowed, story.observed, story.denied) == (1, 1, 0)
    assert [denial.observed for denial in story.denials.values()] == [True]


def test_time_goes_from_the_first_place_to_the_last() -> None:
    scribe = Scribe()
    scribe.open()
    scribe.now_ns = END_NS - 1_234_567
    scribe.allow()
    story = tell(scribe.lines)
    assert story.strip.allowed[BINS - 1] == 1
    assert sum(story.strip.allowed) == 1
    early = read_story(io.BytesIO(b"".join(scribe.lines)), END_NS + 1, END_NS + 2)
    assert early.strip.allowed[0] == 1


def test_what_the_run_did_itself_is_no_attempt() -> None:
    lines = begin().rotate(STRANGER).change_policy().heartbeat().close().lines
    story = tell(lines)
    assert (story.hosts, story.allowed, story.denied) == ({}, 0, 0)
    assert [len(story.rotations), len(story.changes)] == [1, 1]


def test_a_flood_is_bounded_and_its_sums_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_module, "HOSTS", 3)
    monkeypatch.setattr(story_module, "KINDS", 2)
    monkeypatch.setattr(story_module, "CHANGES", 1)
    scribe = begin()
    for number in range(6):
        scribe.allow(f"a{number}.example", up=1, down=2).block(f"b{number}.example")
    story = tell(scribe.change_policy().change_policy().close().lines)
    assert (len(story.hosts), len(story.denials), len(story.changes)) == (3, 2, 1)
    assert (story.allowed, story.denied, story.bytes_up, story.bytes_down) == (6, 6, 6, 12)
    assert sum(d.count for d in story.denials.values()) + story.denials_left_out == 6


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "target",
    "verdict",
    "transport",
    "decision_phase",
    "layer",
    "timestamp",
    "method",
    "session_control",
    "redaction",
)
FACTS = ("host", "port", "proto", "reason", "rule", "count", "bytes_up", "bytes_down", "connections_ended")


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(FACTS, JSON)),
    JSON,
)
def test_no_receipt_raises(record: dict[str, object], facts: dict[str, object], other: object) -> None:
    receipts = (
        {"action_record": record, "ext": {"trio_egress": facts}},
        {"action_record": record, "ext": other},
    )
    blocked = {"action_record": {**record, "verdict": "block"}, "ext": {"trio_egress": facts}}
    lines = [json.dumps(one).encode() + b"\n" for one in (*receipts, blocked, other)]
    story = tell(lines)
    assert story.denied >= 0
    assert 0 <= story.bytes_up < 1 << 66


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    assert tell([raw, b"\n", raw]).allowed == 0


def test_a_line_that_is_too_long_is_skipped_and_the_next_is_read() -> None:
    lines = begin().allow("x.example").lines
    assert tell([lines[0], b"{" * (3 << 20) + b"\n", lines[1]]).allowed == 1
