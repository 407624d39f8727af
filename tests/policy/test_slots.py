"""Places in a request that a policy names for a secret."""

from __future__ import annotations

import pytest

from trio_egress.policy.slots import USUAL_SLOTS, WORD_CHARS, Kind, Slot, parse_slot


@pytest.mark.parametrize(
    ("raw", "slot", "text"),
    [
        ("basic", Slot(Kind.BASIC), "basic"),
        ("header:X-Api-Key", Slot(Kind.HEADER, "x-api-key"), "header:x-api-key"),
        ("query:Key", Slot(Kind.QUERY, "Key"), "query:Key"),
        ("query:a:b", Slot(Kind.QUERY, "a:b"), "query:a:b"),
    ],
)
def test_a_place_is_read_and_written(raw: str, slot: Slot, text: str) -> None:
    assert (parse_slot(raw), str(slot)) == (slot, text)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "is no place in a request"),
        ("Basic", "is no place in a request"),
        ("cookie:x", "is no place in a request"),
        ("basic:x", "has no name"),
        ("header", "which field"),
        ("header:", "which field"),
        ("header:a b", "is no name of a header field"),
        ("header:é", "is no name of a header field"),
        (f"header:{'a' * (WORD_CHARS + 1)}", "is no name of a header field"),
        ("header:Content-Length", "the field content-length says how a request is carried"),
        ("header:accept-encoding", "says how a request is carried"),
        ("query", "which parameter"),
        ("query:", "which parameter"),
        ("query:\n", "which parameter"),
        (f"query:{'a' * (WORD_CHARS + 1)}", "which parameter"),
    ],
)
def test_what_is_none_is_told(raw: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_slot(raw)


def test_what_is_usual_is_in_order() -> None:
    assert tuple(sorted(USUAL_SLOTS, key=str)) == USUAL_SLOTS
