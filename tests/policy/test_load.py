"""Reading a policy: what is accepted, and how what is not is told."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PolicyError, Problem
from trio_egress.model import Endpoint, Name, RuleRef
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.load import load_policy
from trio_egress.policy.part import POLICY_BYTES, decode_policy
from trio_egress.policy.rule import Policy
from trio_egress.texts.faults import LINE_CHARS, MESSAGE_CHARS, PROBLEMS_MAX

HEAD = 'version = "1.0"\ndefault_deny = true\n'

POLICY = """\
# what the agent may reach
version = "1.0"
default_deny = true
dns_resolution = "proxy_only"

[[egress]]
destination = "API.example.com"
methods = ["GET", "HEAD"]

[[egress]]
destination = "*.example.org"

[[egress]]
destination = "10.20.0.0/16"
allow_private = true

[resolve]
"api.example.com:443" = "127.0.0.1:8443"
"""


def errors_in(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, "agent.toml")
    return str(caught.value)


def test_a_policy_is_read_whole() -> None:
    policy = load_policy(POLICY, "agent.toml")
    assert policy.source_file == "agent.toml"
    assert [rule.ref for rule in policy.rules] == [
        RuleRef(0, "api.example.com", 6),
        RuleRef(1, "*.example.org", 10),
        RuleRef(2, "10.20.0.0/16", 13),
    ]
    assert [rule.terms.methods for rule in policy.rules] == [frozenset({"GET", "HEAD"}), None, None]
    assert [rule.terms.allow_private for rule in policy.rules] == [False, False, True]
    assert policy.resolve.find(Name("api.example.com"), 443) == Endpoint(ip_address("127.0.0.1"), 8443)


YAML_POLICY = """\
version: "1.0"
default_deny: true
egress:
  - destination: API.example.com
    methods: [GET, HEAD]
  - destination: "*.example.org"
  - {destination: 10.20.0.0/16, allow_private: true}
resolve:
  api.example.com:443: 127.0.0.1:8443
