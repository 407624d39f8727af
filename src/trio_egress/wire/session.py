"""What a program asks of the supervisor of its session: one JSON object a packet, descriptors beside it.

Rule 1: no member is missing, of another type, or one that is not known: a packet is wholly understood, or PeerError.
Rule 2: a request's number is the program's own, and comes back with each answer.
"""

from __future__ import annotations

import math

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage
from trio_egress.wire.strict_json import parse_json

MESSAGE_BYTES = 65_536
"""Of one packet."""

NUMBER_MAX = 2**53 - 1
SECONDS_MAX = 1e9
"""Longer than anything lasts; the command line has the same bound."""

STREAMS = 3


@frozen
class Spawn:
    """A command, with its streams beside it. `directory`: from the working directory. `environment`: beside the
    session's own. `timeout`: in seconds."""

    number: int
    argv: tuple[str, ...]
    directory: str
    environment: dict[str, str]
    timeout: float | None


@frozen
class Signal:
    number: int
    signal: int


@frozen
class Kill:
    """All that a command has started."""

    number: int


@frozen
class File:
    """To be read, or to be written with what the descriptor beside it has."""

    number: int
    path: str
    writes: bool


@frozen
class Close:
    """The session is over."""


Request = Spawn | Signal | Kill | File | Close

DESCRIPTORS = {Spawn: STREAMS, File: 1}
"""The most that come with a request; with all others, none."""


def read_request(raw: bytes, descriptors: int) -> Request:
    """Raises PeerError."""
    taken = read_members(raw)
    request = _read(taken)
    taken.finish()
    wanted = int(request.writes) if isinstance(request, File) else DESCRIPTORS.get(type(request), 0)
    if descriptors != wanted:
        raise PeerError(f"{descriptors} descriptors beside a request that takes {wanted}")
    return request


def _read(taken: Members) -> Request:
    match taken.text("step"):
        case "spawn":
            return Spawn(
                taken.number("number"),
                taken.words("argv"),
                taken.text("directory"),
                taken.texts("environment"),
                taken.seconds("timeout"),
            )
        case "signal":
            return Signal(taken.number("number"), taken.number("signal"))
        case "kill":
            return Kill(taken.number("number"))
        case "read":
            return File(taken.number("number"), taken.text("path"), writes=False)
        case "write":
            return File(taken.number("number"), taken.text("path"), writes=True)
        case "close":
            return Close()
        case _:
            raise PeerError("a session's request of no known kind")


def read_members(raw: bytes) -> Members:
    """Raises PeerError."""
    try:
        members = parse_json(raw, MESSAGE_BYTES)
    except BadMessage as error:
        raise PeerError(f"a session's packet: {error}") from None
    if not isinstance(members, dict):
        raise PeerError("a session's packet is an object")
    return Members(members)


class Members:
    """Of an object, each taken once."""

    def __init__(self, members: dict[str, object]) -> None:
        self._members = dict(members)

    def finish(self) -> None:
        if self._members:
            raise PeerError("a session's packet has members that are not known")

    def text(self, name: str) -> str:
        value = self._take(name)
        if not _is_text(value):
            raise PeerError(f"{name} must be a text without NUL")
        return str(value)

    def number(self, name: str) -> int:
        value = self._take(name)
        if type(value) is not int or not 0 < value <= NUMBER_MAX:
            raise PeerError(f"{name} must be a positive number")
        return value

    def integer(self, name: str, least: int = -NUMBER_MAX) -> int:
        value = self._take(name)
        if type(value) is not int or not least <= value <= NUMBER_MAX:
            raise PeerError(f"{name} must be a whole number from {least} on")
        return value

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if type(value) is not bool:
            raise PeerError(f"{name} must be true or false")
        return value

    def members(self, name: str) -> dict[str, object] | None:
        """Whatever is in it, or null."""
        value = self._take(name)
        if value is not None and not isinstance(value, dict):
            raise PeerError(f"{name} must be an object or null")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        value = self._take(name)
        if not isinstance(value, list) or not value or not all(map(_is_text, value)) or not value[0]:
            raise PeerError(f"{name} must be a list of texts, the first not empty")
        return tuple(map(str, value))

    def texts(self, name: str) -> dict[str, str]:
        value = self._take(name)
        if not isinstance(value, dict) or not all(map(_is_text, value.values())):
            raise PeerError(f"{name} must be an object of texts")
        if not all(key and _is_text(key) and "=" not in key for key in value):
            raise PeerError(f"{name} has a name that no variable can have")
        return {str(key): str(text) for key, text in value.items()}

    def seconds(self, name: str) -> float | None:
        value = self._take(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not isinstance(value, (int, float)):
            raise PeerError(f"{name} must be a number of seconds")
        if not math.isfinite(value) or not 0 < value < SECONDS_MAX:
            raise PeerError(f"{name} must be a positive number of seconds")
        return float(value)

    def _take(self, name: str) -> object:
        if name not in self._members:
            raise PeerError(f"a session's packet without {name}")
        return self._members.pop(name)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
