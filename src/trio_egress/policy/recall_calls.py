"""What a receipt tells of the calls of a request, and how they are read from there again.

Rule 1: methods, names of tools and operations, and root fields are told; arguments never.
Rule 2: calls that don't fit are left out whole, and then the attempt is not decided again.
"""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.model import UNTOLD_ARGUMENTS, Call, CallKind

CALLS = "calls"
CALLS_LEFT_OUT = "names_left_out"
"""The same fact as for other names (recall.NAMES_LEFT_OUT)."""

CALLS_CHARS = 8000
"""Characters of all calls of one request that a receipt tells; `ext` has room for that beside all else, escaped."""

CALL_COST = 100
"""What a call costs beside its words."""

_KINDS = {kind.value: kind for kind in CallKind}


def tell_calls(calls: tuple[Call, ...]) -> dict[str, object]:
    """The facts of a request's calls."""
    size = sum(CALL_COST + sum(map(len, (call.method, call.name or "", *call.fields))) for call in calls)
    if size > CALLS_CHARS:
        return {CALLS_LEFT_OUT: True}
    return {CALLS: [_tell_call(call) for call in calls]}


def _tell_call(call: Call) -> dict[str, object]:
    told: dict[str, object] = {"kind": call.kind.value}
    if call.method:
        told["method"] = call.method
    if call.name is not None:
        told["name"] = call.name
    if call.fields:
        told["fields"] = list(call.fields)
    return told


def recall_calls(facts: Mapping[str, object]) -> tuple[Call, ...] | None:
    """None where they are not told, or not in this form."""
    told = facts.get(CALLS)
    if not isinstance(told, list):
        return None
    calls = [_recall_call(item) for item in told if isinstance(item, Mapping)]
    found = tuple(call for call in calls if call is not None)
    return found if len(found) == len(told) else None


def _recall_call(told: Mapping[str, object]) -> Call | None:
    kind, method, name = _KINDS.get(str(told.get("kind"))), told.get("method", ""), told.get("name")
    fields = told.get("fields", [])
    if kind is None or not isinstance(method, str) or not isinstance(name, str | None):
        return None
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        return None
    said = None if name is None else unescape(name)
    return Call(kind, unescape(method), said, tuple(map(unescape, fields)), UNTOLD_ARGUMENTS)


def unescape(text: str) -> str:
    """What `ext` holds as its Python escape; a text that is no escape as it stands."""
    if "\\" not in text:
        return text
    try:
        return text.encode("ascii", "replace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text
