"""A session from what a program says of it, and its events, for whoever takes them slower than they come.

Rule 1: no more than EVENTS_KEPT events wait; what is dropped is counted, and told with the next.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from trio_egress.cli.platforms import explain_absence
from trio_egress.errors import SandboxError, UsageError
from trio_egress.library.answering import Answering, Loop
from trio_egress.library.deciding import Decide
from trio_egress.library.event import Event
from trio_egress.library.judging import Policy
from trio_egress.library.running import FilePath, check_bounds, list_options
from trio_egress.library.session import Session, start_session
from trio_egress.runtime.backends import HELPER, choose, find_socket
from trio_egress.values import frozen

EVENTS_KEPT = 1000
OnEvent = Callable[[Event], object]


@frozen(kw_only=True)
class Asked:
    """What a sandbox is to be."""

    policy: FilePath | None
    workspace: FilePath | None
    environment: Mapping[str, str] | None
    allow: Sequence[str]
    timeout: float | None
    evidence: FilePath | None
    evidence_in: FilePath | None
    key: FilePath | None
    signer: str | None
    user: str | None
    on_event: OnEvent | None
    decide: Decide | None
    backend: str

    def start(self, loop: Loop | None = None) -> Session:
        """`loop`: where async functions can be called. Raises PolicyError and UsageError before anything is created."""
        if reason := explain_absence(sys.platform):
            raise SandboxError(reason)
        check_bounds(self.timeout, None)
        chosen = choose(self.backend, os.environ, os.geteuid())
        if self.policy is not None:
            Policy.load(self.policy, allow=self.allow)  # told as an error of its own kind, with every problem
        session = self._start_remote(loop) if chosen == HELPER else self._start_own(loop)
        session.backend = chosen
        return session

    def _start_own(self, loop: Loop | None) -> Session:
        if self.policy is None:
            raise UsageError("policy: there is none; with the back-end `helper` None is the operator's own")
        options = list_options(
            self.policy,
            self.allow,
            self.timeout,
            self.evidence,
            self.evidence_in,
            self.key,
            self.signer,
            self.user,
        )
        directory = None if self.workspace is None else Path(os.path.abspath(self.workspace))
        answering = None if self.decide is None else Answering(self.decide, loop)
        return start_session(options, directory, self.environment, answering)

    def _start_remote(self, loop: Loop | None) -> Session:
        from trio_egress.cli.packet.places import AUDIT_DIRECTORY
        from trio_egress.library.copying import open_place
        from trio_egress.library.remote import start_remote

        for name in ("key", "signer", "user"):
            if getattr(self, name) is not None:
                raise UsageError(f"{name}: with the back-end `helper` that is for serve's operator to say")
        directory = Path(os.path.abspath(self.workspace or "."))
        several = Path(os.path.abspath(self.evidence_in or directory / AUDIT_DIRECTORY))
        place = open_place(None if self.evidence is None else Path(os.path.abspath(self.evidence)), several)
        try:
            return start_remote(
                find_socket(os.environ),
                None if self.policy is None else Path(self.policy),
                self.allow,
                self.timeout,
                directory,
                self.environment,
                place,
                None if self.decide is None else Answering(self.decide, loop),
            )
        except BaseException:
            place.close()
            raise


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
