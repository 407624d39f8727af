"""What a run has counted so far, and the line that says it."""

from __future__ import annotations

import os
import sys

import pytest

from trio_egress.cli.tally import NARROWEST, WIDEST, Tally, follow, make_line
from trio_egress.drafts import draft_attempt, draft_policy_change
from trio_egress.evidence.receipt import Draft
from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.runtime.live_line import LiveLine
from trio_egress.views.lines import leave_plain, paint_ansi

POLICY = load_policy(
    'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "api.example.com"\n', "p.toml"
)


def draft(host: str, **facts: object) -> Draft:
    tried = Attempt(Transport.FORWARD, Protocol.HTTP, Name(host), 80, "GET", "/")
    decision = decide(POLICY, tried)
    return draft_attempt(tried, decision, facts, "intent" if decision.allowed else "")


def tally(*drafts: Draft) -> Tally:
    made = Tally()
    for each in drafts:
        made.note(each)
    return made


def test_it_says_what_was_counted_and_who_was_denied_last() -> None:
    change = draft_policy_change("block", "x", {})
    counted = tally(draft("api.example.com"), draft("one.example", count=1200), draft("two.example"), change)
    said = "trio-egress: 1 allowed, 1,201 denied, last two.example:80"
    assert counted.render(80, leave_plain) == said
    assert (
        counted.render(80, paint_ansi).replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "")
        == said
    )


@pytest.mark.parametrize(("columns", "said"), [
    (80, "trio-egress: 0 allowed, 1 denied, last a-rather-long-name.of.a.host.example:80"),
    (60, "trio-egress: 0 allowed, 1 denied, last a-rather-long-name..."),
    (40, "0 allowed, 1 denied, last"),
    (24, "0 allowed, 1 denied"),
    (23, ""),
])  # fmt: skip
def test_it_fits(columns: int, said: str) -> None:
    shown = tally(draft("a-rather-long-name.of.a.host.example")).render(columns, leave_plain)
    assert shown.startswith(said)
    assert len(shown) <= columns
    assert bool(shown) is (columns >= NARROWEST)


def test_it_is_ascii_and_bounded_whatever_was_asked_for() -> None:
    shown = tally(draft("x\x1b[2J\N{SNOWMAN}" * 100)).render(10_000, leave_plain)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= WIDEST


def test_nothing_is_said_of_nothing() -> None:
    assert tally().render(80, leave_plain) == ""


def test_each_change_is_told_to_the_line_and_nothing_else() -> None:
    line, counted, told = LiveLine(), Tally(), []
    follow(line, counted, leave_plain)
    line.arm(lambda: told.append(line.render(80)))
    counted.note(draft_policy_change("block", "x", {}))
    assert told == []
    counted.note(draft("api.example.com"))
    assert told == ["trio-egress: 1 allowed, 0 denied"]


@pytest.mark.parametrize(("environment", "quiet", "shown"), [
    ({"TERM": "xterm"}, False, True),
    ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
    ({"TERM": "xterm", "CI": "false"}, False, True),
    ({"TERM": "xterm", "CI": "true"}, False, False),
    ({"TERM": "xterm"}, True, False),
    ({"TERM": "dumb"}, False, False),
    ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, False),
    ({}, False, False),
])  # fmt: skip
def test_it_is_for_a_person_at_a_terminal(
    environment: dict[str, str], quiet: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, follower = os.openpty()
    read, write = os.pipe()
    with os.fdopen(follower, "w") as terminal, os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert (make_line(environment, quiet=quiet) is not None) is shown
        monkeypatch.setattr(sys, "stderr", pipe)
        assert make_line(environment, quiet=quiet) is None
    os.close(leader)
    os.close(read)
