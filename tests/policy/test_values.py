"""Lists of texts, numbers and sizes as a policy writes them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.values import ITEMS_MAX, NUMBER_MAX, UNITS, read_number, read_size, read_texts
from trio_egress.texts.faults import Fault, Faults


def reject_b(text: str) -> str:
    if text == "b":
        raise ValueError("not b")
    return text.lower()


def test_a_list_is_read_item_by_item_without_doubles() -> None:
    assert read_texts("k", ["A", "c", "a"], "[]", reject_b) == ("a", "c")
    assert read_texts("k", [], "[]", reject_b) == ()


def test_each_wrong_item_is_told_at_its_place() -> None:
    with pytest.raises(Faults) as caught:
        read_texts("k", ["b", "a", 3, "b"], '["x"]', reject_b)
    assert caught.value.faults == (
        Fault((0,), "not b"),
        Fault((2,), 'k must be a list such as ["x"], and this is 3'),
        Fault((3,), "not b"),
    )


def test_what_is_no_list_is_told() -> None:
    with pytest.raises(ValueError, match=r'^k must be a list such as \["x"\], not "a"$'):
        read_texts("k", "a", '["x"]', reject_b)


def test_a_list_may_have_just_as_many_entries_as_the_bound() -> None:
    assert len(read_texts("k", [str(n) for n in range(ITEMS_MAX)], "", reject_b)) == ITEMS_MAX
    with pytest.raises(
        ValueError, match=f"^k has at most {ITEMS_MAX} entries, and this has {ITEMS_MAX + 1}$"
    ):
        read_texts("k", ["a"] * (ITEMS_MAX + 1), "", reject_b)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("80", 'k must be a whole number such as 100, not "80"'),
        (True, "k must be a whole number such as 100, not true"),
        (1.5, "k must be a whole number such as 100, not 1.5"),
        (15, "k must be at least 16; leave it out to set no limit"),
        (NUMBER_MAX + 1, f"k must be at most {NUMBER_MAX}; leave it out to set no limit"),
    ],
)
def test_a_wrong_number_is_told(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^k") as caught:
        read_number("k", value, 16)
    assert str(caught.value) == said


def test_a_number_is_read_between_its_bounds() -> None:
    assert read_number("k", 16, 16) == 16
    assert read_number("k", NUMBER_MAX, 16) == NUMBER_MAX


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (4096, 4096),
        ("4096 B", 4096),
        ("4KiB", 4096),
        ("2 GiB", 2 << 30),
        ("1 TiB", 1 << 40),
        ("512 MiB", 512 << 20),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(value: object, size: int) -> None:
    assert read_size("k", value, 1) == size


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2 GB", 'k: "GB" is not one of the units B, KiB, MiB, GiB, TiB; did you mean "2 GiB"?'),
        ("2g", 'k: "g" is not one of the units B, KiB, MiB, GiB, TiB; did you mean "2 GiB"?'),
        ("2 Gib", 'k: "Gib" is not one of the units B, KiB, MiB, GiB, TiB; did you mean "2 GiB"?'),
        ("2 bytes", 'k: "bytes" is not one of the units B, KiB, MiB, GiB, TiB'),
        ("1.5 GiB", 'k must be a size such as "2 GiB", or a number of bytes, not "1.5 GiB"'),
        ("2048", 'k must be a size such as "2 GiB", or a number of bytes, not "2048"'),
        (False, 'k must be a size such as "2 GiB", or a number of bytes, not false'),
        (2.0, 'k must be a size such as "2 GiB", or a number of bytes, not 2.0'),
        ("31 MiB", "k must be at least 32 MiB; leave it out to set no limit"),
        (1, "k must be at least 32 MiB; leave it out to set no limit"),
        ("9000000 TiB", f"k must be at most {NUMBER_MAX}; leave it out to set no limit"),
        (NUMBER_MAX + 1, f"k must be at most {NUMBER_MAX}; leave it out to set no limit"),
    ],
)
def test_a_wrong_size_is_told(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^k") as caught:
        read_size("k", value, 32 << 20)
    assert str(caught.value) == said


@given(st.text() | st.integers() | st.from_regex(r"[0-9]+ ?[KMGT]?i?B", fullmatch=True))
def test_any_size_is_in_its_bounds_or_refused_with_a_reason(value: object) -> None:
    with contextlib.suppress(ValueError):
        assert 1 <= read_size("k", value, 1) <= NUMBER_MAX


def test_units_are_powers_of_1024() -> None:
    assert list(UNITS.values()) == [1024**power for power in range(5)]


def test_the_greatest_number_is_the_last_one_that_every_reader_of_json_keeps_apart() -> None:
    assert float(NUMBER_MAX) == NUMBER_MAX
    assert float(NUMBER_MAX - 1) != float(NUMBER_MAX) != float(NUMBER_MAX + 1)
    assert float(NUMBER_MAX + 1) == float(NUMBER_MAX + 2)
