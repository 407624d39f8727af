"""A policy's text in YAML: what is read, what is refused and where, and that other readers read it alike."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from trio_egress.policy.document import TABLES
from trio_egress.policy.part import has_yaml
from trio_egress.policy.yaml_text import DEPTH_MAX, NOT_INSTALLED, in_yaml, parse_yaml
from trio_egress.texts.positions import Path, Unreadable

ISSUE = """\
version: "1.0"
egress:
  - destination: "api.github.com"
    methods: ["GET", "POST"]
    scan: true
  - destination: "docs.example.com"
    websocket: { enabled: true, proxy_path: "/ws?url=" }
default_deny: true
"""


def problem_in(text: str) -> tuple[int, int, str]:
    with pytest.raises(Unreadable) as caught:
        parse_yaml(text)
    return caught.value.line, caught.value.column, caught.value.message


def test_a_text_gives_its_values() -> None:
    assert parse_yaml(ISSUE).data == {
        "version": "1.0",
        "egress": [
            {"destination": "api.github.com", "methods": ["GET", "POST"], "scan": True},
            {"destination": "docs.example.com", "websocket": {"enabled": True, "proxy_path": "/ws?url="}},
        ],
        "default_deny": True,
    }


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("version",), (1, 10), (1, 1)),
        (("egress",), (3, 3), (2, 1)),
        (("egress", 0), (3, 5), (3, 5)),
        (("egress", 0, "destination"), (3, 18), (3, 5)),
        (("egress", 0, "methods", 1), (4, 22), (4, 22)),
        (("egress", 0, "scan"), (5, 11), (5, 5)),
        (("egress", 1, "websocket", "proxy_path"), (7, 45), (7, 33)),
        (("egress", 1, "nothing"), (6, 5), (6, 5)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_each_key_and_value_has_its_place(path: Path, value: tuple[int, int], key: tuple[int, int]) -> None:
    positions = parse_yaml(ISSUE).positions
    assert (positions.place_value(path), positions.place_key(path)) == (value, key)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-7", -7),
        ("443", 443),
        ("1.5", 1.5),
        ("-0.5", -0.5),
        ("api.example.com", "api.example.com"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:db8::1", "2001:db8::1"),
        ("1.2.3.4", "1.2.3.4"),
        ("2 GiB", "2 GiB"),
        ("e5", "e5"),
        ("yesterday", "yesterday"),
        ("'yes'", "yes"),
        ('"012"', "012"),
        ("''", ""),
        ('"a\\tb\\u00fc"', "a\tbü"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_a_scalar_is_what_it_looks_like(written: str, value: object) -> None:
    found = parse_yaml(f"a: {written}\n").data["a"]
    assert (type(found), found) == (type(value), value)


AMBIGUOUS = [
    *(
        "y",
        "N",
        "yes",
        "No",
        "ON",
        "off",
        "True",
        "FALSE",
        "null",
        "Null",
        "~",
        "=",
        "012",
        "+1",
        "0o17",
        "0x1F",
    ),
    *(
        "0b1",
        "1_000",
        "1:30",
        "190:20:30.15",
        "1:2:3:4:5:6:7:8",
        ".5",
        "1.",
        "1e3",
        "1.5e+3",
        ".inf",
        "-.INF",
    ),
    *(".nan", "2001-12-14", "2001-12-14 21:59:43", "2001-12-14t21:59:43.10-05:00", "1_0.5"),
]


@pytest.mark.parametrize("written", AMBIGUOUS)
def test_what_readers_take_for_different_things_is_refused_as_value_and_as_key(written: str) -> None:
    line, column, message = problem_in(f"a: {written}\n")
    assert (line, column) == (1, 4)
    assert message.startswith("readers of YAML don't agree on what ")
    if written != "=":
        assert problem_in(f"{written}: a\n")[:2] == (1, 1)


TAB = 'a tab is not allowed: YAML is indented with spaces, and in a text it is written as "\\t"'
REFUSED_START = (
    "found character '@' that cannot start any token; a text that begins so must be quoted; "
    'did you mean "@x"?'
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: yes\n", (1, 4, "readers of YAML don't agree on what yes is: write true, or quote the text")),
        ("a: Off\n", (1, 4, "readers of YAML don't agree on what Off is: write false, or quote the text")),
        (
            "a: 012\n",
            (1, 4, "readers of YAML don't agree on what 012 is: write it plainly, or quote the text"),
        ),
        ("a:\nb: 1\n", (1, 3, 'a value is missing here; for an empty text write ""')),
        ("a: " + "9" * 19, (1, 4, "a number has too many digits")),
        ("a: &x 1\n", (1, 4, "an anchor (&) is not allowed: write what is meant where it is meant")),
        ("a: &x [1]\n", (1, 4, "an anchor (&) is not allowed: write what is meant where it is meant")),
        ("&x a: 1\n", (1, 1, "an anchor (&) is not allowed: write what is meant where it is meant")),
        ("a: !!str x\n", (1, 4, "a tag (!) is not allowed: a text that begins with it must be quoted")),
        ("a: ! x\n", (1, 4, "a tag (!) is not allowed: a text that begins with it must be quoted")),
        ("a: !!set {b}\n", (1, 4, "a tag (!) is not allowed: a text that begins with it must be quoted")),
        (
            "a: *x\n",
            (1, 4, 'an alias is not allowed; a text that begins so must be quoted; did you mean "*x"?'),
        ),
        (
            "a: [*.example.com]\n",
            (
                1,
                5,
                'an alias is not allowed; a text that begins so must be quoted; did you mean "*.example.com"?',
            ),
        ),
        (
            "a: *\n",
            (1, 4, 'an alias is not allowed; a text that begins so must be quoted; did you mean "*"?'),
        ),
        ("<<: {a: 1}\n", (1, 1, "a merge key (<<) is not allowed: write what is meant where it is meant")),
        ("%YAML 1.1\n---\na: 1\n", (1, 1, "a directive is not allowed")),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", (1, 1, "a directive is not allowed")),
        ("%FOO\n---\na: 1\n", (1, 1, "a directive is not allowed")),
        ("a: 1\n---\nb: 1\n", (2, 1, "a policy is one document, and here a second one begins")),
        ("a: 1\n...\n", (2, 1, "the end of a document (...) is not allowed: a policy is the whole file")),
        ("a: 1\nb: 2\na: 3\n", (3, 1, 'the key "a" stands twice: it is in line 1, too')),
        ("a: {b: 1, 'b': 2}\n", (1, 11, 'the key "b" stands twice: it is in line 1, too')),
        ("443: x\n", (1, 1, 'a key is a text; did you mean "443"?')),
        ("true: x\n", (1, 1, 'a key is a text; did you mean "true"?')),
        ("? [a]\n: b\n", (1, 3, "a key is a text, and this is a list or mapping")),
        ("a: {? {b: 1} : 2}\n", (1, 7, "a key is a text, and this is a list or mapping")),
        ("- a\n", (1, 1, 'a policy begins with keys, such as version: "1.0", and not with a list')),
        ("x\n", (1, 1, 'a policy has keys, such as version: "1.0", and this is none')),
        ('a: "\\ud800"\n', (1, 4, "an escape in this text names half of a character")),
        ('a: 1\nb: "\\U00110000"\n', (2, 1, "after this, an escape names no character of Unicode")),
        ('a: 1\nb: "\\UFFFFFFFF"\n', (2, 1, "after this, an escape names no character of Unicode")),
        ("a:\n\t- b\n", (2, 1, TAB)),
        (
            "a: @x\n",
            (
                1,
                4,
                REFUSED_START,
            ),
        ),
        ("a: `\n", (1, 4, None)),
        ("a: 'x\nb: 1\n", (1, 4, "found unexpected end of stream (while scanning a quoted scalar)")),
        ("a: 'x\ty'\n", (1, 6, TAB)),
        (
            'a: "xy\\q"\n',
            (1, 8, "found unknown escape character 'q' (while scanning a double-quoted scalar)"),
        ),
        ("a: b: c\n", (1, 5, "mapping values are not allowed here")),
        ("a: x\nb\u2028c: 1\n", (2, 2, "the character U+2028 is not allowed here")),
        ("a: 'x\x85y'\n", (1, 6, "the character U+0085 is not allowed here")),
        ("a: x\rb: 1\n", (1, 5, "the character U+000D is not allowed here")),
        ("a: \ufeffx\n", (1, 4, "the character U+FEFF is not allowed here")),
        ("a: \ud800\n", (1, 4, "the character U+D800 is not allowed here")),
        ("a: \x00\n", (1, 4, "the character U+0000 is not allowed here")),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, problem: tuple[int, int, str | None]) -> None:
    found = problem_in(text)
    assert found[:2] == problem[:2]
    assert problem[2] in (found[2], None)


def test_one_explicit_document_is_a_document() -> None:
    assert parse_yaml("# policy\n---\na: 1\n").data == {"a": 1}


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n"])
def test_an_empty_text_has_no_keys(text: str) -> None:
    assert parse_yaml(text).data == {}


def test_windows_line_ends_change_nothing() -> None:
    windows = parse_yaml(ISSUE.replace("\n", "\r\n"))
    assert windows.data == parse_yaml(ISSUE).data
    assert windows.positions.place_value(("egress", 1, "websocket")) == (7, 16)


def test_depth_has_a_bound() -> None:
    deepest = "a: " + "[" * (DEPTH_MAX - 1) + "]" * (DEPTH_MAX - 1)
    assert parse_yaml(deepest).data["a"]
    deeper = "a: " + "[" * 100_000
    assert problem_in(deeper) == (1, 3 + DEPTH_MAX, "something in it is nested too deeply")
    assert problem_in("a:\n" + "".join(" " * n + "- \n" for n in range(1, 40)))[2].startswith(
        "something in it"
    )


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert problem_in(ISSUE) == (1, 1, NOT_INSTALLED)
    assert "pip install 'trio-egress[yaml]'" in NOT_INSTALLED
    assert "TOML" in NOT_INSTALLED


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'the key "destination" is missing in an [[egress]] table; write destination = "api.example.com"',
            'the key "destination" is missing in a rule of "egress"; write destination: "api.example.com"',
        ),
        (
            'egress must be a list of tables, not 1; did you mean "[[egress]]"?',
            'egress must be a list of tables, not 1; begin each rule with "- "',
        ),
        (
            'test must be a list of tables, not 1; did you mean "[[test]]"?',
            'test must be a list of tables, not 1; begin each test with "- "',
        ),
        *(
            (f'{key} must be a table, not 1; did you mean "[{key}]"?', f"{key} must be a table, not 1")
            for key in ("resolve", "files", "env", "limits")
        ),
        *(
            (f'unknown key "x" in the [{key}] table', f'unknown key "x" in "{key}"')
            for key in ("resolve", "files", "env", "limits")
        ),
        (
            'the key "expect" is missing in a [[test]] table',
            'the key "expect" is missing in a test of "test"',
        ),
        (
            'git must be a table such as { fetch = ["org/*"] }, not 1',
            'git must be a table such as { fetch: ["org/*"] }, not 1',
        ),
        ('needs `protocol` too, as in protocol = ["tcp"]', 'needs `protocol` too, as in protocol: ["tcp"]'),
        ('`set` is {LANG = "C"}', '`set` is {LANG: "C"}'),
        ('"LANG = C" is no variable\'s name', '"LANG = C" is no variable\'s name'),
    ],
)
def test_messages_are_in_words_of_yaml(said: str, told: str) -> None:
    assert in_yaml(said) == parse_yaml("a: 1\n").reword(said) == told


# Other readers


def read_as_1_1(text: str) -> Any:
    return yaml.safe_load(text)


def read_as_1_1_in_c(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def read_as_1_2(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


_FRAGMENTS = st.sampled_from(
    [
        *(
            "a",
            "b: ",
            "- ",
            "  ",
            "\n",
            "\n  ",
            "\n- ",
            "'",
            '"',
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            ": ",
            "#",
            " #",
        ),
        *(
            "true",
            "1",
            "-1",
            "1.5",
            "012",
            "yes",
            "~",
            "*a",
            "&a",
            "!x",
            "|\n  ",
            ">-\n  ",
            "\\n",
            "\\x41",
            "? ",
        ),
        *(
            "---\n",
            "...\n",
            "%",
            "api.example.com",
            "::1",
            "1:30",
            "@",
            "`",
            "ü",
            "\t",
            "<<: ",
            "=",
            "2001-01-01",
        ),
        *("a: b\n", "c:\n", "\r\n", "1e3", ".5", "0x1", "+1", "-", "?", "a.b:22", "'x'", '"y"'),
    ]
)


@settings(deadline=None)
@given(st.lists(_FRAGMENTS, max_size=14).map("".join))
def test_whatever_is_accepted_no_reader_of_yaml_1_1_or_1_2_reads_as_something_else(text: str) -> None:
    try:
        data = parse_yaml(text).data
    except Unreadable:
        return
    for read in (read_as_1_1, read_as_1_1_in_c, read_as_1_2):
        try:
            other = read(text)
        except (yaml.YAMLError, YAMLError):  # refused, which no one can mistake for something else
            continue
        assert (other or {}) == data, read


@pytest.mark.parametrize("read", [read_as_1_1, read_as_1_1_in_c, read_as_1_2])
def test_the_example_of_the_issue_is_read_alike_by_all(read: Any) -> None:
    assert read(ISSUE) == parse_yaml(ISSUE).data


def test_some_reader_takes_each_refused_scalar_for_something_else() -> None:
    def kinds(written: str) -> Iterator[object]:
        for read in (read_as_1_1, read_as_1_2):
            try:
                value = read(f"a: {written}\n")["a"]
            except (yaml.YAMLError, YAMLError):  # "=" has a type of its own in 1.1, which has no constructor
                value = None
            yield type(value) if not (isinstance(value, float) and math.isnan(value)) else "nan"

    plain = [written for written in AMBIGUOUS if set(kinds(written)) == {str}]
    # In YAML 1.1 as written (yaml.org/type), but in no reader tried here.
    assert plain == ["y", "N"]


@settings(deadline=None)
@given(st.text(max_size=40) | st.lists(_FRAGMENTS, max_size=14).map("".join))
def test_any_text_is_read_or_unreadable_at_a_place_in_it(text: str) -> None:
    try:
        parse_yaml(text)
    except Unreadable:
        line, column, _ = problem_in(text)
        lines = text.split("\n")
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


def test_yaml_can_be_read_once_it_has_been_read() -> None:
    parse_yaml("a: 1\n")
    assert has_yaml()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((word, "true") for word in ("yes", "Yes", "on", "ON", "y", "TRUE", "True")),
        *((word, "false") for word in ("no", "off", "n", "N", "FALSE", "False")),
    ],
)
def test_what_is_nearly_true_or_false_is_told_how_it_is_written(written: str, meant: str) -> None:
    _, _, message = problem_in(f"a: {written}\n")
    assert message == f"readers of YAML don't agree on what {written} is: write {meant}, or quote the text"


def test_a_number_has_as_many_digits_as_every_reader_keeps() -> None:
    assert parse_yaml(f"a: {'9' * 18}\n").data == {"a": 10**18 - 1}
    assert problem_in(f"a: {'9' * 19}\n")[2] == "a number has too many digits"
    assert parse_yaml(f"a: 0.{'1' * 16}\n").data == {"a": float(f"0.{'1' * 16}")}
    assert problem_in(f"a: 0.{'1' * 17}\n")[2].startswith("readers of YAML don't agree")


def test_levels_are_as_many_as_the_page_says() -> None:
    assert DEPTH_MAX == 16


def test_a_quote_that_is_never_closed_is_told_where_it_was_opened_and_another_fault_where_it_is() -> None:
    assert problem_in('a: "b\n')[:2] == (1, 4)
    assert problem_in('a: "b\\q"\n')[:2] == (1, 7)
    assert problem_in("a: [b\n")[:2] == (2, 1)


def test_no_table_is_called_as_toml_writes_it() -> None:
    assert [in_yaml(table.place) for table in TABLES.values() if "[" in in_yaml(table.place)] == []
    for key, one in (("egress", "rule"), ("test", "test"), ("secret", "secret"), ("canary", "canary")):
        said = in_yaml(f'{key} must be a list; did you mean "[[{key}]]"?')
        assert said == f'{key} must be a list; begin each {one} with "- "'
    assert in_yaml("unknown key in a [[secret]] table") == 'unknown key in a secret of "secret"'
