"""How each value of a rule is read, and what is said where it is wrong."""

from __future__ import annotations

from typing import Any

import cattrs
import pytest
from tests.policy.specimens import make_terms

from trio_egress.model import Rate, RuleLimits
from trio_egress.policy.document import TABLES
from trio_egress.policy.doors import Ports, Scheme
from trio_egress.policy.problems import find_faults
from trio_egress.policy.rule import Tls
from trio_egress.policy.services import WebSocket


def fault(**keys: Any) -> str:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        make_terms(**keys)
    (found,) = find_faults(caught.value, TABLES)
    return found.message


def test_every_key_is_read() -> None:
    terms = make_terms(
        name="x-1",
        reason="why not",
        ports=[443, "8000-8099", 444],
        protocol=["https", "wss", "https"],
        methods=["GET"],
        paths=["/b", "/a/**", "/b"],
        query=["b", "a"],
        headers={"forbidden": ["X-Key"]},
        graphql={"queries": ["b", "a"]},
        tls="intercept",
        scan=True,
        websocket={"frame_scan": True, "proxy_path": "/ws?url="},
        times=["Mon 08:00-09:00 UTC"],
        limits={"requests": "1/day", "connections": 2, "bytes_up": "1 KiB", "bytes_down": 5, "body": 0},
        allow_private=True,
    )
    assert (terms.name, terms.reason, terms.deny) == ("x-1", "why not", False)
    assert terms.ports == (Ports(443, 444), Ports(8000, 8099))
    assert terms.protocol == frozenset({Scheme.HTTPS, Scheme.WSS})
    assert [glob.text for glob in terms.paths or ()] == ["/a/**", "/b"]
    assert terms.query == frozenset({"a", "b"})
    assert terms.graphql is not None
    assert [glob.text for glob in terms.graphql.queries or ()] == ["a", "b"]
    assert terms.tls is Tls.INTERCEPT
    assert terms.websocket == WebSocket(enabled=True, frame_scan=True, proxy_path="/ws?url=")
    assert [str(window) for window in terms.times or ()] == ["Mon 08:00-09:00 UTC"]
    assert terms.limits == RuleLimits(
        requests=Rate(1, "day"), connections=2, bytes_up=1024, bytes_down=5, body=0
    )
    assert make_terms(protocol="ssh").protocol == frozenset({Scheme.SSH})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", 1, "name must be a short word"),
        ("name", "", "name must be a short word"),
        ("name", "A b", 'not "A b"'),
        ("name", "a" * 65, "name must be a short word"),
        ("reason", 1, "reason must be a text"),
        ("reason", " ", "reason must be one line"),
        ("reason", "a\nb", "reason must be one line"),
        ("reason", "a" * 201, "reason must be one line of 1 to 200"),
        ("deny", "yes", 'deny must be true or false, not "yes"'),
        ("scan", 1, 'scan must be true, false, or a table such as { secret = "block" }, not 1'),
        ("ports", 80, "ports must be a list such as [443"),
        ("ports", [80] * 1001, "ports must be a list"),
        ("ports", [], "ports is empty, which would allow nothing"),
        ("ports", ["http"], "a port is a number from 1 to 65535"),
        ("protocol", 1, "protocol must be a word or a list"),
        ("protocol", [], "protocol is empty"),
        (
            "protocol",
            "htps",
            '"htps" is not one of the protocols http, https, ws, wss, ssh, tcp; did you mean "https"?',
        ),
        ("protocol", [1], "1 is not one of the protocols"),
        ("paths", [], "paths is empty"),
        ("paths", "/a", "paths must be a list"),
        ("paths", ["a"], 'a path begins with "/"; did you mean "/a"?'),
        ("paths", ["/a/../b"], "the path has a dot segment"),
        ("query", ["a", ""], '"" is not a word'),
        ("query", ["a" * 201], "is not a word of 1 to 200"),
        ("query", "a", "query must be a list"),
        ("headers", ["a"], "headers must be a table such as"),
        ("headers", {}, "headers is empty, which says nothing"),
        ("headers", {"required": ["a b"]}, '"a b" is not the name of a header field'),
        (
            "headers",
            {"require": ["a"]},
            'unknown key "require" in a `headers` table; did you mean "required"?',
        ),
        ("git", {"fetch": ["/org/a"]}, "without a slash around it"),
        ("git", {"fetch": ["org/"]}, "without a slash around it"),
        ("git", {"pull": ["a"]}, 'unknown key "pull" in a `git` table'),
        ("git", {"fetch": ["a//b"]}, "an empty segment"),
        ("graphql", {"queries": "a"}, "graphql.queries must be a list"),
        ("jsonrpc", {"x": 1, "methods": ["a"]}, 'unknown key "x"'),
        ("mcp", {"tools": [1]}, "mcp.tools must be a list"),
        ("tls", "terminate", 'tls must be "intercept" or "passthrough", not "terminate"'),
        ("tls", True, "tls must be"),
        ("websocket", True, "websocket must be a table such as { enabled = true }"),
        ("websocket", {"enabled": 1}, "websocket.enabled must be true or false"),
        ("websocket", {"proxy_path": "/ws"}, "a path and the parameter that holds the address"),
        ("websocket", {"proxy_path": 1}, "a path and the parameter that holds the address"),
        ("times", [], "times is empty"),
        ("times", ["noon"], "a time is written as"),
        ("limits", {"requests": 5}, "requests must be a rate"),
        ("limits", {"requests": "5"}, "requests must be a rate"),
        ("limits", {"connections": 0}, "connections must be at least 1"),
        ("limits", {"bytes_up": 0}, "bytes_up must be at least 1 B"),
        ("limits", {"body": -1}, "body must be at least 0;"),
        ("limits", {"body": "1 MB"}, '"MB" is not one of the units'),
    ],
)
def test_a_wrong_value_is_told(key: str, value: object, said: str) -> None:
    assert said in fault(**{key: value})


