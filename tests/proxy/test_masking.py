"""Values taken out of what goes by: in every piece, in every spelling, and nothing else."""

from __future__ import annotations

import base64
import html
import json
import random
from urllib.parse import quote, quote_plus

import pytest

from trio_egress.proxy.masking import Mask

VALUE = b'ghp_R/k9+Q"x&<7=Zz'
STARS = b"*" * len(VALUE)


def feed(mask: Mask, *pieces: bytes) -> bytes:
    return b"".join([*map(mask.feed, pieces), mask.finish()])


def test_at_every_split_point_nothing_of_it_gets_by_and_nothing_else_is_touched() -> None:
    text = b"before " + VALUE[:9] + b" " + VALUE + b"ghp_ after"
    wanted = text.replace(VALUE, STARS)
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            assert feed(Mask([VALUE]), text[:first], text[first:second], text[second:]) == wanted
    assert feed(Mask([VALUE]), *(bytes([byte]) for byte in text)) == wanted


@pytest.mark.parametrize(
    "spelt",
    [
        VALUE,
        VALUE.upper(),
        quote(VALUE, safe="").encode(),
        quote(VALUE, safe="").lower().encode(),
        quote_plus(VALUE).encode(),
        "".join(f"%{byte:02X}" for byte in VALUE).encode(),
        json.dumps(VALUE.decode())[1:-1].encode(),
        json.dumps(VALUE.decode())[1:-1].replace("/", "\\/").encode(),
        json.dumps(VALUE.decode())[1:-1].replace("<", "\\u003c").replace("&", "\\u0026").encode(),
        html.escape(VALUE.decode()).encode(),
        html.escape(VALUE.decode()).replace("&quot;", '"').encode(),
        VALUE.hex().encode(),
        VALUE.hex().upper().encode(),
    ],
)
def test_every_spelling_is_found_and_keeps_its_length(spelt: bytes) -> None:
    text = b"<" + spelt + b">"
    for cut in range(len(text)):
        assert feed(Mask([VALUE]), text[:cut], text[cut:]) == b"<" + b"*" * len(spelt) + b">"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_in_base64_no_more_than_the_characters_at_its_ends_stay(before: bytes, encode: object) -> None:
    assert callable(encode)
    spelt = encode(before + VALUE + b"z")
    masked = feed(Mask([VALUE]), spelt)
    assert len(masked) == len(spelt)
    hidden = base64.urlsafe_b64decode(masked.replace(b"*", b"A").replace(b"+", b"-").replace(b"/", b"_"))
    assert not any(VALUE[at : at + 2] in hidden for at in range(1, len(VALUE) - 2))


def test_nothing_is_held_back_of_what_can_not_become_a_value() -> None:
    mask = Mask([VALUE])
    assert mask.feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert mask.feed(b"data: " + VALUE[:5]) == b"data: "
    assert mask.feed(b"!\n") == VALUE[:5] + b"!\n"
    assert mask.feed(VALUE + b"\n") == STARS + b"\n"
    assert mask.finish() == b""


def test_what_is_cut_off_in_the_middle_is_given_at_the_end() -> None:
    assert feed(Mask([VALUE]), VALUE[:-1]) == VALUE[:-1]


@pytest.mark.parametrize(
    ("values", "text", "masked"),
    [
        ((b"abcdefgh", b"abcdefghijkl"), b"abcdefghijkl.", b"************."),
        ((b"abcdefgh", b"abcdefghijkl"), b"abcdefghij.", b"********ij."),
        ((b"abcdefgh", b"efghijkl"), b"abcdefghijkl.", b"************."),
        ((b"aaaaaaaa",), b"b" + b"a" * 20 + b"b", b"b" + b"*" * 20 + b"b"),
    ],
)
def test_values_that_share_bytes_are_taken_out_whole(
    values: tuple[bytes, ...], text: bytes, masked: bytes
) -> None:
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            assert feed(Mask(values), text[:first], text[first:second], text[second:]) == masked


def test_whatever_goes_by_in_whatever_pieces_is_as_if_it_were_whole() -> None:
    chance = random.Random(6)
    for _ in range(300):
        letters = [chance.choice([b"a", b"b", b"ab", b"abab", b"aabb"]) for _ in range(40)]
        text = b"".join(letters)
        cuts = sorted(chance.randrange(len(text) + 1) for _ in range(6))
        pieces = [text[one:other] for one, other in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        values = (b"ababab", b"bbaab", b"aabbaabb")
        whole = feed(Mask(values), text)
        assert feed(Mask(values), *pieces) == whole
        assert Mask(values).clean(text) == whole
        assert not any(value in whole for value in values)
