"""Which finding of one value counts where several detectors know it: a token as what it is, not as a key, too.

Rule 1: of credentials that overlap, that of the detector which comes first counts; what is specific stands first.
Rule 2: nothing yields to what would do less about it: a warning never hides what would be blocked.
Rule 3: in what was decoded, all that was decoded is a finding's place; there one value has to be in the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trio_egress.content.detector import Finding
from trio_egress.model import Action, Kind

NEIGHBOURS = 32
"""That each finding is held against; where more than these overlap, a value may be told twice."""

_STRENGTH = {Action.OFF: 0, Action.WARN: 1, Action.STRIP: 2, Action.BLOCK: 3}


def keep_foremost(
    found: Iterable[Finding], before: Iterable[Finding], ranks: Mapping[str, int]
) -> list[Finding]:
    """`found`, which is by place, without what yields. `before`: what was told already. `ranks`: by detector's name."""
    told = list(before)[-NEIGHBOURS:]
    kept: list[Finding | None] = list(told)
    for finding in found:
        first = max(0, len(kept) - NEIGHBOURS)
        same = [(place, each) for place, each in enumerate(kept[first:], first) if _is_same(each, finding)]
        if any(each is not None and _yields(finding, each, ranks) for _, each in same):
            continue
        for place, each in same:
            if place >= len(told) and each is not None and _yields(each, finding, ranks):
                kept[place] = None
        kept.append(finding)
    return [each for each in kept[len(told) :] if each is not None]


def _is_same(one: Finding | None, other: Finding) -> bool:
    """Whether both are credentials, and one value or parts of it."""
    if one is None or not (one.detector.kind is other.detector.kind is Kind.SECRET) or one.via != other.via:
        return False
    if one.start >= other.end or other.start >= one.end:
        return False
    return not one.via or one.value in other.value or other.value in one.value


def _yields(weak: Finding, strong: Finding, ranks: Mapping[str, int]) -> bool:
    if ranks[strong.detector.name] >= ranks[weak.detector.name]:
        return False
    return _STRENGTH[strong.detector.action] >= _STRENGTH[weak.detector.action]
