"""What is wrong with a structured policy, in places and words."""

from __future__ import annotations

import attrs
import cattrs
import pytest
from cattrs.gen import make_dict_structure_fn, override

from trio_egress.policy.problems import UNKNOWN_MAX, Table, find_faults, key_of
from trio_egress.texts.faults import Fault, Faults


@attrs.frozen(kw_only=True)
class Inner:
    colour: str
    size: int = attrs.field(default=1)

    @size.validator
    def _check(self, _attribute: object, value: int) -> None:
        if value > 9:
            raise ValueError("size is over 9")


@attrs.frozen(kw_only=True)
class Outer:
    title: str
    rows: tuple[Inner, ...] = ()


TABLES = {
    Outer: Table("at the top", {"title": 'title = "x"'}),
    Inner: Table("in a row", {"colour": 'colour = "red"'}),
}


def read_colour(value: object, _type: object) -> str:
    if value == "bug":
        raise ZeroDivisionError
    if value == "two":
        raise Faults([Fault((0,), "first"), Fault(("k",), "second", on_key=True)])
    if not isinstance(value, str):
        raise ValueError("not a colour")
    return value


CONVERTER = cattrs.Converter(forbid_extra_keys=True)
CONVERTER.register_structure_hook(
    Inner,
    make_dict_structure_fn(
        Inner, CONVERTER, _cattrs_forbid_extra_keys=True, colour=override(struct_hook=read_colour)
    ),
)


def faults_of(data: object) -> list[Fault]:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        CONVERTER.structure(data, Outer)
    return sorted(find_faults(caught.value, TABLES), key=lambda fault: (len(fault.path), str(fault.path)))


def test_every_fault_is_told_with_its_path() -> None:
    rows = [{"colour": 1}, {"colour": "red"}, {"colour": "two"}]
    assert faults_of({"title": "t", "rows": rows}) == [
        Fault(("rows", 0, "colour"), "not a colour"),
        Fault(("rows", 2, "colour", "k"), "second", on_key=True),
        Fault(("rows", 2, "colour", 0), "first"),
    ]


def test_a_missing_key_is_told_at_its_table_with_an_example() -> None:
    assert faults_of({"rows": [{}]}) == [
        Fault((), 'the key "title" is missing at the top; write title = "x"'),
        Fault(("rows", 0), 'the key "colour" is missing in a row; write colour = "red"'),
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sise", 'unknown key "sise" in a row; did you mean "size"?'),
        ("title", 'unknown key "title" in a row; it belongs at the top'),
        ("weight", 'unknown key "weight" in a row; the keys there are colour, size'),
    ],
)
def test_an_unknown_key_is_told_with_the_right_spelling_or_place(key: str, said: str) -> None:
    row = {"colour": "red", key: 1}
    assert faults_of({"title": "t", "rows": [row]}) == [Fault(("rows", 0, key), said, on_key=True)]


def test_a_misspelt_key_is_not_also_told_as_missing() -> None:
    (fault,) = faults_of({"titel": "t"})
    assert fault.message == 'unknown key "titel" at the top; did you mean "title"?'


def test_a_fault_of_a_whole_table_is_told_at_the_table() -> None:
    assert faults_of({"title": "t", "rows": [{"colour": "red", "size": 10}]}) == [
        Fault(("rows", 0), "size is over 9")
    ]


def test_a_bug_is_no_fault_of_the_policy() -> None:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        CONVERTER.structure({"title": "t", "rows": [{"colour": "bug"}]}, Outer)
    with pytest.raises(ZeroDivisionError):
        list(find_faults(caught.value, TABLES))


def test_a_field_whose_key_is_a_word_of_python_is_named_as_the_key() -> None:
    assert (key_of("pass_"), key_of("from_"), key_of("set")) == ("pass", "from", "set")


def test_of_a_flood_of_unknown_keys_no_more_are_told_than_anybody_reads() -> None:
    told = faults_of({f"key{number}": 1 for number in range(3 * UNKNOWN_MAX)})
    assert sum("unknown key" in fault.message for fault in told) == UNKNOWN_MAX
