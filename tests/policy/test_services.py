"""Git, GraphQL, JSON-RPC, MCP and header fields, by the facts of an attempt."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import OTHER, graphql, jsonrpc, make_request, make_terms

from trio_egress.model import Attempt, Call
from trio_egress.policy.services import FETCH, PUSH, WebSocket, find_git, find_service

FETCHED: dict[str, Any] = {"service": FETCH, "query": frozenset({"service"})}
PUSHED: dict[str, Any] = {"service": PUSH, "query": frozenset({"service"})}


@pytest.mark.parametrize(
    ("attempt", "asked"),
    [
        (make_request("/org/repo.git/info/refs", **FETCHED), ("/org/repo", FETCH)),
        (make_request("/org/repo/info/refs", **FETCHED), ("/org/repo", FETCH)),
        (make_request("/org/repo/info/refs", **PUSHED), ("/org/repo", PUSH)),
        (make_request("/org/repo.git/git-upload-pack", "POST"), ("/org/repo", FETCH)),
        (make_request("/org/repo.git/git-receive-pack", "POST"), ("/org/repo", PUSH)),
        (make_request("/org/repo/info/refs"), None),
        (make_request("/org/repo/info/refs", "POST", **FETCHED), None),
        (make_request("/org/repo/git-upload-pack"), None),
        (make_request("/org/repo/git-upload-pack", "POST", query=frozenset({"x"})), None),
        (make_request("/org/repo/git-upload-archive", "POST"), None),
        (make_request("/org/repo/objects/info/packs"), None),
        (make_request("/org/repo/../x/info/refs", **FETCHED), None),
        (make_request("/org/repo/info/lfs/objects/batch", "POST"), None),
    ],
)
def test_a_request_of_git_is_told_by_method_path_and_service(
    attempt: Attempt, asked: tuple[str, str] | None
) -> None:
    assert find_git(attempt) == asked


def test_a_request_without_a_path_is_none_of_gits() -> None:
    assert find_git(make_request(None)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "service"),
    [
        ("service=git-upload-pack", FETCH),
        ("service=git-receive-pack", PUSH),
        ("service=git-upload-archive", None),
        ("service=git-upload-pack&x=1", None),
        ("x=1&service=git-upload-pack", None),
        ("service=git%2Dupload-pack", None),
        ("git-upload-pack", None),
        ("", None),
    ],
)
def test_a_service_is_the_whole_query_or_none(query: str, service: str | None) -> None:
    assert find_service(query) == service


@pytest.mark.parametrize(
    ("git", "matching", "other"),
    [
        (
            {"fetch": ["org/*"]},
            [("/org/a", FETCHED)],
            [("/org/a", PUSHED), ("/or/a", FETCHED), ("/org/a/b", FETCHED)],
        ),
        (
            {"push": ["org/a"]},
            [("/org/a", PUSHED), ("/org/a.git", PUSHED)],
            [("/org/a", FETCHED), ("/org/b", PUSHED)],
        ),
        ({"fetch": ["org/**", "x/y.git"]}, [("/org/a/b", FETCHED), ("/x/y", FETCHED)], [("/x/z", FETCHED)]),
    ],
)
def test_repositories_are_matched_by_their_path(
    git: dict[str, Any], matching: list[tuple[str, Any]], other: list[tuple[str, Any]]
) -> None:
    found = make_terms(git=git).git
    assert found is not None
    assert all(found.matches(make_request(f"{path}/info/refs", **facts)) for path, facts in matching)
    assert not any(found.matches(make_request(f"{path}/info/refs", **facts)) for path, facts in other)
    assert not found.matches(make_request("/"))


@pytest.mark.parametrize(
    ("keys", "matching", "other"),
    [
        (
            {"queries": ["viewer", "repo*"]},
            [(graphql("query", "viewer"),), (graphql("query", "viewer", "repository", name="X"),)],
            [
                (),
                (graphql("query"),),
                (graphql("query", "viewer", "user"),),
                (graphql("mutation", "viewer"),),
                (graphql("query", "viewer"), graphql("query", "user")),
                (graphql("other", "viewer"),),
                (jsonrpc("viewer"),),
                (OTHER,),
            ],
        ),
        (
            {"operations": ["List*"]},
            [(graphql("query", "a", name="ListIssues"),), (graphql("mutation", "b", name="List"),)],
            [(graphql("query", "a"),), (graphql("query", "a", name="Delete"),)],
        ),
        (
            {"mutations": ["add*"], "subscriptions": ["seen"], "operations": ["*"]},
            [(graphql("mutation", "addStar"),), (graphql("subscription", "seen", name="S"),)],
            [(graphql("query", "addStar"),)],
        ),
    ],
)
def test_each_operation_of_graphql_must_be_named(
    keys: dict[str, Any], matching: list[tuple[Call, ...]], other: list[tuple[Call, ...]]
) -> None:
    found = make_terms(graphql=keys).graphql
    assert found is not None
    assert [calls for calls in matching if not found.matches(calls)] == []
    assert [calls for calls in other if found.matches(calls)] == []


def test_graphql_is_touched_by_one_field_of_one_operation() -> None:
    found = make_terms(graphql={"mutations": ["delete*"]}).graphql
    assert found is not None
    assert found.touches((graphql("query", "viewer"), graphql("mutation", "addStar", "deleteRepo")))
    assert not found.touches((graphql("query", "deleteRepo"), graphql("mutation", "addStar")))
    assert not found.touches((OTHER, graphql("mutation")))
    named = make_terms(graphql={"operations": ["Drop"]}).graphql
    assert named is not None
    assert named.touches((graphql("query", name="Drop"),))


def test_each_method_of_json_rpc_must_be_named() -> None:
    found = make_terms(jsonrpc={"methods": ["eth_*"]}).jsonrpc
    assert found is not None
    assert found.matches((jsonrpc("eth_call"), jsonrpc("eth_x")))
    for calls in ((), (jsonrpc("net_version"),), (jsonrpc("eth_call"), jsonrpc("net_version")), (OTHER,)):
        assert not found.matches(calls)
    assert found.touches((jsonrpc("net_version"), jsonrpc("eth_call")))
    assert not found.touches((jsonrpc("net_version"), OTHER))


@pytest.mark.parametrize(
    ("keys", "matching", "other"),
    [
        (
            {"tools": ["search_*"]},
            [(), (jsonrpc("initialize"),), (jsonrpc(""),), (jsonrpc("tools/call", "search_web"),)],
            [
                (jsonrpc("tools/call", "delete"),),
                (jsonrpc("tools/call"),),
                (OTHER,),
                (graphql("query", "a"),),
            ],
        ),
        (
            {"methods": ["initialize", "tools/*"]},
            [(jsonrpc("tools/list"),), (jsonrpc("tools/call", "any"),), (jsonrpc(""),)],
            [(jsonrpc("resources/read"),), (jsonrpc("initialize"), jsonrpc("ping"))],
        ),
        ({"tools": []}, [(jsonrpc("tools/list"),)], [(jsonrpc("tools/call", "x"),)]),
    ],
)
def test_methods_and_tools_of_mcp_must_be_named(
    keys: dict[str, Any], matching: list[tuple[Call, ...]], other: list[tuple[Call, ...]]
) -> None:
    found = make_terms(mcp=keys).mcp
    assert found is not None
    assert [calls for calls in matching if not found.matches(calls)] == []
    assert [calls for calls in other if found.matches(calls)] == []


def test_mcp_is_touched_by_a_tool_or_method_that_is_named() -> None:
    tools = make_terms(mcp={"tools": ["delete_*"]}).mcp
    methods = make_terms(mcp={"methods": ["resources/*"]}).mcp
    assert tools is not None
    assert methods is not None
    assert tools.touches((jsonrpc("tools/list"), jsonrpc("tools/call", "delete_all")))
    assert not tools.touches((jsonrpc("tools/call", "search"), jsonrpc("delete_x", "delete_x"), OTHER))
    assert methods.touches((jsonrpc("resources/read"),))
    assert not methods.touches((jsonrpc("tools/call", "resources/x"),))


def test_header_fields_are_required_and_forbidden_by_name() -> None:
    headers = make_terms(headers={"required": ["X-Run", "x-b"], "forbidden": ["X_Api_Key"]}).headers
    assert headers is not None
    assert headers.find_missing(frozenset({"host"})) == "x-b"
    assert headers.find_missing(frozenset({"x-run", "x-b"})) is None
    assert headers.find_forbidden(frozenset({"x-api_key", "x-run"})) == "x-api_key"
    assert headers.find_forbidden(frozenset({"x-api", "host"})) is None


def test_a_table_about_websockets_allows_them_and_looks_through_none() -> None:
    assert WebSocket() == WebSocket(enabled=True, frame_scan=False, proxy_path=None)
