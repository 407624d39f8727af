"""What a `scan` table may say, and what is said of what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import make_terms

from trio_egress.errors import PolicyError
from trio_egress.model import Action
from trio_egress.policy.load import load_policy
from trio_egress.policy.scan import NO_SCAN, Scan

HEAD = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "a.example"\n'


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (True, NO_SCAN),
        (False, None),
        ({"secret": "block", "entropy": "off"}, Scan(secret=Action.BLOCK, entropy=Action.OFF)),
        ({"detectors": {"x-1.y_z": "strip"}}, Scan(detectors={"x-1.y_z": Action.STRIP})),
        ({"whole": "2 KiB"}, Scan(whole=2048)),
        ({"whole": 0}, Scan(whole=0)),
        ({"unreadable": "warn"}, Scan(unreadable=Action.WARN)),
        ({"requests": False}, Scan(requests=False)),
    ],
)
def test_each_way_to_say_it_is_read(written: object, read: Scan | None) -> None:
    assert make_terms(scan=written).scan == read


def said_of(line: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(f"{HEAD}{line}\n", "f")
    (problem,) = caught.value.problems
    return f"{problem.column}: {problem.message}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('scan = "yes"', '8: scan must be true, false, or a table such as { secret = "block" }, not "yes"'),
        ("scan = {}", "8: scan is empty, which says nothing; write scan = true"),
        (
            'scan = { secrets = "block" }',
            '10: unknown key "secrets" in a `scan` table; did you mean "secret"?',
        ),
        (
            'scan = { secret = "Block" }',
            '19: secret must be one of block, strip, warn, off, not "Block"; did you mean "block"?',
        ),
        ("scan = { canary = true }", "19: canary must be one of block, strip, warn, off, not true"),
        (
            'scan = { detectors = ["jwt"] }',
            '22: detectors must be a table such as { "github-token" = "warn" }, not a list',
        ),
        (
            "scan = { detectors = {} }",
            '22: detectors names 1 to 1000 detectors and what becomes of what they find: { "github-token" = "warn" }',
        ),
        (
            'scan = { detectors = { jwt = "wran" } }',
            '30: jwt must be one of block, strip, warn, off, not "wran"; did you mean "warn"?',
        ),
        (
            'scan = { detectors = { "a b" = "off" } }',
            '32: a detector is named as `trio-egress detectors list` does, as in "github-token", not "a b"',
        ),
        ("scan = { requests = 1 }", "21: scan.requests must be true or false, not 1"),
        ('scan = { answers = "no" }', '20: scan.answers must be true or false, not "no"'),
        (
            "scan = { whole = true }",
            '18: whole must be a size such as "2 GiB", or a number of bytes, not true',
        ),
        (
            'scan = { whole = "2 GiB" }',
            "18: whole must be at most 1 GiB: so much of a body is kept in memory until it may go on",
        ),
        ('scan = { unreadable = "off" }', '23: unreadable must be "block" or "warn", not "off"'),
        ("scan = { unreadable = [] }", '23: unreadable must be "block" or "warn", not a list'),
        (
            "scan = { requests = false, answers = false }",
            "28: neither requests nor answers are looked through: write scan = false",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_at_its_place(line: str, said: str) -> None:
    assert said_of(line) == said


def test_so_many_detectors_are_named_and_no_more() -> None:
    def name(number: int) -> dict[str, Any]:
        return {"detectors": {f"d{n}": "off" for n in range(number)}}

    terms = make_terms(scan=name(1000))
    assert terms.scan is not None
    assert len(terms.scan.detectors) == 1000
    line = f"scan = {{ detectors = {{ {', '.join(f'd{n} = 0' for n in range(1001))} }} }}"
    assert said_of(line).startswith("22: detectors names 1 to 1000 detectors")
