"""Hyperscan, in block mode: the only file that imports it. Its binding trusts the caller with memory.

Rule 1: the callback lives as long as the database, is of a plain function, and raises nothing; nothing is scanned from
        inside a scan, nor by two threads at once. There is no closing: what is referred to is there.
Rule 2: patterns reach it in its own words (`content.translation`). What it can't take is RE2's to match.
Rule 3: a database is loaded only if it is what `database` gave (see `open_matcher`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import hyperscan

from trio_egress.content.pattern import compile_pattern
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.translation import translate

PROGRAM_MAX = 6000
"""RE2's instructions: patterns of credentials have up to 5,000. Hyperscan took 73 s for one of 6,500."""

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
            translated = {index: _translate(pattern) for index, pattern in enumerate(patterns)}
            taken, compiled = _compile({i: pattern for i, pattern in translated.items() if pattern})
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


def _translate(pattern: str) -> str | None:
    return translate(pattern) if compile_pattern(pattern, "").programsize <= PROGRAM_MAX else None


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
