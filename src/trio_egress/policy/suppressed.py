"""The `[[scan.suppress]]` tables: findings that are known and are none, each with its reason and its end.

Rule 1: one table is for one value that one detector found; whoever has the value can tell which that is.
Rule 2: nothing is suppressed for ever: from the day after `expires` on a table has no effect, and a warning says so.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime

import attrs

from trio_egress.errors import Problem
from trio_egress.model import Suppression
from trio_egress.texts.faults import show
from trio_egress.values import frozen

SUPPRESSIONS_MAX = 1000
DAY_US = 86_400_000_000

_FINDING = re.compile(r"sha256:[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_EPOCH = date(1970, 1, 1)


@frozen(kw_only=True)
class Suppress:
    """A field for each key. `expires`: the last day on which it holds (UTC)."""

    finding: str
    detector: str
    reason: str
    expires: date


@frozen
class PlacedSuppression:
    """A suppression, and where it stands, as a problem of which nothing is said yet."""

    table: Suppress
    place: Problem = attrs.field(eq=False, repr=False)

    @property
    def suppression(self) -> Suppression:
        table = self.table
        until_us = ((table.expires - _EPOCH).days + 1) * DAY_US
        return Suppression(table.finding, table.detector, table.reason, until_us)


def read_finding(value: object) -> str:
    if not isinstance(value, str) or not _FINDING.fullmatch(value):
        raise ValueError(
            'finding must be the fingerprint of a finding, "sha256:" and 64 lower-case hex digits, not '
            f"{show(value)}"
        )
    return value


def read_expires(value: object) -> date:
    """A date of TOML, or the same as a text (YAML)."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        with contextlib.suppress(ValueError):
            value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError(f"expires must be a date such as 2027-03-31, not {show(value)}")
    return value


def find_expired(suppressions: Iterable[PlacedSuppression], now_us: int) -> Iterator[Problem]:
    """A warning for each that has no effect any more."""
    for placed in suppressions:
        if now_us >= placed.suppression.until_us:
            message = (
                f"this suppressed a finding of {placed.table.detector} until {placed.table.expires}, and has no effect "
                "any more: remove it, or look at the finding again and give it another date"
            )
            yield attrs.evolve(placed.place, message=message, warning=True)


def render_suppressions(suppressions: Iterable[PlacedSuppression]) -> list[dict[str, str]]:
    """As the compiled form has it. Reasons are in it, unlike those of rules: who lets a secret by has said why."""
    told = [
        {
            "finding": table.finding,
            "detector": table.detector,
            "reason": table.reason,
            "expires": str(table.expires),
        }
        for table in (placed.table for placed in suppressions)
    ]
    return sorted(told, key=lambda one: (one["finding"], one["detector"]))
