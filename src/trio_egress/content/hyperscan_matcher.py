"""Hyperscan, in block mode: the only file that imports it. Its binding trusts the caller with memory.

Rule 1: a callback lives as long as its database, is of a plain function, and raises nothing; nothing is scanned from
        inside a scan, nor by two threads at once. There is no closing: what is referred to is there.
Rule 2: patterns reach it in its own words (`content.translation`). What it can't take is RE2's to match.
Rule 3: a database is loaded only if it is what `database` gave (see `open_matcher`).
Rule 4: it is fast where all patterns have words in them. Those that have none are compiled apart, and those that need a
        long run of letters and digits are looked for near runs, if there are any, each form of run apart.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import hyperscan

from trio_egress.content.cores import find_core
from trio_egress.content.nearby import BETWEEN, REACH, RUN, RUN_BYTES, must_have_run, shorten
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.signatures import ABOUT_RUNS, RUN_TRIGGER, WITHOUT_WORDS
from trio_egress.content.translation import translate

PROGRAM_MAX = 6000
"""RE2's instructions: patterns of credentials have up to 5,000. Hyperscan took 73 s for one of 6,500."""

MOST_PLACES = 4
"""That are looked at one by one; behind them is looked everywhere."""

_COUNT_BYTES = 4

_Tell = Callable[[int, int, int, int, object], None]


class _Bank(enum.Enum):
    """What is compiled together."""

    WORDS = "words"
    CLASSES = "classes"
    NEAR_RUNS = "words near runs"
    LONG_RUNS = "long runs"
    BASE64 = "base64"
    BASE32 = "base32"
    HEX = "hex"


_NEAR = (_Bank.NEAR_RUNS, _Bank.BASE64, _Bank.BASE32, _Bank.HEX)
"""Of `ABOUT_RUNS`, in its order."""


_Groups = dict[str, list[int]]
"""Expressions, and of each the patterns for which it stands."""


class HyperscanMatcher:
    """A `Matcher`."""

    def __init__(self, patterns: Sequence[str], database: bytes = b"") -> None:
        self._banks = dict(_load(database)) if database else dict(_compile(patterns))
        self._found: list[int] = []
        # Taken by a scan and put back at its end: `pop` is one step, whatever threads there are.
        self._idle = [self._found]
        scans = {
            bank: (compiled.scan, _make_callback(self._found, groups))
            for bank, (groups, compiled) in self._banks.items()
        }
        self._scans = [scans.pop(bank) for bank in (_Bank.WORDS, _Bank.CLASSES) if bank in scans]
        self._near = list(scans.values())
        self._ends: list[int] = []
        self._tell_end = _make_ends_callback(self._ends)
        self._scan_runs = _compile_together([RUN]).scan
        taken = {index for groups, _ in self._banks.values() for group in groups for index in group}
        self._left = [index for index in range(len(patterns)) if index not in taken]
        self._rest = Re2Matcher([patterns[index] for index in self._left]) if self._left else None

    @property
    def database(self) -> bytes:
        parts = {bank: hyperscan.dumpb(compiled) for bank, (_, compiled) in self._banks.items()}
        head = json.dumps(
            [(bank.value, groups, len(parts[bank])) for bank, (groups, _) in self._banks.items()]
        )
        raw = head.encode()
        return b"".join((len(raw).to_bytes(_COUNT_BYTES, "big"), raw, *parts.values())) if parts else b""

    def match(self, data: bytes) -> Sequence[int]:
        found: Sequence[int] = ()
        if data:
            try:
                own = self._idle.pop()
            except IndexError:
                raise RuntimeError("a Hyperscan database is asked while it answers") from None
            try:
                own.clear()
                for scan, tell in self._scans:
                    scan(data, tell)
                if self._near:
                    self._match_near(data)
                if own:
                    found = list(dict.fromkeys(own))
            finally:
                self._idle.append(own)
        if self._rest is None:
            return found
        return [*found, *(self._left[index] for index in self._rest.match(data))]

    def _match_near(self, data: bytes) -> None:
        """A run is looked for behind what is near the last one: to tell of each would take longer."""
        ends = self._ends
        ends.clear()
        self._scan_runs(data, self._tell_end)
        if not ends:
            return
        near: list[bytes] = []
        at = 0
        while ends and len(near) < MOST_PLACES:
            end = at + ends.pop()
            at = end + REACH
            near.append(data[max(0, end - RUN_BYTES - REACH) : at + REACH + RUN_BYTES])
            self._scan_runs(data[at:], self._tell_end)
        if ends:
            near.append(data[max(0, at - REACH) :])
        text = BETWEEN.join(near)
        for scan, tell in self._near:
            scan(text, tell)


def describe_engine() -> str:
    """What a database depends on, besides the processor: Hyperscan's version, and what it was built to use."""
    return f"hyperscan {_compile_together(['trio-egress']).info()!r}"


def _make_callback(found: list[int], groups: Sequence[Sequence[int]]) -> _Tell:
    """A function of lists alone: a method would be made anew for each scan, and die within it."""

    def tell(index: int, start: int, end: int, flags: int, context: object) -> None:
        found.extend(groups[index])

    return tell


def _make_ends_callback(ends: list[int]) -> _Tell:
    def tell(index: int, start: int, end: int, flags: int, context: object) -> None:
        ends.append(end)

    return tell


def _compile(patterns: Sequence[str]) -> Iterator[tuple[_Bank, tuple[list[list[int]], hyperscan.Database]]]:
    """All that can be taken."""
    banks: dict[_Bank, _Groups] = {bank: {} for bank in _Bank}
    for index, pattern in enumerate(patterns):
        if compile_pattern(pattern, "").programsize > PROGRAM_MAX:
            continue
        expressions = list(_express(pattern))
        if None not in (expression for _, expression in expressions):
            for bank, expression in expressions:
                banks[bank].setdefault(str(expression), []).append(index)
    for bank, groups in banks.items():
        try:
            able: Mapping[str, list[int]] = groups
            compiled = _compile_together(able) if able else None
        except hyperscan.error:
            able = {expression: group for expression, group in groups.items() if _is_able(expression)}
            compiled = _compile_together(able) if able else None
        if compiled is not None:
            yield bank, (list(able.values()), compiled)


def _express(pattern: str) -> Iterator[tuple[_Bank, str | None]]:
    """What is looked for, and where: any of it says that the pattern may match."""
    if pattern == RUN_TRIGGER:
        yield from zip(_NEAR, map(translate, ABOUT_RUNS), strict=True)
    elif must_have_run(pattern):
        part = shorten(pattern)
        yield (
            _Bank.LONG_RUNS if part.startswith("[") and part.count("[") == 1 else _Bank.NEAR_RUNS,
            translate(part),
        )
    else:
        yield _Bank.CLASSES if pattern in WITHOUT_WORDS else _Bank.WORDS, translate(find_core(pattern))


def _compile_together(expressions: Collection[str]) -> hyperscan.Database:
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


def _load(raw: bytes) -> Iterator[tuple[_Bank, tuple[list[list[int]], hyperscan.Database]]]:
    end = _COUNT_BYTES + int.from_bytes(raw[:_COUNT_BYTES], "big")
    for bank, groups, size in json.loads(raw[_COUNT_BYTES:end]):
        database = hyperscan.loadb(raw[end : end + size], hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
        end += size
        yield _Bank(bank), (groups, database)
