"""Views: what is found in what bytes stand for is told where those bytes are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import attrs
import pytest

from trio_egress.content.detector import Detector, Way
from trio_egress.content.scanner import WINDOW, Scanner
from trio_egress.content.search import Views
from trio_egress.model import Kind

TOKEN = Detector(name="token", description="", kind=Kind.SECRET, pattern="tok_[a-z]{8}", ways=Way.BOTH)
PHRASE = Detector(name="phrase", description="", kind=Kind.INSTRUCTION, pattern="(?i)ignore all", ways=Way.IN)
NOISE = Detector(name="noise", description="", kind=Kind.ENTROPY, pattern="[a-z_]{12}", ways=Way.BOTH)


@attrs.frozen
class Hex:
    """Hex digits, decoded: each byte is of two."""

    data: bytes
    start: int
    via: tuple[str, ...] = ("hex",)
    is_to_be_read: bool = False

    def find_origin(self, start: int, end: int) -> tuple[int, int]:
        return self.start + 2 * start, self.start + 2 * end

    def decode(self, signs: Collection[int]) -> Iterator[Hex]:
        raise AssertionError("none has hex in its hex")


@attrs.frozen
class Wide:
    """Spaces between letters, gone."""

    data: bytes

    def find_origin(self, start: int, end: int) -> tuple[int, int]:
        return 2 * start, 2 * end - 1


@attrs.frozen
class Whole:
    """A window as it is."""

    data: bytes
    via: tuple[str, ...] = ()
    is_to_be_read: bool = False

    def find_origin(self, start: int, end: int) -> tuple[int, int]:
        return start, end

    def decode(self, signs: Collection[int]) -> Iterator[Hex]:
        assert list(signs) == [0]
        for found in re.finditer(rb"(?:[0-9a-f]{2}){12,}", self.data):
            yield Hex(bytes.fromhex(found[0].decode()), found.start())


def normalise(data: bytes) -> Wide | None:
    return Wide(data[::2]) if data[1:2] == b" " else None


SCANNER = Scanner(
    [TOKEN, PHRASE, NOISE],
    views=Views(signs=("(?:[0-9a-f]{2}){12}",), decode=Whole, normalise=normalise),
)


def list_places(message: bytes, way: Way = Way.OUT) -> list[tuple[str, int, int, tuple[str, ...]]]:
    found = SCANNER.scan(message, way)
    return [(finding.detector.name, finding.start, finding.end, finding.via) for finding in found]


def test_what_is_found_decoded_is_told_where_it_is_spelt() -> None:
    message = b"x=" + b"-tok_abcdefgh".hex().encode()
    assert list_places(message) == [("token", 4, 28, ("hex",))]
    assert SCANNER.scan(message, Way.OUT)[0].value == b"tok_abcdefgh"


@pytest.mark.parametrize("at", [WINDOW - 25, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW - 3])
def test_a_view_over_an_edge_is_told_once(at: int) -> None:
    message = b"." * at + b"tok_abcdefgh".hex().encode() + b"." * WINDOW
    assert list_places(message) == [("token", at, at + 24, ("hex",))]
    stream = SCANNER.open(Way.OUT)
    pieces = [message[start : start + 1000] for start in range(0, len(message), 1000)]
    found = [finding for piece in pieces for finding in stream.feed(piece)]
    assert [*found, *stream.finish()] == SCANNER.scan(message, Way.OUT)


def test_normalised_text_is_for_instructions_that_come_in() -> None:
    message = b"i g n o r e   a l l"
    assert list_places(message, Way.IN) == [("phrase", 0, 19, ("normalised",))]
    assert list_places(message, Way.OUT) == []
    assert list_places(b"t o k _ a b c d e f g h", Way.IN) == []


def test_decoded_text_is_normalised_too() -> None:
    message = b"z" + b"i g n o r e   a l l".hex().encode()
    assert list_places(message, Way.IN) == [("phrase", 1, 39, ("hex", "normalised"))]
