"""What the answer of a server of MCP is read as, by its status and its type.

Clients differ: some look at how a type begins, some read errors and redirections as any answer, some decode events by
their charset.

Rule 1: a success is of exactly one type, JSON or events, in UTF-8 and uncoded; else it has no body, or, where it only
        says that it took something, words.
Rule 2: of what is no success all is read that has to do with either type; the rest no client takes for messages.
Rule 3: what isn't read in one way raises BadMessage.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

from trio_egress.wire.jsonrpc import Message, parse_message
from trio_egress.wire.message import BadMessage, Fields, ResponseHead
from trio_egress.wire.strict_json import parse_json

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream"
ACCEPTED: Final = 202

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rb"[ \t]*;(?:[ \t]*(%b)=(%b|\"[^\"\\]*\"))?" % (_TOKEN, _TOKEN))
_TYPE = re.compile(rb"(%b/%b)((?:%b)*)[ \t]*" % (_TOKEN, _TOKEN, _PARAMETER.pattern))
_CHARSET = re.compile(rb"charset[^=;,]{0,16}=[ \t]*\"?([^\";, \t]*)")
_UTF_8 = (b"utf-8", b"utf8")


class Reading(enum.Enum):
    """What is read of a body."""

    EVENTS = "each event"
    MESSAGE = "the one message"
    FAILURE = "an error, which may be one of JSON-RPC"
    WORDS = "words in which there is no object"
    NOTHING = "nothing: there must be none"
    UNREAD = "no client takes it for a message"


def find_reading(answer: ResponseHead) -> Reading:
    """Of an answer that may have a body. Raises BadMessage."""
    coded = any(name.lower() == b"content-encoding" for name, _ in answer.fields)
    if not 200 <= answer.status < 300:
        told = b" ".join(_find_types(answer.fields)).lower()
        coded = coded or any(charset not in _UTF_8 for charset in _CHARSET.findall(told))
        if b"event-stream" in told:
            return Reading.NOTHING if coded else Reading.WORDS
        if b"json" in told:
            return Reading.NOTHING if coded else Reading.FAILURE
        return Reading.UNREAD
    kind = read_type(answer.fields)
    if kind not in (JSON, EVENTS):
        return Reading.WORDS if answer.status == ACCEPTED and not coded else Reading.NOTHING
    if coded:
        raise BadMessage("it is coded, though nobody asked for that")
    return Reading.EVENTS if kind == EVENTS else Reading.MESSAGE


def read_type(fields: Fields) -> bytes:
    """The type in lower case, empty where none is told (RFC 9110 8.3). Raises BadMessage."""
    types = _find_types(fields)
    if not types:
        return b""
    found = _TYPE.fullmatch(types[0])
    if len(types) > 1 or found is None:
        raise BadMessage("it is of two types, or of a malformed one")
    for name, value in _PARAMETER.findall(found[2]):
        # A `charset*` is one to readers of RFC 2231.
        if name.lower().startswith(b"charset") and value.strip(b'"').lower() not in _UTF_8:
            raise BadMessage("it isn't in UTF-8")
    return found[1].lower()


def read_failure(raw: bytes) -> Message | None:
    """The message in the body of what is no success, where it is one. Raises BadMessage."""
    if not has_object(raw):
        return None
    value = parse_json(raw)
    items = value if isinstance(value, list) else [value]
    names = {name.casefold() for item in items if isinstance(item, Mapping) for name in item}
    return parse_message(raw) if "jsonrpc" in names else None


def has_object(raw: bytes) -> bool:
    """Whether one could begin in it, as each message does."""
    return b"{" in raw


def _find_types(fields: Fields) -> list[bytes]:
    return [value for name, value in fields if name.lower() == b"content-type"]
