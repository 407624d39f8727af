"""What a GraphQL request asks for: its operations, each with the fields at its root (GraphQL, October 2021, 6).

graphql-core reads the document, and is loaded by `load_graphql` alone. Types and values are not looked at.

Rule 1: a field counts by its own name, never by an alias, wherever a fragment brings it to the root, under whatever
        directive.
Rule 2: every operation of a document counts, whichever of them is to be carried out.
Rule 3: a query that isn't in the request (a persisted one) can't be judged: it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trio_egress.model import Call, CallKind
from trio_egress.wire.message import BadMessage

QUERY_CHARS: Final = 256 * 1024
TOKENS: Final = 10_000
"""Of one document (graphql-java reads 15,000)."""

BATCH_ITEMS: Final = 10
"""Requests of one batch (Apollo's link sends 10)."""

MEMBERS: Final = frozenset({"query", "operationName", "variables", "extensions"})
WORDS: Final = frozenset(
    {"query", "operationname", "extensions", "id", "queryid", "documentid", "doc_id", "sha256hash"}
)
"""By one of these, in any case, a request is meant for GraphQL, or for a query that the server keeps."""


def load_graphql() -> None:
    """Import the reader, and have it read once, so that nothing is imported later."""
    list(read_document("{a}"))


def read_request(value: object) -> tuple[Call, ...]:
    """The operations of one request, out of parsed JSON. Raises BadMessage."""
    if not isinstance(value, Mapping) or not value.keys() <= MEMBERS:
        raise BadMessage("a GraphQL request has `query`, `operationName`, `variables` and `extensions` alone")
    query, chosen = value.get("query"), value.get("operationName")
    extensions = value.get("extensions")
    if not isinstance(query, str):
        raise BadMessage("the query is not in the GraphQL request: what the server keeps can't be judged")
    if isinstance(extensions, Mapping) and any(name.casefold() == "persistedquery" for name in extensions):
        raise BadMessage(
            "the GraphQL request may be for a query that the server keeps, which can't be judged"
        )
    calls = tuple(read_document(query))
    if chosen not in (None, "", *(call.name for call in calls if call.name)):
        raise BadMessage("the GraphQL request is for an operation that its document doesn't have")
    return calls


def read_document(query: str) -> Iterator[Call]:
    """Raises BadMessage."""
    document = _parse(query)
    operations, fragments = _sort(document)
    for operation in operations:
        fields = dict.fromkeys(_find_fields(operation, fragments))
        if not fields:
            raise BadMessage("a GraphQL operation asks for nothing")
        name = operation.name.value if operation.name else None
        yield Call(CallKind.GRAPHQL, operation.operation.value, name, tuple(fields))


def _parse(query: str) -> Any:
    from graphql import GraphQLError
    from graphql.language import parse

    if len(query) > QUERY_CHARS:
        raise BadMessage(f"a GraphQL document is longer than {QUERY_CHARS} characters", 413)
    try:
        return parse(query, no_location=True, max_tokens=TOKENS)
    except GraphQLError:
        raise BadMessage(f"the query is no GraphQL, or has more than {TOKENS} tokens") from None
    except RecursionError:
        raise BadMessage("the GraphQL document is nested too deeply") from None


def _sort(document: Any) -> tuple[list[Any], dict[str, Any]]:
    """Operations, and fragments by their names. Each name stands once (5.2.1.1, 5.5.1.1)."""
    operations: list[Any] = []
    fragments: dict[str, Any] = {}
    for definition in document.definitions:
        if definition.kind == "fragment_definition" and definition.name.value not in fragments:
            fragments[definition.name.value] = definition
        elif definition.kind == "operation_definition":
            operations.append(definition)
        else:
            raise BadMessage("a GraphQL document defines a fragment twice, or what is no part of a request")
    names = [operation.name.value if operation.name else "" for operation in operations]
    if not operations or len(set(names)) < len(names) or ("" in names and len(names) > 1):
        raise BadMessage("a GraphQL document has one operation, or several with names of their own")
    return operations, fragments


def _find_fields(operation: Any, fragments: Mapping[str, Any]) -> Iterator[str]:
    """At the root, in order, however deep in fragments. A fragment is looked through once."""
    seen: set[str] = set()
    left = [operation]
    while left:
        node = left.pop()
        match node.kind:
            case "field":
                yield node.name.value
            case "fragment_spread":
                name = node.name.value
                if name not in fragments:
                    raise BadMessage("a GraphQL document uses a fragment that it doesn't define")
                if name not in seen:
                    seen.add(name)
                    left.append(fragments[name])
            case _:  # an operation, a fragment, or one inline
                left.extend(reversed(node.selection_set.selections))
