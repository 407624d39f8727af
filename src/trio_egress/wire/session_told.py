"""What the supervisor of a session says to the program: the other direction of `wire/session.py`, by the same rules.

Rule 1: no member is missing, of another type, or one that is not known: a packet is wholly understood, or PeerError.
Rule 2: a descriptor comes with a file that is open, or with the packet of a session that is closed, and with nothing
else.
"""

from __future__ import annotations

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.session import Members, read_members


@frozen
class Ready:
    """The sandbox stands."""


@frozen
class Started:
    number: int


@frozen
class NotStarted:
    number: int
    errno: int
    message: str


@frozen
class Exited:
    """`code`: negative for a signal. `limit`: that it came to, or empty."""

    number: int
    code: int
    limit: str
    timed_out: bool


@frozen
class FileDone:
    """`error`: why not, or empty."""

    number: int
    errno: int
    error: str


@frozen
class Attempted:
    """A receipt, as it is made. `dropped`, `dropped_denied`: how many before it were not told."""

    words: dict[str, str]
    port: int
    count: int
    dropped: int
    dropped_denied: int


@frozen
class Refused:
    """There will be no sandbox. `kind`: of error."""

    kind: str
    message: str


@frozen
class Closed:
    """The session is over: its status, as `run --status-file` writes it; None where there is none."""

    status: dict[str, object] | None


Told = Ready | Started | NotStarted | Exited | FileDone | Attempted | Refused | Closed

WORDS = ("transport", "method", "target", "layer", "phase", "verdict", "host", "proto", "reason", "rule")
"""Of an attempt."""

EXIT_LEAST = -64
"""No signal has a greater number."""


def read_told(raw: bytes, descriptors: int) -> Told:
    """Raises PeerError."""
    members = read_members(raw)
    told = _read(members)
    members.finish()
    most = int(isinstance(told, Closed) or (isinstance(told, FileDone) and not told.error))
    if descriptors > most:
        raise PeerError(f"{descriptors} descriptors beside a packet that has {most} at most")
    return told


def _read(members: Members) -> Told:
    match members.text("step"):
        case "ready":
            return Ready()
        case "started":
            return Started(members.number("number"))
        case "not_started":
            return NotStarted(members.number("number"), members.integer("errno", 0), members.text("message"))
        case "exited":
            return Exited(
                members.number("number"),
                members.integer("code", EXIT_LEAST),
                members.text("limit"),
                members.flag("timed_out"),
            )
        case "file":
            return FileDone(members.number("number"), members.integer("errno", 0), members.text("error"))
        case "refused":
            return Refused(members.text("kind"), members.text("message"))
        case "closed":
            return Closed(members.members("status"))
        case "event":
            return Attempted(
                {name: members.text(name) for name in WORDS},
                members.integer("port", 0),
                members.integer("count", 0),
                members.integer("dropped", 0),
                members.integer("dropped_denied", 0),
            )
        case _:
            raise PeerError("a supervisor's packet of no known kind")
