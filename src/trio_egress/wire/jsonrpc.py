"""Messages of JSON-RPC 2.0, and what they call; those of MCP too, which is spoken in them.

Reads one text at a time and knows no transport: `Questions` keeps what one side has asked, for whoever carries both.

Rule 1: which members a message has says what it is (KINDS); any other set of members is none.
Rule 2: what is refused is a row of `Wrong` here, or of `Misread` in strict_json.py, with why; nothing else is raised.
Rule 3: a name by which something is judged is written in one way only: no reader without case finds another.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from trio_egress.model import Call, CallKind
from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage
from trio_egress.wire.strict_json import TEXT_BYTES, parse_json

TOOL_CALL: Final = "tools/call"

NAME_CHARS: Final = 256
"""Of a method, a tool or an id (MCP advises 128 for tools)."""

BATCH_ITEMS: Final = 100
"""Messages of one batch (go-ethereum takes 1000, most gateways 100)."""

IN_FLIGHT: Final = 1024
"""Questions of one side that wait for an answer."""

SAFE_INTEGER: Final = 2**53 - 1
"""RFC 7493 2.2."""

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602

Id = int | str


class Kind(enum.Enum):
    """What a message is."""

    REQUEST = "a request"
    NOTIFICATION = "a notification"
    RESULT = "an answer"
    ERROR = "an answer that is an error"


KINDS: Mapping[frozenset[str], Kind] = {
    frozenset({"method", "id"}): Kind.REQUEST,
    frozenset({"method"}): Kind.NOTIFICATION,
    frozenset({"result", "id"}): Kind.RESULT,
    frozenset({"error", "id"}): Kind.ERROR,
    frozenset({"error"}): Kind.ERROR,
}
"""By the members beside `jsonrpc` and `params`; an error may say that it couldn't read which question it is about."""


class Wrong(enum.Enum):
    """What is refused, and why."""

    BATCH = "a batch, which MCP has no more (2025-06-18), and in which answers have no order"
    EMPTY = "an empty batch, which asks nothing"
    LONG_BATCH = f"a batch of more than {BATCH_ITEMS} messages"
    OBJECT = "a message is an object"
    VERSION = 'a message has "jsonrpc": "2.0"'
    MEMBERS = "its members are not those of one request, notification or answer"
    CASE = "two names differ by case alone, or one by case from a known one, which some readers take for the same"
    METHOD = f"a method is a text of 1 to {NAME_CHARS} printable ASCII characters"
    PARAMS = "params are an object or a list"
    ID = f"an id is a whole number up to 2^53, or a text of 1 to {NAME_CHARS} printable characters; null is none"
    FAULT = "an error is an object with a whole number `code` and a text `message`"
    TOOL = f"tools/call has a text `name` of 1 to {NAME_CHARS} printable characters"
    ARGUMENTS = "the arguments of a tool are an object"
    REUSED = "its id is that of a question that waits for its answer: whose the answer is nobody could say"
    UNASKED = "an answer to a question that nobody asked"
    MANY = f"more than {IN_FLIGHT} questions wait for their answers"


class BadCall(BadMessage):
    """A message that can't be taken, and which row of `Wrong` says why."""

    def __init__(self, why: Wrong) -> None:
        super().__init__(f"the JSON-RPC message: {why.value}")
        self.why = why


@frozen
class Message:
    """One message. `method` and `params` are those of a request or notification, `value` the result or the error."""

    kind: Kind
    id: Id | None = None
    method: str = ""
    params: Mapping[str, object] | tuple[object, ...] = attrs.field(factory=dict, repr=False, eq=False)
    value: object = attrs.field(default=None, repr=False, eq=False)

    @property
    def is_answer(self) -> bool:
        return self.kind in (Kind.RESULT, Kind.ERROR)


_METHOD = re.compile(rf"[!-~]{{1,{NAME_CHARS}}}", re.ASCII)
_NAMES = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_TOOL_NAMES = frozenset({"name", "arguments"})


def parse_messages(raw: bytes, *, batches: bool = False, limit: int = TEXT_BYTES) -> tuple[Message, ...]:
    """Of one text; more than one only where `batches` may be. Raises BadJson or BadCall."""
    value = parse_json(raw, limit)
    if not isinstance(value, list):
        return (read_message(value),)
    if not batches:
        raise BadCall(Wrong.BATCH)
    if not value:
        raise BadCall(Wrong.EMPTY)
    if len(value) > BATCH_ITEMS:
        raise BadCall(Wrong.LONG_BATCH)
    messages = tuple(map(read_message, value))
    Questions().ask_all(messages)
    return messages


def parse_message(raw: bytes, limit: int = TEXT_BYTES) -> Message:
    """The one message of a text. Raises BadJson or BadCall."""
    return parse_messages(raw, limit=limit)[0]


