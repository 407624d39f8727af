"""A line as it may be shown: what was found in it is masked, and the rest is printable ASCII, bounded.

Rule 1: of a secret no more is shown than MASK_CHARS of its beginning, and never more than an eighth of it; of one that
        was found in a decoded text, nothing.
Rule 2: what is shown can be neither a control sequence of a terminal nor a command of a CI's log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from trio_egress.content.detector import Finding
from trio_egress.model import Kind
from trio_egress.values import frozen

BEFORE_BYTES = 60
BEHIND_BYTES = 60
MASK_CHARS = 4
MASK = "*" * 8
TEXT_CHARS = 80
"""Of what was found and is no secret."""

OPEN = (Kind.INSTRUCTION, Kind.HIDDEN)
"""What was found may be shown: it is no secret, and whoever reads it should see what it says."""

_COMMAND = re.compile(r"##(?=\[)|::")
_SHORT_BYTES = 4


@frozen
class Excerpt:
    """`text`, of which `mark` characters from `at` on are the finding; `value` is that alone."""

    text: str
    at: int
    mark: int
    value: str


@frozen
class Span:
    """Bytes of a message that are shown as `shown` alone."""

    start: int
    end: int
    shown: str


def mask(finding: Finding, raw: bytes) -> Span | None:
    """How a finding is shown; `raw` is what stands at its place. None: as it is."""
    if finding.detector.kind in OPEN:
        return None
    value, start, end = finding.value, finding.start, finding.end
    at = -1 if finding.via else raw.find(value)
    if at >= 0 and value:
        start, end = start + at, start + at + len(value)
    few = min(MASK_CHARS, len(value) // 8) if at >= 0 else 0
    return Span(start, end, escape(value[:few]) + MASK)


def make_excerpt(raw: bytes, begin: int, finding: Finding, masks: Sequence[tuple[Span, bytes]]) -> Excerpt:
    """`raw` begins at `begin` in the message: the lines of the finding. `masks`: of it and of those near it."""
    low = max(begin, finding.start - BEFORE_BYTES)
    high = min(begin + len(raw), finding.end + BEHIND_BYTES)
    near = [(span, value) for span, value in masks if span.end > begin and span.start < begin + len(raw)]
    spans = _join(near, raw, begin)
    before = _render(raw, begin, low, finding.start, spans)
    value = _render(raw, begin, finding.start, finding.end, spans)
    behind = _render(raw, begin, finding.end, high, spans)
    value = value if len(value) <= TEXT_CHARS else value[: TEXT_CHARS - 3] + "..."
    lead = "..." if low > begin else ""
    return Excerpt(f"{lead}{before}{value}{behind}", len(lead) + len(before), max(1, len(value)), value)


def mask_all(raw: bytes, spans: list[Span]) -> str:
    """A whole text, such as a name, with these parts masked."""
    return _render(raw, 0, 0, len(raw), _merge(spans))


def escape(raw: bytes) -> str:
    """Printable ASCII, on one line."""
    text = raw.decode("utf-8", "backslashreplace").replace("\t", " ")
    plain = "".join(c if c.isascii() and c.isprintable() else _spell(c) for c in text)
    return _COMMAND.sub(lambda found: f"{found[0][0]}\\x{ord(found[0][1]):02x}", plain)


def escape_name(name: str) -> str:
    """A path on one line."""
    return escape(name.encode("utf-8", "surrogateescape"))


def _spell(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _join(masks: Sequence[tuple[Span, bytes]], raw: bytes, begin: int) -> list[Span]:
    """In order, without overlap; and what was found in one place is masked where it stands again."""
    spans = [span for span, _ in masks]
    for value in {value for _, value in masks if len(value) >= _SHORT_BYTES}:
        at = raw.find(value)
        while at >= 0:
            spans.append(Span(begin + at, begin + at + len(value), MASK))
            at = raw.find(value, at + len(value))
    return _merge(spans)


def _merge(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if joined and span.start < joined[-1].end:
            joined[-1] = attrs.evolve(joined[-1], end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def _render(raw: bytes, begin: int, low: int, high: int, spans: Sequence[Span]) -> str:
    """The bytes from `low` to `high`; a masked span is shown once, where it begins or where this part does."""
    parts, at = [], low
    for span in spans:
        if span.end <= low or span.start >= high:
            continue
        parts.append(escape(raw[at - begin : max(at, span.start) - begin]))
        parts.append(span.shown if span.start >= low else "")
        at = min(high, max(at, span.end))
    parts.append(escape(raw[at - begin : max(at, high) - begin]))
    return "".join(parts)
