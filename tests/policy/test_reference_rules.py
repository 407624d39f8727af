"""docs/policy.md says what each key of a rule does: its tables, tried one by one.

What is allowed and denied is written as `TLS :443`, `TCP :22`, `SSH :22`, or as a request: `GET /path?query`, perhaps
with a port (`GET:8080 /`), and after it the header fields that it has, or what it calls.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import tomli
from tests.policy.specimens import graphql, jsonrpc, make_attempt, make_policy, make_request, make_rule
from tests.policy.test_reference import TEXT, quoted

from trio_egress.model import Attempt, Call, Layer, Need, Protocol, RuleLimits
from trio_egress.policy.engine import decide
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import find_needs
from trio_egress.policy.paths import find_query_names
from trio_egress.policy.services import find_service

SEEING = Moment(now_us=0, able=frozenset(Need))
CALLING = {"graphql", "jsonrpc", "mcp"}


def tables(header: str) -> list[list[str]]:
    """The rows of all tables whose header line begins so."""
    rows = []
    for after in TEXT.split(f"\n{header}")[1:]:
        for row in after.split("\n\n")[0].splitlines()[2:]:
            rows.append([cell.strip() for cell in row.strip().strip("|").split("|")])
    assert rows
    return rows


def read_keys(cell: str) -> dict[str, Any]:
    return tomli.loads("\n".join(quoted(cell)))


def read_attempt(text: str, keys: dict[str, Any]) -> Attempt:
    spoken, target, *more = text.split(" ")
    if target.startswith(":"):
        return make_attempt(Protocol[spoken], int(target[1:]))
    method, _, port = spoken.partition(":")
    path, _, query = target.partition("?")
    calls = tuple(map(read_call, more)) if CALLING & keys.keys() else ()
    fields = frozenset() if CALLING & keys.keys() else frozenset(field.lower() for field in more)
    return make_request(
        path,
        method,
        port=int(port or 80),
        query=find_query_names(query),
        service=find_service(query),
        headers=fields | {"host"},
        calls=calls,
    )


def read_call(word: str) -> Call:
    """`query:field,field@Name` of GraphQL, or `method:tool`."""
    method, _, rest = word.partition(":")
    if method in ("query", "mutation"):
        fields, _, name = rest.partition("@")
        return graphql(method, *fields.split(","), name=name or None)
    return jsonrpc(method, rest or None)


@pytest.mark.parametrize(("says", "allows", "denies"), tables("| a rule with | allows"))
def test_a_rule_allows_and_denies_what_the_page_says(says: str, allows: str, denies: str) -> None:
    keys = read_keys(says)
    policy = make_policy(keys)
    assert quoted(allows)
    assert [
        text for text in quoted(allows) if not decide(policy, read_attempt(text, keys), SEEING).allowed
    ] == []
    assert [text for text in quoted(denies) if decide(policy, read_attempt(text, keys), SEEING).allowed] == []


@pytest.mark.parametrize(("says", "denies", "leaves"), tables("| a rule with `deny = true`"))
def test_a_rule_with_deny_denies_and_leaves_what_the_page_says(says: str, denies: str, leaves: str) -> None:
    keys = read_keys(says)
    policy = make_policy({"deny": True, **keys}, {"ports": ["1-65535"]})
    assert quoted(denies)
    for text in quoted(denies):
        assert decide(policy, read_attempt(text, keys), SEEING).layer is Layer.DENY_RULE, text
    assert [
        text for text in quoted(leaves) if not decide(policy, read_attempt(text, keys), SEEING).allowed
    ] == []


@pytest.mark.parametrize(("says", "http", "tls"), tables("| a rule with | needs for HTTP"))
def test_a_rule_needs_what_the_page_says(says: str, http: str, tls: str) -> None:
    rule = make_rule(**read_keys(says))
    for cell, attempt in ((http, make_request(calls=None)), (tls, make_attempt(Protocol.TLS, 443))):
        assert sorted(need.value for need in find_needs(rule, attempt)) == quoted(cell)


@pytest.mark.parametrize(("key", "example", "_of_what"), tables("| key of `limits`"))
def test_each_limit_of_a_rule_is_accepted(key: str, example: str, _of_what: str) -> None:
    policy = make_policy(tomli.loads(f"limits = {{ {quoted(key)[0]} = {quoted(example)[0]} }}"))
    limits = decide(policy, make_request(), SEEING).limits
    assert isinstance(limits, RuleLimits)
    assert getattr(limits, quoted(key)[0]) is not None


def test_every_example_of_times_and_proxy_path_in_the_text_is_accepted() -> None:
    times = re.findall(r"^`(times = .*?)`", TEXT, re.MULTILINE)
    paths = re.findall(r"`(proxy_path = .*?)`", TEXT)
    assert [len(times), len(paths)] == [1, 1]
    assert make_rule(**tomli.loads(times[0])).terms.times
    assert make_rule(websocket=tomli.loads(paths[0])).terms.websocket