def read_message(value: object) -> Message:
    """A message out of parsed JSON. Raises BadCall."""
    if not isinstance(value, dict):
        raise BadCall(Wrong.OBJECT)
    _check_names(value, _NAMES)
    if value.get("jsonrpc") != "2.0":
        raise BadCall(Wrong.VERSION)
    kind = KINDS.get(frozenset(value) - {"jsonrpc", "params"})
    if kind is None or ("params" in value and "method" not in value):
        raise BadCall(Wrong.MEMBERS)
    identity = _read_id(value["id"], kind) if "id" in value else None
    if kind is Kind.RESULT:
        return Message(kind, identity, value=value["result"])
    if kind is Kind.ERROR:
        return Message(kind, identity, value=_read_fault(value["error"]))
    method = value["method"]
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise BadCall(Wrong.METHOD)
    message = Message(kind, identity, method, _read_params(value.get("params", {})))
    read_call(message)
    return message


def read_call(message: Message) -> Call:
    """What a message calls, as it is judged; an answer calls nothing. Raises BadCall."""
    if message.is_answer:
        return Call(CallKind.JSONRPC)
    if message.method != TOOL_CALL:
        if message.method.lower() == TOOL_CALL:
            raise BadCall(Wrong.CASE)
        return Call(CallKind.JSONRPC, message.method)
    params = message.params
    if not isinstance(params, Mapping):
        raise BadCall(Wrong.TOOL)
    _check_case(params, _TOOL_NAMES)
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str) or not is_name(name):
        raise BadCall(Wrong.TOOL)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise BadCall(Wrong.ARGUMENTS)
    _check_case(arguments, frozenset())
    return Call(CallKind.JSONRPC, TOOL_CALL, name, arguments=tuple(_flatten(arguments, "")))


def is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_CHARS and text.isprintable()


def find_code(fault: BadMessage) -> int:
    """The error code by which JSON-RPC calls what can't be taken (5.1)."""
    if not isinstance(fault, BadCall):
        return PARSE_ERROR
    of_params = fault.why in (Wrong.TOOL, Wrong.ARGUMENTS, Wrong.PARAMS)
    return INVALID_PARAMS if of_params else INVALID_REQUEST


def render_error(
    identity: Id | None, code: int, reason: str, data: Mapping[str, object] | None = None
) -> bytes:
    """An answer that is an error, on one line."""
    error: dict[str, object] = {"code": code, "message": reason, **({"data": data} if data else {})}
    return json.dumps({"jsonrpc": "2.0", "id": identity, "error": error}).encode("ascii")


class Questions:
    """What one side has asked and has no answer to. A text and a number of the same digits are one id to some."""

    def __init__(self) -> None:
        self._waiting: dict[str, Message] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, message: Message) -> None:
        """Anything but a request asks nothing. Raises BadCall."""
        if message.kind is not Kind.REQUEST:
            return
        if str(message.id) in self._waiting:
            raise BadCall(Wrong.REUSED)
        if len(self._waiting) == IN_FLIGHT:
            raise BadCall(Wrong.MANY)
        self._waiting[str(message.id)] = message

    def ask_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.ask(message)

    def answer(self, message: Message) -> Message:
        """The question that an answer is to, which waits no more. Raises BadCall."""
        question = self._waiting.get(str(message.id))
        if question is None or question.id != message.id:
            raise BadCall(Wrong.UNASKED)
        return self._waiting.pop(str(message.id))

    def withdraw(self, identity: Id) -> None:
        """Nobody waits for its answer any more."""
        self._waiting.pop(str(identity), None)


def _check_names(members: Mapping[str, object], known: frozenset[str]) -> None:
    """Those of an object whose members are all known."""
    _check_case(members, known)
    if not members.keys() <= known:
        raise BadCall(Wrong.MEMBERS)


def _check_case(members: Mapping[str, object], known: frozenset[str]) -> None:
    """Rule 3: Go's encoding/json finds a member by its name in any case, and the last one counts."""
    folded = {name.casefold() for name in members}
    if len(folded) != len(members) or any(name in known for name in folded - members.keys()):
        raise BadCall(Wrong.CASE)


def _read_id(value: object, kind: Kind) -> Id | None:
    if type(value) is int and abs(value) <= SAFE_INTEGER:
        return value
    if isinstance(value, str) and is_name(value):
        return value
    if value is None and kind is Kind.ERROR:  # 5: it couldn't read the id of what it refuses
        return None
    raise BadCall(Wrong.ID)


def _read_params(value: object) -> Mapping[str, object] | tuple[object, ...]:
    match value:
        case dict():
            return value
        case list():
            return tuple(value)
    raise BadCall(Wrong.PARAMS)


def _read_fault(value: object) -> object:
    if not isinstance(value, dict) or type(value.get("code")) is not int:
        raise BadCall(Wrong.FAULT)
    if not isinstance(value.get("message"), str):
        raise BadCall(Wrong.FAULT)
    return value


def _flatten(value: object, name: str) -> Iterator[tuple[str, str]]:
    """Every value in it with its name: of an object's member after a dot, of a list's items that of the list."""
    match value:
        case dict() if value:
            for inner, item in value.items():
                yield from _flatten(item, f"{name}.{inner}" if name else inner)
        case list() if value:
            for item in value:
                yield from _flatten(item, name)
        case str():
            yield name, value
        case {} if not name:
            return
        case _:
            yield name, json.dumps(value)
