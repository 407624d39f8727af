"""What a receipt tells of calls, and what is read from there: the same, but for arguments."""

from __future__ import annotations

import json

import pytest

from trio_egress.evidence.facts import render_ext
from trio_egress.model import UNTOLD_ARGUMENTS, Call, CallKind
from trio_egress.policy.recall_calls import CALL_COST, CALLS_CHARS, recall_calls, tell_calls

CALLS = [
    (),
    (Call(CallKind.OTHER),),
    (Call(CallKind.JSONRPC),),
    (Call(CallKind.JSONRPC, "tools/call", "search"), Call(CallKind.JSONRPC, "eth_call")),
    (Call(CallKind.GRAPHQL, "query", "Läst\\n", ("viewer", "repository")),),
    (Call(CallKind.GRAPHQL, "mutation", None, ("drop",)),),
    (Call(CallKind.JSONRPC, "tools/call", "ü\u2028" * 99),),
]


@pytest.mark.parametrize("calls", CALLS)
def test_calls_are_read_as_they_were_told(calls: tuple[Call, ...]) -> None:
    stored = json.loads(json.dumps(render_ext(tell_calls(calls))))["trio_egress"]
    found = recall_calls(stored)
    assert found is not None
    assert [(c.kind, c.method, c.name, c.fields) for c in found] == [
        (c.kind, c.method, c.name, c.fields) for c in calls
    ]
    assert {call.arguments for call in found} <= {UNTOLD_ARGUMENTS}


def test_arguments_are_told_nowhere() -> None:
    call = Call(CallKind.JSONRPC, "tools/call", "read", arguments=(("path", "/private"),))
    assert "private" not in json.dumps(tell_calls((call,)))


def test_calls_that_do_not_fit_are_left_out_whole() -> None:
    most = CALLS_CHARS // CALL_COST
    assert len(tell_calls((Call(CallKind.JSONRPC),) * most)["calls"]) == most  # type: ignore[arg-type]
    told = tell_calls((Call(CallKind.JSONRPC),) * (most + 1))
    assert told == {"names_left_out": True}
    assert recall_calls(told) is None


@pytest.mark.parametrize(
    "told",
    [
        None,
        "jsonrpc",
        ["jsonrpc"],
        [{}],
        [{"kind": "soap"}],
        [{"kind": "jsonrpc", "method": 1}],
        [{"kind": "jsonrpc", "name": 1}],
        [{"kind": "graphql", "fields": "a"}],
        [{"kind": "graphql", "fields": [1]}],
    ],
)
def test_what_is_in_no_such_form_is_not_known(told: object) -> None:
    assert recall_calls({"calls": told}) is None
