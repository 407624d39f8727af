"""The tests of a policy, `[[test]]`: attempts, and how each must be decided. `testing` decides them.

Rule 1: a test says nothing of what the policy means: the compiled form has none of it.
Rule 2: what is expected is said in full: `allow` or `deny`, and where that matters by which rule.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone

from trio_egress.policy.spelling import parse_spelling
from trio_egress.texts.faults import hint_nearest, show
from trio_egress.values import frozen

EXPECTED = {"allow": True, "deny": False}


@frozen(kw_only=True)
class Case:
    """A field for each key. `rule`: the name or destination of the rule that must decide. `at`: Unix time in µs."""

    attempt: str
    expect: bool
    rule: str | None = None
    at: int | None = None


@frozen
class PlacedCase:
    """A case, and where it stands: `file:line:column`."""

    case: Case
    place: str


def read_attempt(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(
            f'attempt must be a text such as "POST https://api.example.com/v1", not {show(value)}'
        )
    parse_spelling(value)
    return value


def read_expect(value: object) -> bool:
    if not isinstance(value, str) or value not in EXPECTED:
        hint = hint_nearest(value, EXPECTED) if isinstance(value, str) else ""
        raise ValueError(f'expect must be "allow" or "deny", not {show(value)}{hint}')
    return EXPECTED[value]


def read_rule_name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"rule must be the name or the destination of a rule, not {show(value)}")
    return value


def read_at(value: object) -> int:
    """A date and time of TOML, or the same as a text (YAML); without an offset it is UTC."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if not isinstance(value, datetime):
        raise ValueError(f"at must be a date and time such as 2026-11-23T09:00:00Z, not {show(value)}")
    aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
    return int(aware.timestamp()) * 1_000_000
