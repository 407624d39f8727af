"""Fields that ask for another method: what a server could read in them."""

from __future__ import annotations

import pytest

from trio_egress.model import ANY_METHOD
from trio_egress.wire.overrides import METHODS, find_overrides

NAME = b"X-HTTP-Method-Override"
MANY = b",".join(b"A" * size for size in range(1, METHODS + 2))


@pytest.mark.parametrize(
    "name", [NAME, b"x-http-method", b"X-METHOD-OVERRIDE", b"x_http_method_override", b"X-Http_Method"]
)
def test_each_of_the_fields_asks_for_a_method(name: bytes) -> None:
    assert find_overrides([(b"Host", b"a.example"), (name, b"delete")]) == {"DELETE"}


def test_other_fields_ask_for_none() -> None:
    assert find_overrides([(b"X-Method", b"DELETE"), (b"X-HTTP-Method-Overrides", b"DELETE")]) == frozenset()


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([b"GET", b"DELETE"], {"GET", "DELETE"}),
        ([b" GET ,\tDelete"], {"GET", "DELETE"}),
        ([b"M-SEARCH"], {"M-SEARCH"}),
        ([b""], {ANY_METHOD}),
        ([b"DELETE,"], {"DELETE", ANY_METHOD}),
        ([b"DELETE /x"], {ANY_METHOD}),
        ([b"DEL\xc3\x89TE"], {ANY_METHOD}),
        ([b"A" * 33], {ANY_METHOD}),
        ([MANY], {ANY_METHOD}),
    ],
)
def test_every_value_counts_and_what_is_no_method_could_be_any(values: list[bytes], found: set[str]) -> None:
    assert find_overrides([(NAME, value) for value in values]) == found
