"""A value that leaves in pieces is found when enough of it is told, and random or ordinary traffic tells nothing."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from trio_egress.content.exact import Exact
from trio_egress.content.fragments import LEAST_BYTES, MOST_BYTES, PIECES, REQUESTS, Fragments
from trio_egress.model import Kind

CHANCE = random.Random(3)


def make_value(size: int = 40) -> bytes:
    return "".join(CHANCE.choices(string.ascii_letters + string.digits, k=size)).encode()


VALUE = make_value()
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "hex": lambda raw: raw.hex().encode(),
    "hex, upper case": lambda raw: raw.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64 for URLs": base64.urlsafe_b64encode,
    "percents": lambda raw: "".join(f"%{byte:02x}" for byte in raw).encode(),
}


def find(*parts: bytes, value: bytes = VALUE) -> list[bool]:
    """Whether each part completes it, each in a request of its own."""
    fragments = Fragments([Exact("it", value)])
    found = []
    for part in parts:
        fragments.begin()
        found.append(any(each.value == value for each in fragments.add(part)))
    return found


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_cut_in_two_is_found(encoding: str) -> None:
    encode = ENCODINGS[encoding]
    for cut in range(9, len(VALUE) - 8):
        first, second = encode(VALUE[:cut]), encode(VALUE[cut:])
        assert find(b"?a=" + first + b"&x", b"?b=" + second + b"&y")[-1], cut


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_encoded_first_and_cut_then_is_found(encoding: str) -> None:
    spelt = ENCODINGS[encoding](VALUE)
    for cut in range(len(spelt) // 4, len(spelt) * 3 // 4):
        if encoding != "percents" or cut % 3 == 0:
            assert find(b"x-a: " + spelt[:cut], b"x-b: " + spelt[cut:])[-1], cut


def test_every_cut_in_three_is_found_in_any_order() -> None:
    for first in range(9, 22):
        for second in range(first + 9, len(VALUE) - 8):
            parts = [VALUE[:first], VALUE[first:second], VALUE[second:]]
            CHANCE.shuffle(parts)
            assert find(*parts)[-1], (first, second)


def test_pieces_in_one_part_are_found() -> None:
    assert find(b"GET /?a=" + VALUE[:13] + b"&b=" + VALUE[13:27] + b"&c=" + VALUE[27:]) == [True]


def test_a_value_without_its_end_is_found_and_a_whole_one_is_the_scanners() -> None:
    assert find(b"x=" + VALUE[:34]) == [True]
    assert find(b"x=" + VALUE, b"x=" + VALUE) == [False, False]
    assert find(b"Basic " + base64.b64encode(b"user:" + VALUE)) == [False]


def test_a_finding_says_which_part_of_the_part_it_is() -> None:
    fragments = Fragments([Exact("canary.x", VALUE, Kind.CANARY)])
    fragments.add(VALUE[:20])
    (found,) = fragments.add(b"x-b: " + VALUE[20:] + b" and more")
    assert (found.start, found.end, found.via) == (5, 25, ("pieces",))
    assert (found.detector.name, found.detector.kind, found.value) == ("canary.x", Kind.CANARY, VALUE)
    assert VALUE.decode() not in repr(found)


def test_too_little_is_no_finding() -> None:
    assert find(b"the token begins with " + VALUE[:8], b"and ends in " + VALUE[-8:]) == [False, False]
    assert find(*[VALUE[:20]] * 5) == [False] * 5


def test_pieces_are_forgotten_after_so_many_requests() -> None:
    for passed, found in ((REQUESTS - 2, True), (REQUESTS, False)):
        fragments = Fragments([Exact("it", VALUE)])
        fragments.add(VALUE[:20])
        for _ in range(passed):
            fragments.begin()
        assert bool(fragments.add(VALUE[20:])) is found


def test_a_piece_that_is_in_every_request_leaves_room_for_others() -> None:
    parts = [VALUE[:20], *[b"x: " + VALUE[:14]] * (2 * PIECES), VALUE[20:]]
    assert find(*parts)[-1]


@pytest.mark.parametrize("size", [LEAST_BYTES, 64, MOST_BYTES, MOST_BYTES + 1, 3000])
def test_values_of_any_length_are_found(size: int) -> None:
    value = make_value(size)
    assert (
        any(find(*(value[at : at + 8 * size // LEAST_BYTES] for at in (0, size // 2)), value=value))
        or size > MOST_BYTES
    )
    assert any(find(*(value[at : at + 20] for at in range(0, size, 20)), value=value)) or size < 40


@pytest.mark.parametrize(
    "name",
    [
        f"{VALUE[:20].decode()}.{VALUE[20:].decode()}.evil.example",
        f"{VALUE.decode().lower()}.evil.example",
        ".".join(VALUE.decode().upper()[at : at + 7] for at in range(0, 40, 7)) + ".evil.example",
        f"{VALUE.decode()[:19]}-{VALUE.decode()[19:]}.evil.example",
        f"{VALUE.hex()[:60]}.{VALUE.hex()[60:]}.evil.example",
        *(
            f"{text[:50]}.{text[50:]}.evil.example"
            for before in range(5)
            for text in [base64.b32encode(b"~" * before + VALUE).decode().rstrip("=").lower()]
        ),
        base64.b32hexencode(VALUE).decode().rstrip("=")[:60]
        + "."
        + base64.b32hexencode(VALUE).decode()[60:]
        + "x.evil",
    ],
)
def test_a_value_in_the_labels_of_a_name_is_found(name: str) -> None:
    (found,) = Fragments([Exact("it", VALUE)]).find_in_host(name)
    assert (found.value, found.via) == (VALUE, ("labels",))


def test_a_value_over_names_is_found() -> None:
    fragments = Fragments([Exact("it", VALUE)])
    text = base64.b32encode(VALUE).decode().rstrip("=").lower()
    names = [f"{number}.{text[at : at + 16]}.evil.example" for number, at in enumerate(range(0, 64, 16))]
    assert [bool(fragments.find_in_host(name)) for name in names] == [False, False, False, True]


def test_random_traffic_completes_nothing() -> None:
    """A MiB of base64, hex and names, with 100 values."""
    fragments = Fragments(
        Exact(f"v{number}", make_value(CHANCE.choice([16, 32, 40, 64]))) for number in range(100)
    )
    for _ in range(500):
        fragments.begin()
        assert fragments.add(base64.b64encode(CHANCE.randbytes(768))) == []
        assert fragments.add(CHANCE.randbytes(512).hex().encode()) == []
        name = base64.b32encode(CHANCE.randbytes(35)).decode().lower()
        assert fragments.find_in_host(f"{name}.example") == []


def test_tokens_of_a_kind_do_not_complete_each_other() -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")

    def make_token(number: int) -> bytes:
        claims = json.dumps(
            {"iss": "https://login.example.com", "sub": number, "iat": 1_700_000_000 + number}
        )
        middle = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
        return f"{head}.{middle}.{make_value(43).decode()}".encode()

    fragments = Fragments([Exact("it", make_token(1)), Exact("key", b"sk-ant-api03-" + make_value(80))])
    for number in range(2, 300):
        fragments.begin()
        assert fragments.add(b"authorization: Bearer " + make_token(number)) == []
        assert fragments.add(b"x-api-key: sk-ant-api03-" + make_value(80)) == []


def test_ordinary_text_completes_no_passphrase() -> None:
    fragments = Fragments(
        [Exact("it", b"what the operator says is secret"), Exact("too", b"correct-horse-battery-staple")]
    )
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_bytes()
    for at in range(0, len(page), 500):
        fragments.begin()
        assert fragments.add(page[at : at + 500]) == []
    assert fragments.add(b"the operator says") == []
    assert fragments.add(b"a correct horse, and a battery staple") == []


@pytest.mark.parametrize("part", [b"", b"a", b"abc", b"%", b"%%%", b"\xff" * 9000, quote("é" * 50).encode()])
def test_any_part_may_be_looked_at(part: bytes) -> None:
    assert find(part) == [False]
    assert Fragments([]).add(part) == []
