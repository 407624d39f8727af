"""A session from what a program says of it, and its events, for whoever takes them slower than they come.

Rule 1: no more than EVENTS_KEPT events wait; what is dropped is counted, and told with the next.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import attrs

from trio_egress.cli.platforms import explain_absence
from trio_egress.errors import SandboxError
from trio_egress.library.answering import Answering, Loop
from trio_egress.library.deciding import Decide
from trio_egress.library.event import Event
from trio_egress.library.running import Terms
from trio_egress.library.session import Session, start_session
from trio_egress.runtime.backends import HELPER
from trio_egress.values import frozen

EVENTS_KEPT = 1000
OnEvent = Callable[[Event], object]


@frozen(kw_only=True)
class Asked(Terms):
    """With whom it tells of what comes to pass, whom it asks, and whose it is."""

    on_event: OnEvent | None
    decide: Decide | None
    backend: str

    def start(self, loop: Loop | None = None) -> Session:
        """`loop`: where async functions can be called. Raises PolicyError and UsageError before anything is created."""
        if reason := explain_absence(sys.platform):
            raise SandboxError(reason)
        chosen = self.choose(self.backend)
        answering = None if self.decide is None else Answering(self.decide, loop)
        if chosen == HELPER:
            from trio_egress.library.remote import ask_serve

            session: Session = ask_serve(self, answering, None if answering is None else answering.other)
        else:
            where = None if self.directory is None else Path(os.path.abspath(self.directory))
            session = start_session(self.list_options(), where, self.environment, answering)
        session.backend = chosen
        return session


class Feed:
    """Events that wait. `wake` is called in the session's thread whenever there is something."""

    def __init__(self, session: Session, wake: Callable[[], object]) -> None:
        self._waiting: deque[Event] = deque()
        self._dropped = 0
        self._ended = False
        self._lock = threading.Lock()
        self._wake = wake
        self.close = session.listen(self._take)

    def _take(self, event: Event | None) -> None:
        with self._lock:
            if event is None:
                self._ended = True
            elif len(self._waiting) >= EVENTS_KEPT:
                self._dropped += 1 + event.dropped
            else:
                self._waiting.append(attrs.evolve(event, dropped=event.dropped + self._dropped))
                self._dropped = 0
        self._wake()

    def pop(self) -> Event | None:
        """The next, or None where none waits. Raises StopIteration at the end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._ended:
                raise StopIteration
            return None
