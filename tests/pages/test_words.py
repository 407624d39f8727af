"""Numbers as people read them."""

from __future__ import annotations

import pytest

from trio_egress.pages.words import count_of, find_span, render_bytes, render_moment, render_seconds


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1454, "1.4 KiB"),
        (102_400, "100 KiB"),
        (1_048_575, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 64, "16.0 EiB"),
        (1 << 80, "1,048,576 EiB"),
    ],
)
def test_a_size_has_a_unit_and_two_figures(size: int, text: str) -> None:
    assert render_bytes(size) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (99, "99 ms"),
        (270, "0.27 s"),
        (9_999, "10.00 s"),
        (12_400, "12.4 s"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 05 min"),
        (273_600_000, "3 d 04 h"),
    ],
)
def test_a_time_has_the_units_that_matter(milliseconds: int, text: str) -> None:
    assert render_seconds(milliseconds * 1_000_000) == text


def test_one_is_not_many() -> None:
    assert [count_of(n, "host") for n in (0, 1, 1200)] == ["0 hosts", "1 host", "1,200 hosts"]
    assert count_of(2, "change of it", "changes of it") == "2 changes of it"


def test_a_moment_is_that_of_a_receipt_and_of_nothing_else() -> None:
    assert render_moment("2026-11-22T12:18:55.197Z") == "2026-11-22 12:18:55 UTC"
    assert render_moment("<script>") == render_moment("") == ""


def test_a_span_never_ends_before_it_began() -> None:
    early, late = "2026-11-22T12:18:55Z", "2026-11-22T12:18:56Z"
    assert find_span(early, late)[1] - find_span(early, late)[0] == 1_000_000_000
    assert find_span(late, early)[0] == find_span(late, early)[1]
    assert find_span("", late) == (0, 0)
