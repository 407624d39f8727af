"""The heads of HTTP/1.1 that nearly all programs write, read in one pass.

Judges nothing: what isn't of the usual form is None, and h11's to judge (`wire/http1.py`).

Rule 1: what is read here h11 takes too, and reads the same (`fuzz/fuzz_usual_heads.py`): HTTP/1.1 with CRLF, printable
ASCII, one Host, at most one Content-Length in plain digits, and no field that changes how the message goes on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_REQUEST = re.compile(rb"([A-Z]{1,16}) ([!-~]+) HTTP/1\.1")
_RESPONSE = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ([ -~]*)")
_NAME, _VALUE = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+", rb"(?:[!-~](?:[ -~]*[!-~])?)?"
_FIELD = re.compile(rb"(%b): ?(%b)\r\n" % (_NAME, _VALUE))
_FIELDS = re.compile(rb"(?:%b: ?%b\r\n)*" % (_NAME, _VALUE))
_LENGTH = re.compile(rb"[0-9]{1,18}")
_UNUSUAL = frozenset((b"transfer-encoding", b"expect", b"upgrade"))

REMEMBERED, REMEMBERED_BYTES = 256, 2048
"""Blocks of fields that were read before, each so long at most: a program's next request has the same ones, mostly, and
what is passed on is read again as it goes out."""


class UsualHead(NamedTuple):
    """`line`: method and target, or status and phrase; `end`: how many bytes the head has, its empty line included."""

    line: tuple[bytes, bytes]
    raw: list[tuple[bytes, bytes]]
    """Fields as they are written."""

    fields: list[tuple[bytes, bytes]]
    """Fields with their names in lower case."""

    end: int

    def count(self, name: bytes) -> int:
        return sum(field == name for field, _ in self.fields)


def read_usual_request(raw: bytes) -> UsualHead | None:
    """The request that these bytes begin with, if they hold its whole head."""
    head = _read(raw, _REQUEST)
    return head if head is not None and head.count(b"host") == 1 else None


def read_usual_response(raw: bytes) -> UsualHead | None:
    """The final answer that these bytes begin with, if they hold its whole head."""
    return _read(raw, _RESPONSE)


def _read(raw: bytes, form: re.Pattern[bytes]) -> UsualHead | None:
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    begin = raw.find(b"\r\n")
    line = form.fullmatch(raw, 0, begin)
    if line is None:
        return None
    block = raw[begin + 2 : end + 2]
    read = _read_fields(block) if len(block) <= REMEMBERED_BYTES else _read_fields.__wrapped__(block)
    return None if read is None else UsualHead((line[1], line[2]), *read, end + 4)


@lru_cache(REMEMBERED)
def _read_fields(block: bytes) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] | None:
    """As they are written, and with their names in lower case; whoever has them changes nothing in them."""
    if not _FIELDS.fullmatch(block):
        return None
    told = _FIELD.findall(block)
    fields = [(name.lower(), value) for name, value in told]
    lengths = [value for name, value in fields if name == b"content-length"]
    if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        return None
    return None if any(name in _UNUSUAL for name, _ in fields) else (told, fields)
