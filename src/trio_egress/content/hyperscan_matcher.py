"""Hyperscan, in block mode: the only file that imports it. Its binding trusts the caller with memory.

Rule 1: the callback lives as long as the database, is of a plain function, and raises nothing; nothing is scanned from
        inside a scan, nor by two threads at once. There is no closing: what is referred to is there.
Rule 2: patterns reach it in its own words (`content.translation`). What it can't take is RE2's to match.
Rule 3: a database is loaded only if it is what `database` gave (see `open_matcher`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence

import hyperscan

from trio_egress.content.pattern import compile_pattern
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.translation import find_core, translate

PROGRAM_MAX = 6000
"""RE2's instructions: patterns of credentials have up to 5,000. Hyperscan took 73 s for one of 6,500."""

_COUNT_BYTES = 4


class HyperscanMatcher:
    """A `Matcher`."""

    def __init__(self, patterns: Sequence[str], database: bytes = b"") -> None:
        if database:
            self._groups, compiled = _load(database)
        else:
            self._groups, compiled = _compile(patterns)
        self._compiled = compiled
        self._found: list[int] = []
        # Taken by a scan and put back at its end: `pop` is one step, whatever threads there are.
        self._idle = [self._found]
        self._tell = _make_callback(self._found, self._groups)
        taken = {index for group in self._groups for index in group}
        self._left = [index for index in range(len(patterns)) if index not in taken]
        self._rest = Re2Matcher([patterns[index] for index in self._left]) if self._left else None

    @property
    def database(self) -> bytes:
        if self._compiled is None:
            return b""
        groups = json.dumps(self._groups).encode()
        return len(groups).to_bytes(_COUNT_BYTES, "big") + groups + hyperscan.dumpb(self._compiled)

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


def _make_callback(found: list[int], groups: list[list[int]]) -> Callable[[int, int, int, int, object], None]:
    """A function of lists alone: a method would be made anew for each scan, and die within it."""

    def tell(index: int, start: int, end: int, flags: int, context: object) -> None:
        found.extend(groups[index])

    return tell


def _compile(patterns: Sequence[str]) -> tuple[list[list[int]], hyperscan.Database | None]:
    """All that can be taken, and of each expression the patterns for which it stands."""
    groups: dict[str, list[int]] = {}
    for index, pattern in enumerate(patterns):
        if compile_pattern(pattern, "").programsize > PROGRAM_MAX:
            continue
        expression = translate(find_core(pattern))
        if expression:
            groups.setdefault(expression, []).append(index)
    try:
        return list(groups.values()), _compile_together(groups)
    except hyperscan.error:
        pass
    able = {expression: group for expression, group in groups.items() if _is_able(expression)}
    try:
        return list(able.values()), _compile_together(able)
    except hyperscan.error:
        return [], None


def _compile_together(expressions: Collection[str]) -> hyperscan.Database | None:
    if not expressions:
        return None
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[expression.encode() for expression in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        # What is too large is made smaller by this, and matches more.
        flags=hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_PREFILTER,
    )
    return database


def _is_able(expression: str) -> bool:
    try:
        _compile_together([expression])
    except hyperscan.error:
        return False
    return True


def _load(raw: bytes) -> tuple[list[list[int]], hyperscan.Database | None]:
    end = _COUNT_BYTES + int.from_bytes(raw[:_COUNT_BYTES], "big")
    database = hyperscan.loadb(raw[end:], hyperscan.HS_MODE_BLOCK)
    database.scratch = hyperscan.Scratch(database)
    return json.loads(raw[_COUNT_BYTES:end]), database
