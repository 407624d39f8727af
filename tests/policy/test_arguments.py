"""What tools may be called with: what a pattern matches, what it never does, and what a denial is about."""

from __future__ import annotations

import pytest
from tests.policy.specimens import HOST, make_policy, make_request

from trio_egress.model import UNTOLD_ARGUMENTS, Call, CallKind, Need
from trio_egress.policy.arguments import ValueGlob, read_arguments, render_arguments
from trio_egress.policy.engine import decide
from trio_egress.policy.moment import Moment
from trio_egress.texts.faults import Faults

EVERY = Moment(able=frozenset(Need))

VALUES = {
    "/src/**": (
        ["/src", "/src/a", "/src/a/b.py", "/src/ü", "/src/a/"],
        [
            "/srcx",
            "/SRC/a",
            "src/a",
            "/src/../etc/passwd",
            "/src/./a",
            "/src//a",
            "/src/a/..",
            "/src/..",
            "/src/.. /a",
            "/src\\..\\a",
            "/src/%2e%2e/a",
            "/src/a\n",
            "/src/\uff0e\uff0e/a",
            "/src/a\uff0fb",
            "/src/\0",
            "~/src/a",
            "",
        ],
    ),
    "/src/*.py": (["/src/a.py"], ["/src/a/b.py", "/src/.py/../x.py"]),
    "octo/*": (["octo/hello"], ["octo", "octo/", "other/hello", "octo/a/b"]),
    "https://docs.example/**": (
        ["https://docs.example/a/b?c=d", "https://docs.example"],
        [
            "https://docs.example@evil.example/",
            "https://docs.example.evil/",
            "https://docs.example//evil",
            "http://docs.example/",
        ],
    ),
    "read*": (["read", "read-only", "read/a b\n"], ["Read", "unread"]),
    "*": (["", "anything\0", "/etc/passwd"], []),
    "": ([""], ["a"]),
    "true": (["true"], ["false"]),
}


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        (p, v, fits)
        for p, lists in VALUES.items()
        for fits, values in zip((True, False), lists, strict=True)
        for v in values
    ],
)
def test_a_pattern_matches_what_it_says_and_nothing_that_is_read_in_two_ways(
    pattern: str, value: str, fits: bool
) -> None:
    assert ValueGlob(pattern).matches(value) is fits


@pytest.mark.parametrize("value", ["/src/a", "/SRC/a", "/x/../src", "/src%2fa", "\\src", "/\uff53rc/a"])
def test_a_denial_is_about_whatever_a_server_could_read_so(value: str) -> None:
    assert ValueGlob("/src/**").touches(value)


def call(*arguments: tuple[str, str], tool: str = "read_file") -> Call:
    return Call(CallKind.JSONRPC, "tools/call", tool, arguments=arguments)


def allows(mcp: object, *calls: Call, deny: bool = False) -> bool:
    rules: list[dict[str, object]] = [{"destination": HOST, "mcp": mcp}]
    if deny:
        rules = [{"destination": HOST}, {**rules[0], "deny": True}]
    return decide(make_policy(*rules), make_request(calls=calls), EVERY).allowed


NAMED = {"arguments": {"read_*": {"path": "/src/**"}}}


