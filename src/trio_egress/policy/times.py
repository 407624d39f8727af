"""The hours in which a rule holds: `Mon-Fri 08:00-18:00 UTC`.

Knows no clock and no zone but UTC: a reviewer must not have to know when summer begins.

Rule 1: a window is one day or a range of days, and hours of the same day; what passes midnight is two windows.
Rule 2: the first minute is in it, and the last one is not; 24:00 is the end of a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from trio_egress.values import frozen

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE = '"Mon-Fri 08:00-18:00 UTC"'

_FORM = re.compile(
    r"(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))? (?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d) UTC",
    re.ASCII,
)
_MINUTES = 24 * 60
_MINUTE_US = 60_000_000
_EPOCH_DAY = 3
"""1970-01-01 was a Thursday."""


@frozen
class Window:
    """Days by their place in the week, and minutes of the day; each `last` day is in it, `end` is not."""

    first: int
    last: int
    begin: int
    end: int

    def __str__(self) -> str:
        days = DAYS[self.first] + (f"-{DAYS[self.last]}" if self.last != self.first else "")
        return f"{days} {_render_minute(self.begin)}-{_render_minute(self.end)} UTC"

    def holds(self, now_us: int) -> bool:
        """At this time, in microseconds of Unix time."""
        day, minute = divmod(now_us // _MINUTE_US, _MINUTES)
        return self.first <= (day + _EPOCH_DAY) % 7 <= self.last and self.begin <= minute < self.end

    def find_edges(self) -> Iterator[int]:
        """The first and the last minute of each of its days, in some week, in microseconds of Unix time."""
        for day in range(self.first, self.last + 1):
            for minute in (self.begin, self.end - 1):
                yield ((day - _EPOCH_DAY) % 7 * _MINUTES + minute) * _MINUTE_US


def parse_window(raw: str) -> Window:
    """Raises ValueError with a reason."""
    found = _FORM.fullmatch(raw)
    if found is None:
        raise ValueError(f"a time is written as {EXAMPLE}: a day or a range of days, hours, and UTC")
    first = _parse_day(found["first"])
    last = _parse_day(found["last"]) if found["last"] else first
    if last < first:
        raise ValueError("a range of days goes forward in a week that begins on Monday; write two windows")
    begin, end = _parse_minute(found["begin"]), _parse_minute(found["end"])
    if end <= begin:
        raise ValueError("the hours end before they begin; write what passes midnight as two windows")
    return Window(first, last, begin, end)


def _parse_day(word: str) -> int:
    if word not in DAYS:
        raise ValueError(f"{word} is not a day: the days are {', '.join(DAYS)}")
    return DAYS.index(word)


def _parse_minute(text: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:])
    if minutes > 59 or hours * 60 + minutes > _MINUTES:
        raise ValueError(f"{text} is not a time of day: 00:00 to 24:00")
    return hours * 60 + minutes


def _render_minute(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
