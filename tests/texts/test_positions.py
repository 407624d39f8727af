"""Where keys and values stand in a TOML text."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.texts.positions import Path, Unreadable, count_place, locate


def pointed_at(text: str, path: Path, *, key: bool = False) -> str:
    """What stands at the place of a path, to the end of its line."""
    tomli.loads(text)
    positions = locate(text)
    line, column = positions.place_key(path) if key else positions.place_value(path)
    return text.split("\n")[line - 1][column - 1 :].removesuffix("\r")


DOCUMENT = """\
# a comment with [brackets] and "quotes"
plain = 1
  indented\t=\t"value" # and a comment
dotted.key . "quoted.part".'x' = true
date = 1979-05-27 07:32:00
zoned = 1979-05-27T07:32:00Z
list = [ 10, "a,]}#", ["nested", {deep = 'x'}],
  # a comment, [inside]
  30,
]
inline = {a = 1, b.c = "2", "d e" = [4, 5],}
empty = []
none = {}
tight=12
close={a=[1,"x"],b=3}
many = {
  first = 1, # comment
  second = 2
}
[table]
in_table = 5
[table.sub."dotted.name"]
in_sub = 6
[[egress]]
destination = "one"
[[egress]]
destination = "two"
[egress.inner]
in_inner = 7
[[egress.rows]]
cell = 8
[[egress.rows]]
cell = 9
[[ egress ]]
destination = "three"
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("plain",), "1"),
        (("indented",), '"value" # and a comment'),
        (("dotted", "key", "quoted.part", "x"), "true"),
        (("dotted", "key"), "key . \"quoted.part\".'x' = true"),
        (("date",), "1979-05-27 07:32:00"),
        (("zoned",), "1979-05-27T07:32:00Z"),
        (("list",), '[ 10, "a,]}#", ["nested", {deep = \'x\'}],'),
        (("list", 0), '10, "a,]}#", ["nested", {deep = \'x\'}],'),
        (("list", 1), '"a,]}#", ["nested", {deep = \'x\'}],'),
        (("list", 2, 1, "deep"), "'x'}],"),
        (("list", 3), "30,"),
        (("inline", "a"), '1, b.c = "2", "d e" = [4, 5],}'),
        (("inline", "b", "c"), '"2", "d e" = [4, 5],}'),
        (("inline", "d e", 1), "5],}"),
        (("empty",), "[]"),
        (("tight",), "12"),
        (("close", "a", 0), '1,"x"],b=3}'),
        (("close", "a", 1), '"x"],b=3}'),
        (("close", "b"), "3}"),
        (("none",), "{}"),
        (("many", "second"), "2"),
        (("table",), "table]"),
        (("table", "in_table"), "5"),
        (("table", "sub", "dotted.name"), '"dotted.name"]'),
        (("table", "sub", "dotted.name", "in_sub"), "6"),
        (("egress",), "egress]]"),
        (("egress", 0), "[[egress]]"),
        (("egress", 1, "destination"), '"two"'),
        (("egress", 1, "inner", "in_inner"), "7"),
        (("egress", 1, "rows", 0), "[[egress.rows]]"),
        (("egress", 1, "rows", 1, "cell"), "9"),
        (("egress", 2), "[[ egress ]]"),
        (("egress", 2, "destination"), '"three"'),
    ],
)
def test_a_value_is_found_where_it_stands(path: Path, found: str) -> None:
    assert pointed_at(DOCUMENT, path) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("plain",), "plain = 1"),
        (("indented",), 'indented\t=\t"value" # and a comment'),
        (("dotted", "key", "quoted.part"), "\"quoted.part\".'x' = true"),
        (("inline", "b", "c"), 'c = "2", "d e" = [4, 5],}'),
        (("inline", "d e"), '"d e" = [4, 5],}'),
        (("many", "second"), "second = 2"),
        (("table", "sub"), 'sub."dotted.name"]'),
        (("egress",), "egress]]"),
        (("egress", 1, "destination"), 'destination = "two"'),
        (("egress", 1, "rows", 1, "cell"), "cell = 9"),
    ],
)
def test_a_key_is_found_where_it_stands(path: Path, found: str) -> None:
    assert pointed_at(DOCUMENT, path, key=True) == found


def test_what_is_not_in_the_text_is_found_at_what_is_around_it() -> None:
    assert pointed_at(DOCUMENT, ("egress", 1, "missing", 3)) == "[[egress]]"
    assert pointed_at(DOCUMENT, ("egress", 1, "missing"), key=True) == "[[egress]]"
    assert locate(DOCUMENT).place_value(("nowhere",)) == (1, 1)
    assert locate("").place_value(()) == (1, 1)


def test_lines_and_columns_count_from_one_in_characters() -> None:
    text = 'a = "ü€😀"\nb = ["😀", 2]\n'
    positions = locate(text)
    assert positions.place_value(("a",)) == (1, 5)
    assert positions.place_value(("b", 1)) == (2, 11)
    assert positions.place_key(("b",)) == (2, 1)