@pytest.mark.parametrize(
    ("mcp", "arguments", "allowed"),
    [
        (NAMED, [("path", "/src/a")], True),
        (NAMED, [("path", "/src/a"), ("path", "/src/b")], True),
        (NAMED, [("path", "/src/a"), ("path", "/etc/b")], False),
        (NAMED, [], False),
        (NAMED, [("path", "/etc/a")], False),
        (NAMED, [("path", "/src/a"), ("paths", "/etc/b")], False),
        (NAMED, [("path.of", "/src/a")], False),
        ({"arguments": {"read_*": {"path": "/src/**", "*": "*"}}}, [("path", "/src/a"), ("head", "5")], True),
        ({"arguments": {"read_*": {"path": "/src/**", "*": "*"}}}, [("path", "/etc/a")], False),
        ({"arguments": {"read_*": {"path": "/src/**", "*": "*"}}}, [("head", "5")], False),
        ({"arguments": {"read_*": {"path": ["/src/**", "/doc/**"]}}}, [("path", "/doc/a")], True),
        ({"arguments": {"read_*": {"*": "/src/**"}, "*": {"*": "*"}}}, [("path", "/src/a")], True),
        ({"arguments": {"read_*": {"*": "/src/**"}, "*": {"*": "*"}}}, [("path", "/etc/a")], False),
        ({"arguments": {"read_*": {}}}, [], True),
        ({"arguments": {"read_*": {}}}, [("a", "b")], False),
        ({"arguments": {"write_*": {"path": "/src/**"}}}, [("path", "/etc/a")], True),
        ({"arguments": {"read_*": {"options.path": "/src/**"}}}, [("options.path", "/src/a")], True),
    ],
)
def test_a_tool_is_called_with_what_is_named_for_it(
    mcp: dict[str, object], arguments: list[tuple[str, str]], allowed: bool
) -> None:
    assert allows(mcp, call(*arguments)) is allowed


def test_arguments_that_are_not_known_are_not_allowed_and_those_of_a_receipt_are() -> None:
    assert not allows(NAMED, Call(CallKind.JSONRPC, "tools/call", "read_file"))
    assert allows(NAMED, Call(CallKind.JSONRPC, "tools/call", "read_file", arguments=UNTOLD_ARGUMENTS))


def test_several_messages_at_once_are_not_allowed() -> None:
    assert allows({"tools": ["*"]}, call())
    assert not allows({"tools": ["*"]}, call(), call())


@pytest.mark.parametrize(
    ("mcp", "denied", "left"),
    [
        (
            {"arguments": {"read_*": {"path": "/etc/**"}}},
            [call(("path", "/etc/a")), call(("Path", "/ETC/a")), call(("path", "/x/../etc/a"))],
            [call(("path", "/src/a")), call(), call(("path", "/etc/a"), tool="list")],
        ),
        (
            {"tools": ["read_*"], "arguments": {"read_file": {"path": "/etc/**"}}},
            [call(("path", "/etc/a")), call(tool="read_all")],
            [call(("path", "/src/a")), call(tool="list")],
        ),
    ],
)
def test_a_denial_is_about_what_its_arguments_name(
    mcp: dict[str, object], denied: list[Call], left: list[Call]
) -> None:
    assert not any(allows(mcp, each, deny=True) for each in denied)
    assert all(allows(mcp, each, deny=True) for each in left)


def test_the_reason_says_that_it_is_the_arguments() -> None:
    policy = make_policy({"destination": HOST, "mcp": {"tools": ["read_*"], **NAMED}})
    reason = decide(policy, make_request(calls=(call(("path", "/private")),)), EVERY).reason
    assert "doesn't allow tools/call read_file with such arguments" in reason
    assert "private" not in reason


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["a"], "arguments must be a table"),
        ({}, "names 1 to"),
        ({"a": "b"}, 'what "a" may be called with must be a table'),
        ({"a": {"b": 1}}, "an argument has a pattern"),
        ({"a": {"b": []}}, "an argument has a pattern"),
        ({"a": {"b": "/x/**y"}}, "whole segments"),
        ({"a": {"b": "/x/../y"}}, "dot segment"),
        ({"a": {"b": "\0"}}, "printable"),
        ({"a": {"": "x"}}, "a name of"),
        ({"": {"a": "x"}}, "a name of"),
    ],
)
def test_what_is_no_pattern_is_an_error(value: object, said: str) -> None:
    with pytest.raises((ValueError, Faults)) as caught:
        read_arguments(value)
    assert said in str(caught.value) or said in str(
        [fault.message for fault in getattr(caught.value, "faults", [])]
    )


def test_the_compiled_form_reads_as_the_same() -> None:
    arguments = read_arguments({"b": {"x": ["2", "1"], "*": "*"}, "a*": {}})
    assert render_arguments(arguments) == {"a*": {}, "b": {"*": ["*"], "x": ["1", "2"]}}
    assert read_arguments(render_arguments(arguments)) == arguments
