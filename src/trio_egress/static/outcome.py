"""What comes of a scan: each hit with what becomes of it, what could not be read, and what was looked at."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable

import attrs

from trio_egress.model import Action
from trio_egress.static.baseline import Baseline, Entry
from trio_egress.static.look import Hit
from trio_egress.static.source import Unread
from trio_egress.values import define, frozen

Decide = Callable[[Hit], Action]


class State(enum.Enum):
    """Whether a hit counts, and why not."""

    NEW = "new"
    KNOWN = "baseline"
    ALLOWED = "comment"


@frozen
class Told:
    """A hit, and what becomes of it."""

    hit: Hit
    action: Action
    state: State = State.NEW
    reason: str = ""

    @property
    def blocks(self) -> bool:
        """Traffic would not have passed with it as it is."""
        return self.action in (Action.BLOCK, Action.STRIP)


@define
class Outcome:
    """Filled as the sources are looked through."""

    told: list[Told] = attrs.field(factory=list)
    unread: list[Unread] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    stale: list[Entry] = attrs.field(factory=list)
    whole: set[str] = attrs.field(factory=set)
    """Files of which nothing was left out."""
    sources: int = 0

    @property
    def new(self) -> list[Told]:
        return [told for told in self.told if told.state is State.NEW]

    def count(self) -> Counter[str]:
        """Blocking and warned of; known and allowed ones."""
        words = (told.state.value if told.state is not State.NEW else _word(told) for told in self.told)
        return Counter(words)

    def fails(self, on: Action) -> bool:
        return any(told.blocks or on is Action.WARN for told in self.new)


def judge(hit: Hit, decide: Decide, known: Baseline, *, comments: bool) -> Told | None:
    """None: by the policy it is nothing."""
    action = decide(hit)
    if action is Action.OFF:
        return None
    reason = known.find(hit)
    if reason is not None:
        return Told(hit, action, State.KNOWN, reason)
    if comments and hit.permission is not None:
        return Told(hit, action, State.ALLOWED, hit.permission.reason)
    return Told(hit, action)


def _word(told: Told) -> str:
    return "block" if told.blocks else "warn"
