"""`decide=`: a function of the program's own that sees each attempt which the policy would allow, and can only narrow.

Knows no event loop: bytes of the supervisor's come in, and what is to be sent back comes out.

Rule 1: only True allows. What raises, or gives anything else, denies; an error is told to the log of the program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trio_egress.errors import PeerError, UsageError
from trio_egress.model import Attempt, Protocol, Transport
from trio_egress.policy.hosts import parse_host
from trio_egress.values import frozen
from trio_egress.wire.approval import Decider

if TYPE_CHECKING:
    import socket

CHUNK_BYTES = 65536
REASON_CHARS = 200


@frozen
class Question:
    """An attempt that the policy allows by `rule`, which is there for `reason`. `marked`: the rule says `ask`.

    `seconds`: how long an answer is waited for.
    """

    attempt: Attempt
    rule: str
    reason: str
    marked: bool
    seconds: int


Decide = Callable[[Question], object]
"""True lets it go on; False denies, and so does a text, which the agent is told. Of an async one, what it gives in the
end; a sandbox takes that, `run` does not."""

Reply = tuple[bool, str]
"""Whether it may go on, and what the agent is told if not."""


def is_async(decide: object) -> bool:
    import inspect

    return inspect.iscoroutinefunction(decide) or inspect.iscoroutinefunction(
        getattr(type(decide), "__call__", None)  # noqa: B004
    )


class Deciding:
    """Answers for one run."""

    def __init__(self, decide: Decide) -> None:
        if not callable(decide):
            raise UsageError(f"decide must be a function of one question, not {decide!r}")
        self.decide = decide
        self._talk = Decider()
        name = getattr(decide, "__qualname__", type(decide).__qualname__)
        self.by = f"{name} in process {os.getpid()}"

    @classmethod
    def of_plain(cls, decide: Decide) -> Deciding:
        """Where there is no loop to run an async function in."""
        if is_async(decide):
            raise UsageError(f"decide must be a plain function of one question here, not {decide!r}")
        return cls(decide)

    @contextmanager
    def open_line(self) -> Iterator[socket.socket]:
        """What the supervisor asks by: its end of it, which is the caller's to close."""
        import socket

        self._line, other = socket.socketpair()
        try:
            yield other
        finally:
            other.close()
            self.close()

    def fileno(self) -> int:
        return self._line.fileno()

    def close(self) -> None:
        self._line.close()

    def take(self) -> bool:
        """Answer what is asked by now; False where nothing more will be."""
        try:
            raw = self._line.recv(CHUNK_BYTES)
            for answer in self.feed(raw):
                self._line.sendall(answer)
        except (OSError, PeerError):
            return False
        return bool(raw)

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """What to send back, each as soon as it is decided. Raises PeerError."""
        told = self.read(raw)
        over = {number for number, question in told if question is None}
        for number, question in told:
            if question is not None:
                reply = self._ask(question) if number not in over else (False, "")
                yield self.answer(number, *reply)

    def read(self, raw: bytes) -> list[tuple[int, Question | None]]:
        """The numbers of questions; None with those of which the supervisor says that they are over.

        Raises PeerError.
        """
        told = self._talk.feed(raw)
        return [(each["over"], None) if "over" in each else (each["id"], _read(each)) for each in told]

    def answer(self, number: int, allow: bool, reason: str) -> bytes:
        return self._talk.answer(number, allow, self.by, reason)

    def _ask(self, question: Question) -> Reply:
        try:
            return read_said(self.decide(question))
        except Exception as error:
            return read_failure(error)


def read_said(said: object) -> Reply:
    if said is True or said is False:
        return said, ""
    if isinstance(said, str):
        return False, said[:REASON_CHARS]
    return False, f"the program that decides gave no answer ({type(said).__name__})"


def read_failure(error: Exception) -> Reply:
    import logging

    told = logging.getLogger("trio_egress")
    told.error("decide= failed, so the attempt is denied", exc_info=error)
    return False, f"the program that decides failed ({type(error).__name__})"


def _read(asked: dict[str, Any]) -> Question:
    attempt = Attempt(
        Transport(asked["transport"]),
        Protocol(asked["protocol"]),
        parse_host(asked["host"]),
        asked["port"],
        asked["method"],
        asked["path"],
        secure=asked["secure"],
        websocket=asked["websocket"],
        query=frozenset(asked["query"]),
        service=asked["service"],
    )
    return Question(attempt, asked["rule"], asked["reason"], asked["marked"], asked["seconds"])