def test_a_rule_of_json_rpc_without_methods_is_told_how_to_write_them() -> None:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        make_terms(jsonrpc={"x": 1})
    said = [found.message for found in find_faults(caught.value, TABLES)]
    assert 'the key "methods" is missing in a `jsonrpc` table; write methods = ["eth_call"]' in said


def test_each_wrong_item_of_a_list_is_told_at_its_place() -> None:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        make_terms(ports=[80, 0, "x"])
    found = list(find_faults(caught.value, TABLES))
    assert [one.path for one in found] == [("egress", 0, "ports", 1), ("egress", 0, "ports", 2)]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("reason", "", "reason must be one line of 1 to 200 printable characters"),
        ("protocol", 1, 'protocol must be a word or a list such as ["https", "wss"], not 1'),
        ("protocol", [1], "1 is not one of the protocols http, https, ws, wss, ssh, tcp"),
        ("paths", "/a", 'paths must be a list such as ["/v1/*", "/docs/**"], not "/a"'),
        ("query", "a", 'query must be a list such as ["page", "per_page"], not "a"'),
        ("query", [""], '"" is not a word of 1 to 200 printable characters'),
        ("headers", {"required": "a"}, 'headers.required must be a list such as ["x-request-id"], not "a"'),
        ("headers", {"forbidden": ["a" * 201]}, f'"{"a" * 60}…" is not the name of a header field'),
        ("git", {"push": "a"}, 'git.push must be a list such as ["org/*"], not "a"'),
        ("mcp", {"tools": "a"}, 'mcp.tools must be a list such as ["search_*"], not "a"'),
        ("times", "a", 'times must be a list such as ["Mon-Fri 08:00-18:00 UTC"], not "a"'),
        (
            "websocket",
            {"proxy_path": "/ws"},
            (
                "websocket.proxy_path must be a path and the parameter that holds the address, "
                'as in "/ws?url=", not "/ws"'
            ),
        ),
        ("limits", {"connections": "1"}, "connections must be "),
    ],
)
def test_a_message_says_what_to_write(key: str, value: object, said: str) -> None:
    message = fault(**{key: value})
    assert message == said or (said.endswith(" ") and message.startswith(said))


def test_a_value_may_be_as_long_as_its_bound() -> None:
    longest = make_terms(name="n" * 64, reason="r" * 200, query=["q" * 200], ports=list(range(1, 1001)))
    assert (longest.name, longest.reason) == ("n" * 64, "r" * 200)
    assert longest.query == frozenset({"q" * 200})
    assert longest.ports == (Ports(1, 1000),)
    fields = make_terms(headers={"required": ["x" * 200]}).headers
    assert fields is not None
    assert fields.required == frozenset({"x" * 200})


def test_a_forbidden_field_is_so_in_each_spelling_and_a_required_one_is_that_alone() -> None:
    headers = make_terms(headers={"required": ["X_One"], "forbidden": ["X_Two", "x-two"]}).headers
    assert headers is not None
    assert (headers.required, headers.forbidden) == (frozenset({"x_one"}), frozenset({"x-two"}))


def test_repositories_are_named_without_the_ending_that_git_gives_them() -> None:
    git = make_terms(git={"fetch": ["org/b.git", "org/*", "org/b"]}).git
    assert git is not None
    assert [glob.text for glob in git.fetch] == ["org/*", "org/b"]
    assert git.fetch[1].matches("/org/b")
    assert not git.fetch[1].matches("org/b")


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"paths": ["/a", "/a/../b"]}, ("paths", 1)),
        ({"git": {"fetch": ["a", "a//b"]}}, ("git", "fetch", 1)),
        ({"times": ["Mon 08:00-09:00 UTC", "noon"]}, ("times", 1)),
    ],
)
def test_a_pattern_that_is_wrong_is_told_at_its_own_place(
    keys: dict[str, Any], path: tuple[object, ...]
) -> None:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        make_terms(**keys)
    (found,) = find_faults(caught.value, TABLES)
    assert found.path == ("egress", 0, *path)
