"""Text as a model reads it through two disguises: letters that stand apart, and digits in the place of letters.

Rule 1: only where a word of orders stands so (`content.order_words`): a spaced heading or a number costs nothing.
Rule 2: what is made of it is for detectors of instructions alone. Of tokens it says nothing: there a digit is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from trio_egress.content.escapes import make_piece
from trio_egress.content.order_words import MARKS
from trio_egress.content.piece import Budget, Piece

_LETTER: Final = rb"(?:[!#-;=?-\[\]-z|~]|[\xc2-\xf4][\x80-\xbf]{1,3})"
"""None that ends a string of JSON, a tag or an escape."""

_APART: Final = re.compile(
    rb"(?:(?<![A-Za-z0-9\x80-\xff])|(?<=\\[nrt]))%b(?P<mark>[%b])%b(?:(?P=mark)%b)*(?![A-Za-z0-9\x80-\xff])"
    % (_LETTER, re.escape("".join(MARKS).encode()), _LETTER, _LETTER)
)
_MIXED: Final = re.compile(
    rb"(?<![A-Za-z0-9@$!])(?:(?=[0-9@$!]{0,64}[A-Za-z])(?=[A-Za-z]{0,64}[0-9@$!])[A-Za-z0-9@$!]{2,64}(?<!!)"
    rb"|(?:41|14)(?![A-Za-z0-9]))"
)
"""A word of letters and of what stands for such; "AI", too, and "IA"."""

_LETTERS: Final = bytes.maketrans(b"013457@8$!", b"oieastabsi")
_ALL: Final = re.compile(rb"[aA4@][1lL][1lL]")
"""In which a 1 is no i."""


def decode_apart(data: bytes, budget: Budget) -> Iterator[Piece]:
    if budget.take(len(data)):
        yield from make_piece(data, _APART.sub(_join, data), _APART, _join)


def decode_digits(data: bytes, budget: Budget) -> Iterator[Piece]:
    if budget.take(len(data)):
        yield from make_piece(data, _MIXED.sub(_spell, data), _MIXED, _spell)


def _join(found: re.Match[bytes]) -> bytes:
    """Each second character: what stands between letters is one, always the same."""
    return found[0].decode("utf-8", "replace")[::2].encode()


def _spell(found: re.Match[bytes]) -> bytes:
    word: bytes = found[0]
    return b"all" if _ALL.fullmatch(word) else word.translate(_LETTERS)
