"""What is told of a sandbox while it lives, and what of it was denied while a command of it lived."""

from __future__ import annotations

from collections import deque

import attrs

from trio_egress.library.result import DENIED_KEPT, Denied
from trio_egress.values import define, frozen


@frozen(kw_only=True)
class Event:
    """A receipt of an attempt, as it is made. `phase`: `intent` before anything leaves, then `outcome`; empty where one
    receipt says all. `dropped`: how many came before it that were not told, because nobody took them."""

    verdict: str
    phase: str
    transport: str
    protocol: str
    method: str
    target: str
    host: str
    port: int
    layer: str
    reason: str
    rule: str
    count: int = 1
    dropped: int = 0

    @property
    def denied(self) -> bool:
        return self.verdict == "block"


@define
class Watched:
    """What is denied while a command lives."""

    denied: deque[Denied] = attrs.field(factory=deque)
    count: int = 0

    def take(self, event: Event) -> None:
        self.count += event.count
        if len(self.denied) < DENIED_KEPT:
            names = (each.name for each in attrs.fields(Denied))
            self.denied.append(Denied(**{name: getattr(event, name) for name in names}))
