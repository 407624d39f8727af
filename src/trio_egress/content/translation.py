"""RE2's patterns in the words of an engine that knows bytes alone and has PCRE's syntax.

Rule 1: a translation matches wherever its pattern does, and may match elsewhere. None: there is no such translation.
Rule 2: classes are spelt out, byte by byte, since RE2 and PCRE differ in some (`\\s`, `\\v`, `[[:word:]]`).
Rule 3: in a pattern of text, characters beyond ASCII are their bytes in UTF-8. Where it has a class of such, folds case
        or takes any character, its translation takes any that is beyond ASCII.
Only for patterns that RE2 has compiled: what it refuses isn't looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from trio_egress.content.pattern import is_of_text

_WIDE = r"[\xc2-\xf4][\x80-\xbf]{1,3}"
"""Any character beyond ASCII."""

_FOLDS = re.compile(r"\(\?[a-zA-Z]*i")
_HIGH = re.compile(r"\\x[89a-fA-F]|\\[0-7]")
_CODE = r"\\x\{(?P<code>[0-9A-Fa-f]+)\}|\\x(?P<byte>[0-9A-Fa-f]{2})|\\(?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2})"
_ESCAPE = r"\\[pP](?P<property>\{[^}]*\}|.)|\\(?P<escape>.)"
_OUTSIDE = re.compile(
    rf"\\Q(?P<quoted>.*?)(?:\\E|\Z)|{_CODE}|{_ESCAPE}|(?P<group>\(\?(?:P?<\w+>|[a-zA-Z-]*[:)]))|(?P<plain>.)",
    re.DOTALL,
)
_INSIDE = re.compile(rf"{_CODE}|{_ESCAPE}|\[:(?P<negated>\^?)(?P<named>[a-z]+):\]|(?P<plain>.)", re.DOTALL)
"""Of a class."""

_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}

_DIGIT = frozenset(b"0123456789")
_LOWER = frozenset(range(ord("a"), ord("z") + 1))
_UPPER = frozenset(range(ord("A"), ord("Z") + 1))
_WORD = _DIGIT | _LOWER | _UPPER | frozenset(b"_")
_PRINTED = frozenset(range(0x21, 0x7F))
_SPACE = frozenset(b"\t\n\f\r ")
_ESCAPED = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_NAMED = {
    "alnum": _WORD - {ord("_")},
    "alpha": _LOWER | _UPPER,
    "ascii": frozenset(range(128)),
    "blank": frozenset(b"\t "),
    "cntrl": frozenset(range(32)) | {127},
    "digit": _DIGIT,
    "graph": _PRINTED,
    "lower": _LOWER,
    "print": _PRINTED | {32},
    "punct": _PRINTED - _WORD | {ord("_")},
    "space": _SPACE | {11},
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": _DIGIT | frozenset(b"abcdefABCDEF"),
}


def translate(pattern: str) -> str | None:
    """The pattern for bytes, or None."""
    text, folds = is_of_text(pattern), _FOLDS.search(pattern) is not None
    if folds and not text and _HIGH.search(pattern):
        return None  # RE2 folds the letters of Latin-1 then
    try:
        return "".join(_Translation(pattern, text=text, folds=folds).render())
    except _Untranslatable:
        return None


class _Untranslatable(Exception):
    pass


class _Translation:
    def __init__(self, pattern: str, *, text: bool, folds: bool) -> None:
        self._pattern = pattern
        self._at = 0
        self._text = text
        self._folds = folds
        self._all = frozenset(range(128 if text else 256))

    def render(self) -> Iterator[str]:
        for token in self._read(_OUTSIDE):
            match token.lastgroup:
                case "quoted":
                    yield from map(self._render_character, map(ord, token["quoted"]))
                case "code" | "byte" | "octal":
                    yield self._render_character(_read_code(token))
                case "property":
                    yield self._render_set(self._all, wide=True)
                case "escape":
                    yield self._render_escape(token["escape"])
                case "group":
                    yield token[0]
                case _ if token[0] == "[":
                    yield self._render_class()
                case _ if token[0] == "." and self._text:
                    yield rf"(?:[\x00-\x7f]|{_WIDE})"
                case _ if token[0].isascii() and not token[0].isalpha():
                    yield token[0]
                case _:
                    yield self._render_character(ord(token[0]))

    def _read(self, tokens: re.Pattern[str]) -> Iterator[re.Match[str]]:
        while token := tokens.match(self._pattern, self._at):
            self._at = token.end()
            yield token

    def _render_escape(self, escape: str) -> str:
        if escape in _CONTROLS:
            return f"\\x{_CONTROLS[escape]:02x}"
        if escape.lower() in _ESCAPED:
            chosen = self._find_escaped(escape)
            return self._render_set(chosen & self._all, wide=escape.isupper())
        if escape in "AzbB":
            return f"\\{escape}"
        if escape.isalnum():
            raise _Untranslatable
        return self._render_character(ord(escape))

    def _render_character(self, code: int) -> str:
        if code < 128:
            char = f"\\x{code:02x}" if not chr(code).isalnum() else chr(code)
            # The Kelvin sign is a k, and the long s an s.
            return f"(?:{char}|{_WIDE})" if self._text and self._folds and chr(code) in "kKsS" else char
        if not self._text:
            return f"\\x{code:02x}"
        if self._folds:
            # What is beyond ASCII may be an ASCII letter in another case.
            return rf"(?:[A-Za-z]|{_WIDE})"
        return "(?:" + "".join(f"\\x{byte:02x}" for byte in chr(code).encode()) + ")"

    def _render_set(self, chosen: frozenset[int], *, wide: bool) -> str:
        shown = f"[{''.join(_list_ranges(chosen))}]" if chosen else ""
        if wide and self._text:
            return f"(?:{shown}|{_WIDE})" if shown else f"(?:{_WIDE})"
        if not shown:
            raise _Untranslatable
        return shown

    def _render_class(self) -> str:
        chosen, wide, negated = self._read_class()
        # The flag may hold elsewhere alone: what is left out is left out as it stands.
        if self._folds and not negated:
            letters = frozenset(code for code in chosen if code in _LOWER | _UPPER)
            chosen |= {code ^ 0x20 for code in letters}
            wide = wide or bool(letters)
        return self._render_set(self._all - chosen if negated else chosen & self._all, wide=wide or negated)

    def _read_class(self) -> tuple[frozenset[int], bool, bool]:
        """What is in it of single bytes, whether more is, and whether it is what isn't in it."""
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        chosen: set[int] = set()
        wide = False
        previous: int | None = None
        begin: int | None = None
        first = True
        for token in self._read(_INSIDE):
            if token[0] == "]" and not first:
                # A `-` at the end, or between what is no range, is itself.
                return frozenset(chosen | ({ord("-")} if begin is not None else set())), wide, negated
            first = False
            if token[0] == "-" and previous is not None:
                begin, previous = previous, None
                continue
            several, several_wide = self._read_several(token, negated=negated)
            if several is not None:
                chosen |= several | ({ord("-")} if begin is not None else set())
                wide = wide or several_wide
                begin = previous = None
                continue
            code = self._read_one(token)
            chosen.update(range(code if begin is None else begin, min(code, 255) + 1))
            wide = wide or code > 127
            previous, begin = (code, None) if begin is None else (None, None)
        raise _Untranslatable

    def _read_several(self, token: re.Match[str], *, negated: bool) -> tuple[frozenset[int] | None, bool]:
        match token.lastgroup:
            case "property" if negated:
                raise _Untranslatable
            case "property":
                return self._all, True
            case "named" if token["named"] in _NAMED:
                named = _NAMED[token["named"]]
                return (self._all - named, True) if token["negated"] else (named, False)
            case "escape" if token["escape"].lower() in _ESCAPED:
                return self._find_escaped(token["escape"]), token["escape"].isupper()
            case _:
                return None, False

    def _read_one(self, token: re.Match[str]) -> int:
        match token.lastgroup:
            case "code" | "byte" | "octal":
                return _read_code(token)
            case "escape" if token["escape"] in _CONTROLS:
                return _CONTROLS[token["escape"]]
            case "escape" if not token["escape"].isalnum():
                return ord(token["escape"])
            case "plain":
                return ord(token[0])
            case _:
                raise _Untranslatable

    def _find_escaped(self, escape: str) -> frozenset[int]:
        chosen = _ESCAPED[escape.lower()]
        return self._all - chosen if escape.isupper() else chosen


def _read_code(token: re.Match[str]) -> int:
    if token["octal"] is not None:
        return int(token["octal"], 8)
    return int(token["code"] or token["byte"], 16)


def _list_ranges(chosen: frozenset[int]) -> Iterator[str]:
    """Of what stands in a class, each with its first and last."""
    codes = sorted(chosen)
    first = 0
    for place, code in enumerate(codes):
        if place + 1 == len(codes) or codes[place + 1] != code + 1:
            yield f"\\x{codes[first]:02x}" + (f"-\\x{code:02x}" if code > codes[first] else "")
            first = place + 1
