"""A command of a session, from its request to its end: what is known of it so far, for whoever waits."""

from __future__ import annotations

from concurrent.futures import Future

from trio_egress.library.event import Watched
from trio_egress.values import frozen


@frozen(kw_only=True)
class Ended:
    """How a command has ended; `returncode` is None where it never started, and `message` says why."""

    returncode: int | None
    timed_out: bool = False
    limit: str = ""
    message: str = ""
    errno: int = 0


class Command:
    """A command that was asked for."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.started: Future[None] = Future()
        """Also where it could not be: `ended` says so then."""

        self.ended: Future[Ended] = Future()
        self.watched = Watched()

    def start(self) -> None:
        """It was, or has ended all the same."""
        if not self.started.done():
            self.started.set_result(None)
