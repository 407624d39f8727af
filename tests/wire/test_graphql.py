"""GraphQL requests: what hides no root field, and what can't be judged."""

from __future__ import annotations

from typing import Any

import pytest

from trio_egress.wire.graphql import QUERY_CHARS, TOKENS, read_document, read_request
from trio_egress.wire.message import BadMessage

DOCUMENTS = {
    "{ viewer { login } }": [("query", None, ("viewer",))],
    "query List($n: Int = 1) { issues(first: $n) { title } }": [("query", "List", ("issues",))],
    "mutation { a: deleteRepo b: viewer }": [("mutation", None, ("deleteRepo", "viewer"))],
    "subscription S { changed }": [("subscription", "S", ("changed",))],
    "{ viewer: deleteAll }": [("query", None, ("deleteAll",))],
    "{ ... { deep } ... on Query @include(if: false) { deeper } }": [("query", None, ("deep", "deeper"))],
    "{ ...F } fragment F on Query { hidden ...G ...F } fragment G on Query { more ...F }": [
        ("query", None, ("hidden", "more"))
    ],
    "query A { a } mutation B { b }": [("query", "A", ("a",)), ("mutation", "B", ("b",))],
    "{ a a }": [("query", None, ("a",))],
    '{ a(b: """ } mutation { c """) }': [("query", None, ("a",))],
    "{ a # mutation { c }\n }": [("query", None, ("a",))],
    "{ __schema { types { name } } }": [("query", None, ("__schema",))],
}

REFUSED = (
    "",
    "{",
    "{}",
    "{ a } { b }",
    "query A { a } query A { b }",
    "query A { a } { b }",
    "{ ...F }",
    "{ ...F } fragment F on Q { a } fragment F on Q { b }",
    "fragment F on Q { a }",
    "type A { b: Int }",
    "{ a } type A { b: Int }",
    "{ a(b: " + "[" * 4000 + "]" * 4000 + ") }",
    "{ a" * 4000,
    "{ " + "a " * TOKENS + "}",
    "{ a }" + " " * QUERY_CHARS,
)


@pytest.mark.parametrize(("query", "expected"), DOCUMENTS.items())
def test_every_field_at_the_root_of_every_operation_counts(query: str, expected: object) -> None:
    assert [(call.method, call.name, call.fields) for call in read_document(query)] == expected


def test_fragments_that_bring_each_other_to_the_root_are_followed_to_the_last() -> None:
    chain = "".join(f"fragment F{number} on Q {{ ...F{number + 1} }} " for number in range(1200))
    query = f"mutation {{ a ...F0 b }} {chain} fragment F1200 on Q {{ last ...F0 }}"
    assert [call.fields for call in read_document(query)] == [("a", "last", "b")]


@pytest.mark.parametrize("query", REFUSED, ids=lambda query: query[:32])
def test_what_is_no_one_document_is_refused(query: str) -> None:
    with pytest.raises(BadMessage):
        list(read_document(query))


@pytest.mark.parametrize(
    "request_",
    [
        {"query": "{a}"},
        {"query": "{a}", "variables": {"x": 1}, "operationName": None, "extensions": {"trace": 1}},
        {"query": "query A {a}", "operationName": "A"},
    ],
)
def test_a_request_that_says_all_is_read(request_: dict[str, Any]) -> None:
    assert [call.fields for call in read_request(request_)] == [("a",)]


@pytest.mark.parametrize(
    "request_",
    [
        None,
        "{a}",
        {},
        {"query": 1},
        {"query": None, "id": "7"},
        {"query": "{a}", "documentId": "7"},
        {"query": "{a}", "Query": "{b}"},
        {"query": "{a}", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "00"}}},
        {"query": "{a}", "extensions": {"PersistedQuery": {}}},
        {"extensions": {"persistedQuery": {}}},
        {"query": "query A {a}", "operationName": "B"},
        {"query": "query A {a}", "operationName": ["A"]},
        {"query": "{a}", "operationName": "A"},
    ],
)
def test_a_request_that_may_ask_for_something_else_is_refused(request_: object) -> None:
    with pytest.raises(BadMessage):
        read_request(request_)


def test_many_fragments_take_no_longer_than_their_text() -> None:
    """Each uses the next one twice; tried one by one that is two to the power of five hundred."""
    parts = [f"fragment F{n} on Q {{ ...F{n + 1} ...F{n + 1} }}" for n in range(500)]
    (call,) = read_document("{ ...F0 } " + " ".join(parts) + " fragment F500 on Q { end }")
    assert call.fields == ("end",)