@pytest.mark.parametrize(
    "string",
    [
        '""',
        "''",
        '"a\\"b\\\\"',
        "'a\\'",
        '""""""',
        "''''''",
        '"""one\ntwo"""',
        '"""\nwith "quotes" and ""two"" # no comment"""',
        '"""ends in one""""',
        '"""ends in two"""""',
        '"""escaped \\""" quotes"""',
        '"""folded \\\n   line"""',
        '""""starts with one"""',
        '"""""starts with two"""',
        "'''one\ntwo'''",
        "'''it's ''quoted'' \\'''",
        "'''ends in one''''",
        "'''ends in two'''''",
        "'''''starts with two'''",
    ],
)
def test_what_follows_a_string_is_found(string: str) -> None:
    for newline in ("\n", "\r\n"):
        text = f"first = [{string}, 1]\nsecond = {string} # c\nthird = 3\n".replace("\n", newline)
        assert pointed_at(text, ("first", 1)) == "1]"
        assert pointed_at(text, ("third",)) == "3"


def test_windows_line_ends_and_tabs_count_as_lines_and_single_columns() -> None:
    positions = locate("a = 1\r\n\tb\t=\t2\r\n[t]\r\nc = [\r\n\t3,\r\n]\r\n")
    assert positions.place_value(("b",)) == (2, 6)
    assert positions.place_key(("b",)) == (2, 2)
    assert positions.place_value(("t", "c", 0)) == (5, 2)


def test_deep_nesting_does_not_use_the_stack() -> None:
    depth = 399
    text = "a = " + "[" * depth + "1" + "]" * depth + "\nb = 2\n"
    assert pointed_at(text, ("a", *[0] * depth)) == "1" + "]" * depth
    assert pointed_at(text, ("b",)) == "2"


def paths_of(value: Any, path: Path = ()) -> list[Path]:
    """Every path in what tomli read."""
    if isinstance(value, dict):
        return [path, *(found for key in value for found in paths_of(value[key], (*path, key)))]
    if isinstance(value, list):
        return [
            path,
            *(found for place, item in enumerate(value) for found in paths_of(item, (*path, place))),
        ]
    return [path]


_KEYS = st.sampled_from(["a", "b-1", '"q.q"', "'l'", '""', "a.b", 'c . "d"'])
_SCALARS = st.sampled_from(
    [
        "1",
        "-1.5e3",
        "true",
        "inf",
        '"s"',
        "'s'",
        '"""m\n"x" """',
        "'''m\n'''''",
        "07:32:00",
        "1979-05-27 07:32:00.5",
        "0xff",
    ]
)
_GAPS = st.sampled_from(["", " ", "\n", "\r\n\t", " # [c], 'x\n"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.builds(
            lambda items, gap: f"[{gap}" + f"{gap},{gap}".join(items) + f"{gap}]",
            st.lists(inner, max_size=3),
            _GAPS,
        )
        | st.builds(lambda value, key, gap: f"{{{gap}{key} = {value}{gap}}}", inner, _KEYS, _GAPS)
    ),
    max_leaves=6,
)
_LINES = st.builds("{} = {}".format, _KEYS, _VALUES) | st.sampled_from(
    ["[t]", "[[rows]]", "[rows.x]", "[[rows.y]]", "# c"]
)


@given(st.lists(_LINES, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_every_path_of_an_accepted_text_has_a_place_where_its_value_begins(
    lines: list[str], newline: str
) -> None:
    text = newline.join(lines)
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    found = locate(text)
    for path in paths_of(data):
        line, column = found.place_value(path)
        rest = "\n".join(text.split("\n")[line - 1 :])[column - 1 :]
        if path and not isinstance(data_at(data, path), (dict, list)):
            assert begins_with_value(rest, data_at(data, path)), (path, rest)


def data_at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def begins_with_value(rest: str, value: object) -> bool:
    """Whether a text begins with a spelling of the value: some prefix of it reads as just that."""
    for end in range(1, len(rest) + 1):
        try:
            if tomli.loads(f"v = {rest[:end]}") == {"v": value}:
                return True
        except tomli.TOMLDecodeError:
            continue
    return False


@pytest.mark.parametrize(
    ("offset", "place"), [(0, (1, 1)), (1, (1, 2)), (2, (1, 3)), (3, (2, 1)), (4, (2, 2)), (6, (3, 1))]
)
def test_one_place_is_counted_from_one(offset: int, place: tuple[int, int]) -> None:
    assert count_place("ab\ncd\nef", offset) == place


def test_what_cannot_be_read_says_why() -> None:
    error = Unreadable(3, 4, "because")
    assert (str(error), error.line, error.column) == ("because", 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        'x = "{}"'.format("a" * 300_000),
        'x = "{}"'.format(r"\n" * 150_000),
        "x = '{}'".format("a" * 300_000),
        'x = """{}"""'.format('a"' * 150_000),
        '"{}" = 1'.format(r"\n" * 150_000),
        "{}x = 1".format("#\n" * 150_000),
        "{}x = 1".format(" \n" * 150_000),
        "x = [{}1]".format("#\n" * 150_000),
    ],
)
def test_a_long_text_takes_no_hundred_times_its_length(text: str) -> None:
    tracemalloc.start()
    try:
        locate(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 * len(text)
