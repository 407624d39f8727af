"""What of a line is shown: never a secret, never anything that a terminal or a log would obey."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.static.kit import scan, token, write

from trio_egress.content.detector import Detector, Finding
from trio_egress.model import Kind
from trio_egress.static.excerpt import MASK, Excerpt, escape, make_excerpt, mask

SECRET = Detector(name="made-up", description="Made up", kind=Kind.SECRET, pattern="x")
TEXT = Detector(name="words", description="Words", kind=Kind.INSTRUCTION, pattern="x")


def show(raw: bytes, *values: bytes, detector: Detector = SECRET, via: tuple[str, ...] = ()) -> Excerpt:
    """The excerpt of the last of these values."""
    findings = [
        Finding(detector, raw.index(v), raw.index(v) + len(v), v if not via else b"other", via)
        for v in values
    ]
    spans = [(mask(finding, raw[finding.start : finding.end]), finding.value) for finding in findings]
    return make_excerpt(raw, 0, findings[-1], [(span, value) for span, value in spans if span is not None])


def test_of_a_secret_an_eighth_is_shown_and_at_most_four_characters() -> None:
    for size in range(4, 60):
        value = (token(size).encode() * 3)[:size]
        excerpt = show(b"key = '" + value + b"';", value)
        shown = value[: min(4, size // 8)].decode()
        assert excerpt.text == f"key = '{shown}{MASK}';"
        assert excerpt.text[excerpt.at :][: excerpt.mark] == excerpt.value == shown + MASK


def test_what_was_decoded_shows_nothing() -> None:
    assert show(b"a b3RoZXI= c", b"b3RoZXI=", via=("base64",)).text == f"a {MASK} c"


def test_others_near_it_are_masked_and_so_is_the_same_again() -> None:
    one, other = token(1).encode(), token(2).encode()
    text = show(b"%b %b %b %b" % (one, other, one, other), one, other).text
    assert text == f"{token(1)[:3]}{MASK} {token(2)[:3]}{MASK} {MASK} {MASK}"


def test_spans_that_overlap_are_one() -> None:
    raw = b"0123456789" * 5
    for start in range(5, 20):
        excerpt = show(raw, raw[start : start + 8], raw[10:30])
        assert raw[10:30].decode() not in excerpt.text
        assert excerpt.text.count(MASK) >= 1


def test_what_is_no_secret_is_shown() -> None:
    assert show(
        b"please ignore\x1b[2J \xe2\x80\xae all", b"ignore\x1b[2J \xe2\x80\xae", detector=TEXT
    ).text == ("please ignore\\x1b[2J \\u202e all")
    long = show(b"<" + b"x" * 500 + b">", b"x" * 500, detector=TEXT)
    assert len(long.value) == 80
    assert long.value.endswith("x...")


def test_a_long_line_is_cut_on_both_sides() -> None:
    value = token(1).encode()
    excerpt = show(b"a" * 1000 + value + b"b" * 1000, value)
    assert excerpt.text == f"...{'a' * 60}{value[:3].decode()}{MASK}{'b' * 60}"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"::error::x", ":\\x3aerror:\\x3ax"),
        (b"##[add-mask]", "#\\x23[add-mask]"),
        (b":::", ":\\x3a:"),
        (b"a\tb\r\n\0", "a b\\r\\n\\x00"),
        ("ä\u200b\U000e0041".encode(), "\\xe4\\u200b\\U000e0041"),
        (b"\xff", "\\xff"),
    ],
)
def test_what_would_be_obeyed_is_spelt_out(raw: bytes, shown: str) -> None:
    assert escape(raw) == shown


def test_no_output_has_a_secret_whole(tmp_path: Path) -> None:
    """Nor half of it: in text, document, SARIF, annotations and baseline, of many in a line and over windows."""
    place = tmp_path / "tree"
    place.mkdir()
    values = [token(number) for number in range(40)]
    lines = [f"{one} {other}" for one, other in zip(values, reversed(values), strict=True)]
    big = "\n".join(f"filler {number} {'-' * 90}" for number in range(50_000))
    write(
        place,
        {
            "a.txt": "\n".join(lines),
            "b.txt": f"{big}\n{' '.join(values)}\n{big}",
            f"{values[0]}.txt": values[1],
            f"{values[2]}/x": "nothing",
        },
    )
    with tarfile.open(place / f"{values[4]}.tgz", "w:gz") as archive:
        archive.add(place / "a.txt", f"{values[5]}/a.txt")
    ran = [
        scan(place, "--archives", "--sarif", "out.sarif", "--github", "--write-baseline", "known.json"),
        scan(place, "--json", "--fail-on", "warn"),
    ]
    said = "".join(part for each in ran for part in (each.out, each.err))
    said += (place / "out.sarif").read_text() + (place / "known.json").read_text()
    assert said.count("made-up") > 200
    assert not [value for value in values if value[14:] in said or value[:14] in said]