"""


@pytest.mark.parametrize("name", ["agent.yaml", "agent.yml", "AGENT.YAML"])
def test_the_name_tells_that_a_policy_is_yaml(name: str) -> None:
    policy, toml = load_policy(YAML_POLICY, name), load_policy(POLICY, "agent.toml")
    assert policy_hash(policy) == policy_hash(toml)
    assert [rule.ref.line for rule in policy.rules] == [4, 6, 7]
    assert load_policy(YAML_POLICY.replace("\n", "\r\n"), name) == policy


def test_errors_in_yaml_have_their_places_and_its_words() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy("default_deny: yes\n", "agent.yaml")
    assert str(caught.value) == (
        "agent.yaml:1:15: error: readers of YAML don't agree on what yes is: write true, or quote the text\n"
        "    1 | default_deny: yes\n"
        "      |               ^"
    )
    with pytest.raises(PolicyError) as caught:
        load_policy("default_deny: true\negress:\n  - methods: [GET, PSOT]\n", "agent.yaml")
    assert str(caught.value) == (
        'agent.yaml:1:1: error: the key "version" is missing at the top of the file; write version: "1.0"\n'
        "    1 | default_deny: true\n"
        "      | ^\n"
        'agent.yaml:3:5: error: the key "destination" is missing in a rule of "egress"; '
        'write destination: "api.example.com"\n'
        "    3 |   - methods: [GET, PSOT]\n"
        "      |     ^\n"
        'agent.yaml:3:20: error: "PSOT" is not a method; did you mean "POST"?\n'
        "    3 |   - methods: [GET, PSOT]\n"
        "      |                    ^"
    )


def test_a_policy_without_a_rule_is_valid() -> None:
    assert load_policy(HEAD, "agent.toml").rules == ()


@pytest.mark.parametrize(
    "text",
    [
        POLICY.replace("\n", "\r\n"),
        "\ufeff" + POLICY,
        POLICY.rstrip("\n"),
        POLICY.replace("destination =", "\tdestination\t="),
    ],
)
def test_line_ends_tabs_and_a_byte_order_mark_change_nothing(text: str) -> None:
    assert load_policy(text, "agent.toml") == load_policy(POLICY, "agent.toml")


def test_rules_in_one_inline_list_have_their_own_lines() -> None:
    text = HEAD + 'egress = [\n  {destination = "a.example"},\n  {destination = "b.example"},\n]\n'
    assert [rule.ref.line for rule in load_policy(text, "f").rules] == [4, 5]


def test_an_error_shows_file_line_column_the_line_and_a_caret() -> None:
    assert errors_in(HEAD + '[[egress]]\ndestination = "a.example"\n\tmethods = ["GET", "PSOT"]\n') == (
        'agent.toml:5:20: error: "PSOT" is not a method; did you mean "POST"?\n'
        '    5 | \tmethods = ["GET", "PSOT"]\n'
        "      | \t                  ^"
    )


def test_several_errors_are_told_at_once_in_the_order_of_the_text() -> None:
    text = (
        'version = "2"\ndefualt_deny = true\n\n[[egress]]\nmethods = []\n'
        '[[egress]]\ndestination = "https://a.example/"\n[resolve]\n"a.example" = 1\n'
    )
    with pytest.raises(PolicyError) as caught:
        load_policy(text, "agent.toml")
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [
        (1, 11),
        (2, 1),
        (4, 1),
        (5, 11),
        (7, 15),
        (9, 15),
    ]


def test_columns_are_counted_without_the_byte_order_mark() -> None:
    assert errors_in('\ufeffversion = "2"\ndefault_deny = true\n').startswith("agent.toml:1:11: error:")


def test_a_line_of_windows_is_shown_without_its_return() -> None:
    shown = errors_in(HEAD.replace("\n", "\r\n") + "[resolve]\r\nscan = true\r\n")
    assert "\n    4 | scan = true\n" in shown


def test_a_unicode_line_separator_in_a_string_ends_no_line() -> None:
    text = HEAD + 'x = "a\u2028b"\n'
    assert '    3 | x = "a\ufffdb"\n' in errors_in(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("default_deny = True", "agent.toml:1:16: error: Invalid value; did you mean true?"),
        ("default_deny = False", "agent.toml:1:16: error: Invalid value; did you mean false?"),
        (
            "destination = api.example.com",
            'agent.toml:1:15: error: Invalid value; did you mean "api.example.com"?',
        ),
        ("version = ", "agent.toml:1:11: error: Invalid value\n"),
        ("version = 'x", 'agent.toml:1:13: error: Expected "\'"'),
        ("[egress", "agent.toml:1:8: error: Expected ']'"),
        ("a = 1\na = 2\n", "agent.toml:2:6: error: this key stands there already, with a value"),
        ("a = 1\r\nb = ?\r\n", "agent.toml:2:5: error: Invalid value"),
    ],
)
def test_what_is_not_toml_is_told_with_what_was_meant(line: str, said: str) -> None:
    assert errors_in(line).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 9" + "9" * 6000, "a number in it has too many digits"),
        ("a = " + "[" * 1000 + "]" * 1000, "something in it is nested too deeply"),
    ],
)
def test_what_tomli_refuses_without_a_place_is_a_policy_error_too(text: str, said: str) -> None:
    assert errors_in(text).startswith(f"agent.toml:1:1: error: {said}")


def test_an_empty_policy_is_told_what_it_needs() -> None:
    assert errors_in("") == (
        'agent.toml:1:1: error: the key "default_deny" is missing at the top of the file; write default_deny = true\n'
        'agent.toml:1:1: error: the key "version" is missing at the top of the file; write version = "1.0"'
    )


def test_a_policy_of_sixteen_mebibytes_is_the_largest() -> None:
    largest = HEAD + "#" + "ü" * ((POLICY_BYTES - len(HEAD) - 2) // 2)
    largest += "x" * (POLICY_BYTES - len(largest.encode()))
    assert load_policy(largest, "agent.toml").rules == ()
    for larger in (largest + "x", "x" * (POLICY_BYTES + 1)):
        assert errors_in(larger) == "agent.toml:1:1: error: a policy has at most 16777216 bytes"


def test_endless_errors_end() -> None:
    text = HEAD + "[[egress]]\n" * (PROBLEMS_MAX + 3)
    with pytest.raises(PolicyError) as caught:
        load_policy(text, "agent.toml")
    *shown, last = caught.value.problems
    assert len(shown) == PROBLEMS_MAX
    assert (last.line, last.message) == (PROBLEMS_MAX + 3, "and 3 more problems from here on")


def test_just_as_many_errors_as_are_shown_are_all_shown() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(HEAD + "[[egress]]\n" * PROBLEMS_MAX, "agent.toml")
    assert len(caught.value.problems) == PROBLEMS_MAX
    assert "more problems" not in str(caught.value)


def test_a_long_line_is_cut_after_the_caret_and_left_out_where_it_cannot_be() -> None:
    near, far = caught_problems("x = 1 #" + "a" * LINE_CHARS), caught_problems(" " * LINE_CHARS + "x = 1")
    assert near[0].source_line == "x = 1 #" + "a" * (LINE_CHARS - 7)
    assert (far[0].column, far[0].source_line) == (LINE_CHARS + 1, "")
    (last,) = caught_problems(" " * (LINE_CHARS - 1) + "x = 1")
    assert (last.column, last.source_line) == (LINE_CHARS, " " * (LINE_CHARS - 1) + "x")


def caught_problems(line: str) -> tuple[Problem, ...]:
    with pytest.raises(PolicyError) as caught:
        load_policy(HEAD + line + "\n", "agent.toml")
    return caught.value.problems


def test_an_error_never_sends_control_characters_to_a_terminal() -> None:
    shown = errors_in('version = "\x1b[31m"\n')
    assert "\x1b" not in shown
    assert "\ufffd" in shown


def test_a_message_is_never_longer_than_people_read() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(f'{HEAD}[[egress]]\ndestination = "{"ü" * 900}"\n', "agent.toml")
    assert len(caught.value.problems[0].message) <= MESSAGE_CHARS


def test_bytes_that_are_not_utf8_are_told_with_their_place() -> None:
    assert decode_policy(b"a = 1\n", "agent.toml") == "a = 1\n"
    with pytest.raises(PolicyError, match=r"^agent.toml:2:6: error: the byte 0xff is not UTF-8"):
        decode_policy("a = 1\nb = 'ü".encode().replace("ü".encode(), b"\xff"), "agent.toml")


_FRAGMENTS = st.sampled_from(
    [
        *POLICY.splitlines(keepends=True),
        "[[egress]]\n",
        "[egress]\n",
        "[resolve]\n",
        "methods = [",
        '"GET"',
        "]\n",
        "{",
        "}",
        "destination = ",
        '"*.example.com:1"\n',
        "'''",
        '"""',
        "\\",
        "\r\n",
        "\ufeff",
        "\ud800",
        "a.b.c = 1\n",
        "egress = [{}, {destination='x'}]\n",
        "1979-05-27 07:32:00\n",
    ]
)


