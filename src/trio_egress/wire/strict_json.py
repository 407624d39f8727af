"""JSON that every reader reads alike (RFC 8259, RFC 7493), or none.

The grammar is the standard library's to read; what it lets by, and others read in another way, is refused here.

Rule 1: what is refused is a row of `Misread`, with why; BadJson is raised, and nothing else.
Rule 2: size, depth and number of values are bounded before anything is built.
"""

from __future__ import annotations

import enum
import json
import math
from typing import Final

from trio_egress.wire.message import BadMessage

TEXT_BYTES: Final = 4 << 20
"""One text (the official SDK of MCP in TypeScript takes 4 MiB)."""

DEPTH: Final = 64
"""Objects and lists inside each other (protobuf's JSON allows 100, .NET 64)."""

VALUES: Final = 200_000
"""Members and items in all; one costs up to 100 bytes."""

NUMBER_CHARS: Final = 309
"""Digits of the greatest number that a double holds."""


class Misread(enum.Enum):
    """What is refused, and why: some reader takes it for something else, or for nothing."""

    SIZE = "it is longer than is read"
    ENCODING = "it isn't UTF-8, and readers guess differently what it is"
    MARK = "it begins with a byte order mark, which some readers refuse and some skip"
    SYNTAX = "it isn't JSON"
    DEPTH = f"it is deeper than {DEPTH} levels, at which readers stop or break"
    VALUES = f"it has more than {VALUES} values"
    REPEATED = "a member stands twice, and readers differ in which one counts"
    CONSTANT = "it has NaN or Infinity, which are no JSON"
    NUMBER = "a number is greater than readers can hold"
    SURROGATE = "a text has half of a surrogate pair, which readers replace, drop or keep"
    NUL = "a member's name has a NUL, at which some readers end it"


class BadJson(BadMessage):
    """A text that can't be taken, and which row of `Misread` says why."""

    def __init__(self, why: Misread, what: str = "the body") -> None:
        super().__init__(f"{what}: {why.value}", 413 if why is Misread.SIZE else 400)
        self.why = why


_ALL_BUT_FRAMES = bytes(byte for byte in range(256) if byte not in b"[]{},")
_AS_LISTS = bytes.maketrans(b"{}", b"[]")


def parse_json(raw: bytes, limit: int = TEXT_BYTES) -> object:
    """The value of one text. Raises BadJson."""
    if len(raw) > limit:
        raise BadJson(Misread.SIZE)
    if raw.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")):
        raise BadJson(Misread.MARK)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson(Misread.ENCODING) from None
    _check_extent(raw)
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_read_object,
            parse_constant=_refuse_constant,
            parse_int=_read_integer,
            parse_float=_read_float,
        )
    except (json.JSONDecodeError, RecursionError):
        raise BadJson(Misread.SYNTAX) from None
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _check_extent(raw: bytes) -> None:
    """How deep and how many, before anything is built. A text that isn't JSON may pass: the reader refuses it."""
    parts = raw.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"', 4 * VALUES)
    frames = b"".join(parts[::2]).translate(_AS_LISTS, _ALL_BUT_FRAMES)  # every other part is a text
    if len(parts) > 4 * VALUES or frames.count(b",") + frames.count(b"[") > VALUES:
        raise BadJson(Misread.VALUES)
    frames = frames.translate(None, b",")
    for _ in range(DEPTH):  # each round takes the innermost pairs away
        if not frames:
            return
        frames = frames.replace(b"[]", b"")
    if frames:
        raise BadJson(Misread.DEPTH)


def _read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadJson(Misread.REPEATED)
    if any("\0" in name for name in members):
        raise BadJson(Misread.NUL)
    return members


def _refuse_constant(_: str) -> object:
    raise BadJson(Misread.CONSTANT)


def _read_integer(digits: str) -> int:
    if len(digits) > NUMBER_CHARS:
        raise BadJson(Misread.NUMBER)
    return int(digits)


def _read_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadJson(Misread.NUMBER)
    return number


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadJson(Misread.SURROGATE) from None
