"""Sources in, hits out: what the engine found, where it stands, and how it may be shown.

Rule 1: a file of at most WHOLE_BYTES is looked through at once, a longer one as a stream; the hits are the same.
Rule 2: a hit holds no secret: its value has gone into the fingerprint, its excerpt is masked by all that was found
        near it, whether or not that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile

import attrs

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.fingerprint import fingerprint
from trio_egress.content.scanner import Scanner
from trio_egress.static.allow import Permission, find_permission
from trio_egress.static.excerpt import Excerpt, Span, make_excerpt, mask, mask_all
from trio_egress.static.position import Place, Text
from trio_egress.static.source import Source, Unread, say_reason
from trio_egress.values import frozen

WHOLE_BYTES = 4 << 20
AROUND_BYTES = 4096
"""Of a finding's line, on either side: where a comment that allows it is looked for."""


@frozen
class Hit:
    """One finding in one file. `permission`: a comment that allows it. `archive`: what `path` is a member of."""

    path: str
    place: Place
    detector: Detector
    via: tuple[str, ...]
    excerpt: Excerpt
    fingerprint: str
    permission: Permission | None = None
    archive: str | None = None


def look(source: Source, scanner: Scanner) -> Iterator[Hit | Unread]:
    """Each finding, in its order; last, perhaps, that the source could not be read to its end."""
    teller = _Teller(source)
    try:
        yield from _look(source, scanner, teller)
    except OSError as error:
        yield from teller.finish()
        yield Unread(source.path, say_reason(error))


def _look(source: Source, scanner: Scanner, teller: _Teller) -> Iterator[Hit]:
    first = b""
    pieces = iter(source.pieces)
    for piece in pieces:
        first = first + piece if first else piece
        if len(first) > WHOLE_BYTES:
            break
    else:
        found = scanner.scan(first, Way.BOTH, source.path)
        if found:
            teller.feed(first, found)
            yield from teller.finish()
        return
    stream = scanner.open(Way.BOTH, source.path)
    teller.feed(first, stream.feed(first))
    yield from teller.tell(stream.settled)
    for piece in pieces:
        teller.feed(piece, stream.feed(piece))
        yield from teller.tell(stream.settled)
    teller.feed(b"", stream.finish())
    yield from teller.finish()


def look_at_name(path: str, scanner: Scanner) -> tuple[str, list[Hit]]:
    """A name as it may be told, and what stands in it."""
    raw = path.encode("utf-8", "surrogateescape")
    found = scanner.scan(raw, Way.OUT)
    if not found:
        return path, []
    teller = _Teller(Source(path, ()))
    teller.feed(raw, found)
    told = mask_all(raw, [span for span, _ in teller.masks])
    return told, [attrs.evolve(hit, path=told) for hit in teller.finish()]


class _Teller:
    """Findings that wait until what stands around them is known, and the text around them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = Text(source.first_line)
        self._waiting: deque[Finding] = deque()
        self.masks: deque[tuple[Span, bytes]] = deque()

    def feed(self, piece: bytes, found: list[Finding]) -> None:
        self._text.feed(piece)
        for finding in sorted(found, key=lambda finding: (finding.start, finding.end)):
            self._waiting.append(finding)
            span = mask(finding, self._text.cut(finding.start, finding.end))
            if span is not None:
                self.masks.append((span, finding.value))

    def tell(self, settled: int) -> Iterator[Hit]:
        """Those around which nothing more can be found."""
        while self._waiting and self._waiting[0].end + AROUND_BYTES <= settled:
            yield from self._tell(self._waiting.popleft())
        first = self._waiting[0].start if self._waiting else settled
        self._forget(min(first, settled) - 2 * AROUND_BYTES)

    def finish(self) -> Iterator[Hit]:
        while self._waiting:
            yield from self._tell(self._waiting.popleft())

    def _forget(self, before: int) -> None:
        self._text.drop(before)
        while self.masks and self.masks[0][0].end < before:
            self.masks.popleft()

    def _tell(self, finding: Finding) -> Iterator[Hit]:
        self._forget(finding.start - AROUND_BYTES - 1)
        source, text = self._source, self._text
        place = text.locate(finding.start, finding.end)
        lines = range(place.line, place.end_line + 1)
        if source.added is not None and not any(line in source.added for line in lines):
            return
        begin, end = text.find_line(finding.start, finding.end, AROUND_BYTES)
        raw = text.cut(begin, end)
        masks = list(takewhile(lambda masked: masked[0].start < end, self.masks))
        yield Hit(
            path=source.path,
            place=place,
            detector=finding.detector,
            via=finding.via,
            excerpt=make_excerpt(raw, begin, finding, masks),
            fingerprint=fingerprint(finding.detector.name, finding.value),
            permission=find_permission(raw, finding),
            archive=source.archive,
        )
