"""A GraphQL document is refused with BadMessage, or every field that its operations can reach at the root is told."""

from __future__ import annotations

from typing import Any

from driver import fuzz, instrumented
from graphql.language import parse, print_ast

with instrumented():
    from trio_egress.wire.graphql import read_document
    from trio_egress.wire.message import BadMessage


def check(raw: bytes) -> None:
    query = raw.decode("utf-8", "replace")
    try:
        calls = list(read_document(query))
    except BadMessage:
        return
    document: Any = parse(query)
    assert list(read_document(print_ast(document))) == calls  # laid out anew, it says the same
    operations = [each for each in document.definitions if each.kind == "operation_definition"]
    assert [each.operation.value for each in operations] == [call.method for call in calls]
    for operation, call in zip(operations, calls, strict=True):
        assert call.fields or any(each.kind != "field" for each in operation.selection_set.selections)
        for selection in operation.selection_set.selections:
            if selection.kind == "field":
                assert selection.name.value in call.fields


if __name__ == "__main__":
    fuzz(check, "graphql")
