"""What a supervisor and the program that decides for it say to each other: questions one way, answers the other.

A frame is the length of its body (four bytes, big-endian), and the body, one JSON object with exactly the members that
are named here.

Rule 1: a question is answered once, by its number; an answer to none, or a second one, is an error.
Rule 2: an answer to a question that is over is passed over. Whoever has to give it is told that it is over, and
        answers all the same.
Rule 3: a frame of more than FRAME_BYTES is refused by its length alone. What is fed raises PeerError, and nothing else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from trio_egress.errors import PeerError
from trio_egress.values import frozen

FRAME_BYTES: Final = 32 * 1024
TEXT_CHARS: Final = 256
LATE_MOST: Final = 1024
"""Questions that are over and were never answered: a program that answers none of so many is gone."""

_HEAD = struct.Struct(">I")
_ASKED: Mapping[str, tuple[type, ...]] = {
    "id": (int,),
    "transport": (str,),
    "protocol": (str,),
    "host": (str,),
    "port": (int,),
    "method": (str, type(None)),
    "path": (str, type(None)),
    "query": (list,),
    "secure": (bool,),
    "websocket": (bool,),
    "service": (str, type(None)),
    "rule": (str,),
    "reason": (str,),
    "marked": (bool,),
    "seconds": (int,),
}
_OVER: Mapping[str, tuple[type, ...]] = {"over": (int,)}
_ANSWER: Mapping[str, tuple[type, ...]] = {"id": (int,), "allow": (bool,), "by": (str,), "reason": (str,)}


@frozen
class Answer:
    allow: bool
    by: str
    reason: str


class Frames:
    """Bodies out of bytes, whatever pieces these come in."""

    def __init__(self, *kinds: Mapping[str, tuple[type, ...]]) -> None:
        """Each body has the members of one of them."""
        self._kinds = kinds
        self._pending = b""

    def feed(self, raw: bytes) -> list[dict[str, Any]]:
        """Raises PeerError; nothing may be fed after that."""
        self._pending += raw
        found = []
        while len(self._pending) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._pending)
            if size > FRAME_BYTES:
                raise PeerError(f"a frame of {size} bytes is over the bound of {FRAME_BYTES}")
            if len(self._pending) < _HEAD.size + size:
                break
            body, self._pending = self._pending[_HEAD.size :][:size], self._pending[_HEAD.size + size :]
            found.append(_parse(body, self._kinds))
        return found


class Asker:
    """The supervisor's side."""

    def __init__(self) -> None:
        self._frames = Frames(_ANSWER)
        self._last = 0
        self._open: set[int] = set()
        self._late: set[int] = set()

    def ask(self, **fields: object) -> tuple[int, bytes]:
        """The question's number, and its frame. Raises ValueError where it is too long to be asked."""
        raw = render_frame({"id": self._last + 1, **fields}, _ASKED)
        self._last += 1
        self._open.add(self._last)
        return self._last, raw

    def end(self, number: int) -> bytes:
        """It is over: what to say of it, nothing where it was answered. Raises PeerError where too many never were."""
        if number not in self._open:
            return b""
        self._open.discard(number)
        self._late.add(number)
        if len(self._late) > LATE_MOST:
            raise PeerError(f"more than {LATE_MOST} questions were never answered")
        return render_frame({"over": number}, _OVER)

    def feed(self, raw: bytes) -> list[tuple[int, Answer]]:
        """Answers to questions that stand. Raises PeerError."""
        found = []
        for body in self._frames.feed(raw):
            number = body["id"]
            if number in self._late:
                self._late.discard(number)
            elif number in self._open:
                self._open.discard(number)
                if len(body["by"]) > TEXT_CHARS or len(body["reason"]) > TEXT_CHARS:
                    raise PeerError(f"a text of an answer is longer than {TEXT_CHARS} characters")
                found.append((number, Answer(body["allow"], body["by"], body["reason"])))
            else:
                raise PeerError(f"question {number} is not one that waits for an answer")
        return found


class Decider:
    """The program's side."""

    def __init__(self) -> None:
        self._frames = Frames(_ASKED, _OVER)

    def feed(self, raw: bytes) -> list[dict[str, Any]]:
        """Questions, each with the members of _ASKED; of one that is over, `over` has the number. Raises PeerError."""
        return self._frames.feed(raw)

    def answer(self, number: int, allow: bool, by: str, reason: str = "") -> bytes:
        body = {"id": number, "allow": allow, "by": by[:TEXT_CHARS], "reason": reason[:TEXT_CHARS]}
        return render_frame(body, _ANSWER)


def render_frame(body: Mapping[str, object], members: Mapping[str, tuple[type, ...]]) -> bytes:
    """Raises ValueError."""
    _check(body, members)
    raw = json.dumps(body).encode("ascii")
    if len(raw) > FRAME_BYTES:
        raise ValueError(f"a frame of {len(raw)} bytes is over the bound of {FRAME_BYTES}")
    return _HEAD.pack(len(raw)) + raw


def _parse(raw: bytes, kinds: Sequence[Mapping[str, tuple[type, ...]]]) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode("ascii"), object_pairs_hook=_read_once)
        named = isinstance(body, dict) and next((kind for kind in kinds if body.keys() == kind.keys()), None)
        _check(body, named or kinds[0])
    except (ValueError, RecursionError) as error:
        raise PeerError(f"the body of a frame can't be read: {error}") from None
    return dict(body)


def _read_once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("a member stands there twice")
        found[name] = value
    return found


def _check(body: object, members: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(body, dict) or body.keys() != members.keys():
        raise ValueError(f"it has other members than {', '.join(members)}")
    for name, types in members.items():
        value = body[name]
        if type(value) not in types:
            raise ValueError(f"{name} is not what it must be")
        if type(value) is list and not all(type(item) is str for item in value):
            raise ValueError(f"{name} is no list of texts")
