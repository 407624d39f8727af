"""What a request asks for beside its head: calls of JSON-RPC or GraphQL, in its body or its query.

Bytes in, calls out; which of them are allowed is the policy's to say.

Rule 1: a body is read as what its members say that it is, whatever the path; what is neither is of kind OTHER.
Rule 2: what some server could read in another way raises BadMessage: another type or charset than JSON in UTF-8, a
        query beside a body that both ask for something, names that differ by case alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from trio_egress.model import Call, CallKind
from trio_egress.values import frozen
from trio_egress.wire.graphql import BATCH_ITEMS, MEMBERS, WORDS, read_request
from trio_egress.wire.jsonrpc import Message, parse_messages, read_call
from trio_egress.wire.message import BadMessage, Fields
from trio_egress.wire.strict_json import parse_json

BODY_BYTES: Final = 4 << 20
"""One body, beneath its codings, too."""

_JSON_TYPE = re.compile(r"application/(?:json|json-rpc|jsonrequest|[a-z0-9!#$&^_.-]+\+json)")
_RPC_WORDS = frozenset({"jsonrpc", "method"})
_SEPARATORS = re.compile(r"[&;]")


@frozen
class Asked:
    """What a request asks for. `messages`: of JSON-RPC, where it has those; `batch`: in a list, even of one."""

    calls: tuple[Call, ...] = ()
    messages: tuple[Message, ...] = ()
    batch: bool = False


NOTHING_ASKED = Asked()
SOMETHING_ELSE = Asked((Call(CallKind.OTHER),))


def read_asked(fields: Fields, query: str, raw: bytes, *, graphql: bool = True) -> Asked:
    """By the head's fields, the query of its target, and its whole body beneath all codings. Raises BadMessage.

    `graphql`: whether that is read; else it is something else.
    """
    words = _read_query(query)
    folded = {name.casefold() for name in words}
    if not raw:
        if graphql and folded & WORDS - {"id"}:
            return _read_get(words)
        return SOMETHING_ELSE if folded & _RPC_WORDS else NOTHING_ASKED
    _check_type([value for name, value in fields if name.lower() == b"content-type"])
    value = parse_json(raw)
    items = value if isinstance(value, list) else [value]
    names = {name.casefold() for item in items if isinstance(item, Mapping) for name in item}
    asks = names & (_RPC_WORDS | WORDS)
    if asks and folded & (_RPC_WORDS | WORDS - {"id"}):
        raise BadMessage(
            "the query asks for something, and so does the body: servers differ in which one counts"
        )
    if names & _RPC_WORDS:
        messages = parse_messages(raw, batches=True)
        return Asked(tuple(map(read_call, messages)), messages, isinstance(value, list))
    if graphql and asks:
        if len(items) > BATCH_ITEMS:
            raise BadMessage(f"a batch of more than {BATCH_ITEMS} GraphQL requests")
        return Asked(tuple(call for item in items for call in read_request(item)))
    return SOMETHING_ELSE


def _read_get(words: Mapping[str, list[str]]) -> Asked:
    """GraphQL in a query (GraphQL over HTTP, 5.2)."""
    if any(len(values) > 1 for values in words.values()) or len({n.casefold() for n in words}) < len(words):
        raise BadMessage("a parameter of a GraphQL request stands twice")
    said: dict[str, object] = {name: values[0] for name, values in words.items() if name in MEMBERS}
    for name in ("variables", "extensions"):
        if name in said:
            said[name] = parse_json(str(said[name]).encode("utf-8"))
    if {name.casefold() for name in words} & WORDS - {"id"} - {name.casefold() for name in said}:
        raise BadMessage(
            "the GraphQL request may be for a query that the server keeps, which can't be judged"
        )
    return Asked(read_request(said))


def _read_query(query: str) -> dict[str, list[str]]:
    """Decoded names and values. Raises BadMessage for what isn't UTF-8."""
    words: dict[str, list[str]] = {}
    for pair in filter(None, _SEPARATORS.split(query)):
        name, _, value = pair.replace("+", " ").partition("=")
        try:
            words.setdefault(_decode(name), []).append(_decode(value))
        except UnicodeDecodeError:
            raise BadMessage("a query that isn't UTF-8") from None
    return words


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8")


def _check_type(values: Iterable[bytes]) -> None:
    """One Content-Type, JSON, in UTF-8 (RFC 8259 8.1, 11)."""
    found = [value.decode("latin-1").lower() for value in values]
    kind, *parameters = [part.strip(" \t") for part in found[0].split(";")] if len(found) == 1 else [""]
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset")]
    if not _JSON_TYPE.fullmatch(kind):
        raise BadMessage("a body that has to be read is of one type, application/json", 415)
    if charsets not in ([], ["utf-8"]):
        raise BadMessage("a body that has to be read is in UTF-8", 415)