def read(text: str) -> Policy | tuple[Problem, ...]:
    try:
        return load_policy(text, "agent.toml")
    except PolicyError as error:
        return error.problems


@settings(deadline=None)
@given(st.lists(_FRAGMENTS, max_size=20).map("".join) | st.text())
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    match read(text):
        case Policy():
            pass
        case problems:
            lines = text.removeprefix("\ufeff").split("\n")
            assert problems
            assert all(1 <= problem.line <= len(lines) and problem.column >= 1 for problem in problems)


@given(st.binary())
def test_any_bytes_are_text_or_a_policy_error(raw: bytes) -> None:
    try:
        text = decode_policy(raw, "f")
    except PolicyError:
        with pytest.raises(UnicodeDecodeError):
            raw.decode()
    else:
        assert text.encode() == raw


def test_a_policy_in_yaml_with_everything_usual_works_as_it_stands() -> None:
    text = """\
version: "1.0"
egress:
  - destination: "api.github.com"
    methods: ["GET", "POST"]
    scan: true
  - destination: "packages.example.com"
    methods: ["GET"]
    scan: false
  - destination: "docs.example.com"
    methods: ["GET", "POST"]
    scan: true
    websocket: { enabled: true, frame_scan: true, proxy_path: "/ws?url=" }
default_deny: true
dns_resolution: "proxy_only"
"""
    policy = load_policy(text, "agent.yaml")
    assert [(rule.ref.destination, rule.ref.line) for rule in policy.rules] == [
        ("api.github.com", 3),
        ("packages.example.com", 6),
        ("docs.example.com", 9),
    ]
