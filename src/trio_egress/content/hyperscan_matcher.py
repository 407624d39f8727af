"""Hyperscan, in block mode: the only file that imports it. Its binding trusts the caller with memory.

Rule 1: the callback lives as long as the database, is of a plain function, and raises nothing; nothing is scanned from
        inside a scan, nor by two threads at once. There is no closing: what is referred to is there.
Rule 2: patterns reach it with RE2's meaning (`_adapt`). What it can't take, and what is of text, is RE2's to match.
Rule 3: a database is loaded only if it is what `database` gave (see `open_matcher`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import hyperscan

from trio_egress.content.pattern import is_of_text
from trio_egress.content.re2_matcher import Re2Matcher

_FOLDS = re.compile(r"\(\?[a-zA-Z]*i")
_HIGH = re.compile(r"\\x[89a-fA-F]|\\[0-7]")

_SPACE = r"\t\n\f\r\x20"
_NO_SPACE = r"\x00-\x08\x0b\x0e-\x1f\x21-\xff"
_IN_CLASS = {"s": _SPACE, "S": _NO_SPACE, "v": r"\x0b"}
_ALONE = {"s": f"[{_SPACE}]", "S": f"[{_NO_SPACE}]", "v": r"\x0b"}
"""What Hyperscan, as PCRE, takes for more than RE2 does, and so its opposite for less."""

_COUNT_BYTES = 4


class HyperscanMatcher:
    """A `Matcher`."""

    def __init__(self, patterns: Sequence[str], database: bytes = b"") -> None:
        self._found: list[int] = []
        # Taken by a scan and put back at its end: `pop` is one step, whatever threads there are.
        self._idle = [self._found]
        self._tell = _make_callback(self._found)
        if database:
            taken, compiled = _load(database)
        else:
            taken, compiled = _compile({i: adapt(p) for i, p in enumerate(patterns) if can_take(p)})
        self._taken, self._compiled = taken, compiled
        self._left = sorted(set(range(len(patterns))) - set(self._taken))
        self._rest = Re2Matcher([patterns[index] for index in self._left]) if self._left else None

    @property
    def database(self) -> bytes:
        if self._compiled is None:
            return b""
        places = b"".join(index.to_bytes(_COUNT_BYTES, "big") for index in self._taken)
        return len(self._taken).to_bytes(_COUNT_BYTES, "big") + places + hyperscan.dumpb(self._compiled)

    def match(self, data: bytes) -> Sequence[int]:
        found: Sequence[int] = ()
        if self._compiled is not None and data:
            try:
                own = self._idle.pop()
            except IndexError:
                raise RuntimeError("a Hyperscan database is asked while it answers") from None
            try:
                own.clear()
                self._compiled.scan(data, match_event_handler=self._tell)
                if own:
                    found = own.copy()
            finally:
                self._idle.append(own)
        if self._rest is None:
            return found
        return [*found, *(self._left[index] for index in self._rest.match(data))]


def describe_engine() -> str:
    """What a database depends on, besides the processor: Hyperscan's version, and what it was built to use."""
    tried = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    tried.compile(expressions=[b"trio-egress"], ids=[0], elements=1, flags=0)
    return f"hyperscan {tried.info()!r}"


def can_take(pattern: str) -> bool:
    """Whether it is one of bytes whose letters are folded as RE2 does."""
    return not is_of_text(pattern) and not (_FOLDS.search(pattern) and _HIGH.search(pattern))


def adapt(pattern: str) -> str:
    """The same pattern, with no escape that Hyperscan takes for something else."""
    out: list[str] = []
    at, in_class = 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and pattern[at + 1 : at + 2] == "Q":
            end = pattern.find("\\E", at)
            end = len(pattern) if end < 0 else end + 2
            out.append(re.escape(pattern[at + 2 : end].removesuffix("\\E")))
            at = end
            continue
        if char == "\\":
            escape = pattern[at + 1]
            out.append((_IN_CLASS if in_class else _ALONE).get(escape, char + escape))
            at += 2
            continue
        if in_class:
            named = re.compile(r"\[:\^?\w+:\]").match(pattern, at)
            if named:
                out.append(named[0])
                at = named.end()
                continue
            in_class = char != "]"
            out.append("\\[" if char == "[" else char)
        elif char == "[":
            # A `]` that comes first stands for itself.
            head = re.compile(r"\[\^?\]?").match(pattern, at)
            assert head is not None
            out.append(head[0].replace("]", "\\]"))
            in_class = True
            at = head.end()
            continue
        else:
            out.append(char)
        at += 1
    return "".join(out)


def _make_callback(found: list[int]) -> Callable[[int, int, int, int, object], None]:
    """A function of the list alone: a method would be made anew for each scan, and die within it."""

    def tell(index: int, start: int, end: int, flags: int, context: object) -> None:
        found.append(index)

    return tell


def _compile(patterns: dict[int, str]) -> tuple[list[int], hyperscan.Database | None]:
    """All that can be taken, and which those are."""
    try:
        return list(patterns), _compile_together(patterns)
    except hyperscan.error:
        pass
    able = {index: pattern for index, pattern in patterns.items() if _is_able(pattern)}
    try:
        return list(able), _compile_together(able)
    except hyperscan.error:
        return [], None


def _compile_together(patterns: dict[int, str]) -> hyperscan.Database | None:
    if not patterns:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[pattern.encode() for pattern in patterns.values()],
        ids=list(patterns),
        elements=len(patterns),
        flags=hyperscan.HS_FLAG_SINGLEMATCH,
    )
    return database


def _is_able(pattern: str) -> bool:
    try:
        _compile_together({0: pattern})
    except hyperscan.error:
        return False
    return True


def _load(raw: bytes) -> tuple[list[int], hyperscan.Database | None]:
    count = int.from_bytes(raw[:_COUNT_BYTES], "big")
    end = _COUNT_BYTES * (count + 1)
    taken = [
        int.from_bytes(raw[at : at + _COUNT_BYTES], "big") for at in range(_COUNT_BYTES, end, _COUNT_BYTES)
    ]
    database = hyperscan.loadb(raw[end:], hyperscan.HS_MODE_BLOCK)
    database.scratch = hyperscan.Scratch(database)
    return taken, database
