"""Numbers, sizes and times as people read them. Always the same for the same value: no locale, no time zone."""

from __future__ import annotations

from trio_egress.evidence.receipt import parse_timestamp

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def render_count(count: int) -> str:
    return f"{count:,}"


def count_of(count: int, noun: str, plural: str = "") -> str:
    """`1 host`, `2 hosts`, `1,200 hosts`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def render_bytes(size: int) -> str:
    """`738 B`, `1.4 KiB`; two figures at least."""
    if size < 1024:
        return f"{size} B"
    amount, place = size / 1024, 0
    while amount >= 1023.5 and place < len(_UNITS) - 1:
        amount, place = amount / 1024, place + 1
    unit = _UNITS[place]
    return f"{amount:.1f} {unit}" if amount < 99.95 else f"{amount:,.0f} {unit}"


def render_seconds(nanoseconds: int) -> str:
    """`4 ms`, `0.27 s`, `12.4 s`, `3 min 20 s`, `2 h 05 min`, `3 d 04 h`."""
    milliseconds = max(0, nanoseconds) // 1_000_000
    seconds = milliseconds // 1000
    if milliseconds < 100:
        return f"{milliseconds} ms"
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.2f} s"
    if seconds < 60:
        return f"{milliseconds / 1000:.1f} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours == 0:
        return f"{minutes} min {seconds % 60:02} s"
    return f"{hours} h {minutes % 60:02} min" if days == 0 else f"{days} d {hours % 24:02} h"


def render_moment(timestamp: str) -> str:
    """`2026-11-22 12:18:55 UTC` of a receipt's time; '' for what is none."""
    if parse_timestamp(timestamp) is None:
        return ""
    return f"{timestamp[:10]} {timestamp[11:19]} UTC"


def find_span(started_at: str, ended_at: str) -> tuple[int, int]:
    """Both in nanoseconds, the end never before the start; (0, 0) where a time is none."""
    start, end = parse_timestamp(started_at), parse_timestamp(ended_at)
    if start is None or end is None:
        return 0, 0
    return start, max(start, end)
