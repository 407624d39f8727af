"""What is found in a message is the same for all pieces and both engines, and stands where it is said to stand."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.content.catalogue import read_catalogue
    from trio_egress.content.detector import Detector, Finding, Way
    from trio_egress.content.hyperscan_matcher import HyperscanMatcher
    from trio_egress.content.re2_matcher import Re2Matcher
    from trio_egress.content.scanner import AHEAD, WINDOW, Scanner
    from trio_egress.model import Kind

OWN = [
    Detector(name=pattern, description="", kind=Kind.SECRET, pattern=pattern, ways=Way.BOTH)
    for pattern in (
        r"\btok_([a-z]{4,8})\b",
        r"(?m)^key: *(\S+)$",
        r"<[^>]*>",
        r"(?i)é[^\s]ß",
        r"\x00.\xff",
        "a+b",
    )
]
SCANNERS = [
    Scanner(read_catalogue(), OWN, engine=HyperscanMatcher),
    Scanner(read_catalogue(), OWN, engine=lambda patterns, database=b"": Re2Matcher(patterns)),
]
PLACES = (0, 1, WINDOW - 300, WINDOW - 9, WINDOW - 1, WINDOW, WINDOW + AHEAD - 9, 2 * WINDOW - 40)


def check(raw: bytes) -> None:
    if len(raw) < 3:
        return
    way = (Way.OUT, Way.IN, Way.BOTH)[raw[0] % 3]
    # Mostly at the beginning: what lies before costs time, and finds nothing.
    before = PLACES[raw[1] % len(PLACES)] if raw[1] < 64 else 0
    message = b" " * before + raw[3:]
    found = SCANNERS[0].scan(message, way)
    assert SCANNERS[1].scan(message, way) == found
    assert feed(SCANNERS[raw[1] % 2], message, way, before + raw[2]) == found
    for finding in found:
        assert 0 <= finding.start < finding.end <= len(message)
        assert finding.via or message[finding.start : finding.end] == finding.value


def feed(scanner: Scanner, message: bytes, way: Way, step: int) -> list[Finding]:
    """In pieces of so many bytes; nothing is settled before it is found."""
    stream = scanner.open(way)
    found: list[Finding] = []
    for at in range(0, len(message), max(1, step)):
        settled = stream.settled
        more = stream.feed(message[at : at + max(1, step)])
        assert all(settled <= finding.start for finding in more)
        found += more
    return found + stream.finish()


if __name__ == "__main__":
    fuzz(check, "scanner")
