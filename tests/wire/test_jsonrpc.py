"""Messages of JSON-RPC: each kind, each row of what is refused, what a tool is called with, questions and answers."""

from __future__ import annotations

import json

import pytest

from trio_egress.model import Call, CallKind
from trio_egress.wire.jsonrpc import (
    BATCH_ITEMS,
    IN_FLIGHT,
    INVALID_PARAMS,
    INVALID_REQUEST,
    NAME_CHARS,
    PARSE_ERROR,
    BadCall,
    Kind,
    Message,
    Questions,
    Wrong,
    find_code,
    parse_message,
    parse_messages,
    read_call,
    render_error,
)
from trio_egress.wire.message import BadMessage


def render(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode()


def render_call(**params: object) -> bytes:
    return render(id=1, method="tools/call", params=params)


def ask(identity: int | str) -> Message:
    return Message(Kind.REQUEST, identity, "x")


KINDS = {
    render(id=1, method="ping"): (Kind.REQUEST, 1, "ping"),
    render(id="a b", method="eth_call", params=[1]): (Kind.REQUEST, "a b", "eth_call"),
    render(method="notifications/initialized"): (Kind.NOTIFICATION, None, "notifications/initialized"),
    render(id=0, result=None): (Kind.RESULT, 0, ""),
    render(id=-1, error={"code": -32601, "message": "no"}): (Kind.ERROR, -1, ""),
    render(id=None, error={"code": 1, "message": "", "data": []}): (Kind.ERROR, None, ""),
    render(error={"code": 1, "message": ""}): (Kind.ERROR, None, ""),
    b'{"jsonrpc":"2.0","m\\u0065thod":"p\\u0069ng","id":1}': (Kind.REQUEST, 1, "ping"),
}

REFUSED = {
    b"[" + render(id=1, method="a") + b"]": Wrong.BATCH,
    b"1": Wrong.OBJECT,
    b'{"id": 1, "method": "a"}': Wrong.VERSION,
    render(id=1, method="a").replace(b'"2.0"', b"2.0"): Wrong.VERSION,
    render(id=1): Wrong.MEMBERS,
    render(id=1, method="a", result=1): Wrong.MEMBERS,
    render(id=1, result=1, error={}): Wrong.MEMBERS,
    render(result=1): Wrong.MEMBERS,
    render(id=1, result=1, params={}): Wrong.MEMBERS,
    render(id=1, method="a", extra=1): Wrong.MEMBERS,
    render(id=1, method="tools/list", Method="tools/call"): Wrong.CASE,
    render(id=1, METHOD="tools/call"): Wrong.CASE,
    render(id=1, method="a", result=1)[:-1] + b', "param\xc5\xbf": {}}': Wrong.CASE,
    render(id=1, method="Tools/call", params={"name": "x"}): Wrong.CASE,
    render_call(name="a", Name="b"): Wrong.CASE,
    render_call(name="a", Arguments={"path": "/"}): Wrong.CASE,
    render_call(name="a", arguments={"path": "/a", "PATH": "/b"}): Wrong.CASE,
    render(id=1, method=""): Wrong.METHOD,
    render(id=1, method=1): Wrong.METHOD,
    render(id=1, method=" tools/call"): Wrong.METHOD,
    render(id=1, method="tools/call\n"): Wrong.METHOD,
    render(id=1, method="tools/c\u0430ll"): Wrong.METHOD,
    render(id=1, method="tools/call\0"): Wrong.METHOD,
    render(id=1, method="a" * (NAME_CHARS + 1)): Wrong.METHOD,
    render(id=1, method="a", params=None): Wrong.PARAMS,
    render(id=1, method="a", params="b"): Wrong.PARAMS,
    render(id=None, method="a"): Wrong.ID,
    render(id=1.0, method="a"): Wrong.ID,
    render(id=True, method="a"): Wrong.ID,
    render(id=[1], method="a"): Wrong.ID,
    render(id={}, method="a"): Wrong.ID,
    render(id=2**53, method="a"): Wrong.ID,
    render(id="", method="a"): Wrong.ID,
    render(id="a\n", method="a"): Wrong.ID,
    render(id=None, result=1): Wrong.ID,
    render(id=1, error="no"): Wrong.FAULT,
    render(id=1, error={"code": "1", "message": ""}): Wrong.FAULT,
    render(id=1, error={"code": True, "message": ""}): Wrong.FAULT,
    render(id=1, error={"code": 1}): Wrong.FAULT,
    render(id=1, method="tools/call"): Wrong.TOOL,
    render(id=1, method="tools/call", params=["a"]): Wrong.TOOL,
    render_call(name=1): Wrong.TOOL,
    render_call(name=""): Wrong.TOOL,
    render_call(name="a\0"): Wrong.TOOL,
    render_call(name="a" * (NAME_CHARS + 1)): Wrong.TOOL,
    render_call(name="a", arguments=["/"]): Wrong.ARGUMENTS,
}

OF_SEVERAL = {
    b"[]": Wrong.EMPTY,
    b"[[]]": Wrong.OBJECT,
    b"[" + b",".join([render(method="a")] * (BATCH_ITEMS + 1)) + b"]": Wrong.LONG_BATCH,
    b"[" + b",".join([render(id=1, method="a")] * 2) + b"]": Wrong.REUSED,
}


@pytest.mark.parametrize(("raw", "expected"), KINDS.items(), ids=lambda item: repr(item)[:40])
def test_the_members_of_a_message_say_what_it_is(raw: bytes, expected: tuple[Kind, object, str]) -> None:
    message = parse_message(raw)
    assert (message.kind, message.id, message.method) == expected
    assert message.is_answer == (not message.method)


@pytest.mark.parametrize(("raw", "why"), REFUSED.items(), ids=lambda item: repr(item)[:60])
def test_what_could_be_read_as_something_else_is_refused(raw: bytes, why: Wrong) -> None:
    with pytest.raises(BadCall) as caught:
        parse_message(raw)
    assert caught.value.why is why


@pytest.mark.parametrize(("raw", "why"), OF_SEVERAL.items(), ids=lambda item: repr(item)[:40])
def test_a_batch_is_refused_where_any_of_it_is(raw: bytes, why: Wrong) -> None:
    with pytest.raises(BadCall) as caught:
        parse_messages(raw, batches=True)
    assert caught.value.why is why


def test_every_row_of_what_is_refused_is_tried() -> None:
    assert {*REFUSED.values(), *OF_SEVERAL.values(), Wrong.UNASKED, Wrong.MANY} == set(Wrong)


def test_a_batch_is_taken_where_it_may_be() -> None:
    raw = b"[" + render(id=1, method="a") + b"," + render(method="b") + b"," + render(id=1, result=2) + b"]"
    assert [message.method for message in parse_messages(raw, batches=True)] == ["a", "b", ""]
    assert parse_messages(render(id=1, method="a"), batches=True) == (Message(Kind.REQUEST, 1, "a"),)


@pytest.mark.parametrize(
    ("raw", "call"),
    [
        (render(id=1, method="tools/list"), Call(CallKind.JSONRPC, "tools/list")),
        (render(id=1, result={"method": "tools/call"}), Call(CallKind.JSONRPC)),
        (render_call(name="a"), Call(CallKind.JSONRPC, "tools/call", "a", arguments=())),
        (render_call(name="a", arguments=None), Call(CallKind.JSONRPC, "tools/call", "a", arguments=())),
        (
            render_call(name="a", arguments={"path": "/x", "n": 1, "f": 1.5, "yes": True, "no": None}),
            Call(
                CallKind.JSONRPC,
                "tools/call",
                "a",
                arguments=(("path", "/x"), ("n", "1"), ("f", "1.5"), ("yes", "true"), ("no", "null")),
            ),
        ),
        (
            render_call(
                name="a", arguments={"to": ["x", ["y"], {"z": "w"}], "of": {"a": {"b": "c"}}, "e": []}
            ),
            Call(
                CallKind.JSONRPC,
                "tools/call",
                "a",
                arguments=(("to", "x"), ("to", "y"), ("to.z", "w"), ("of.a.b", "c"), ("e", "[]")),
            ),
        ),
        (
            render_call(name="a", arguments={"a.b": "x", "a": {"b": "y", "": {}}}),
            Call(
                CallKind.JSONRPC,
                "tools/call",
                "a",
                arguments=(("a.b", "x"), ("a.b", "y"), ("a.", "{}")),
            ),
        ),
    ],
)
def test_a_tool_is_called_with_every_value_under_its_name(raw: bytes, call: Call) -> None:
    assert read_call(parse_message(raw)) == call


def test_no_argument_is_told_by_accident() -> None:
    message = parse_message(render_call(name="a", arguments={"path": "/private"}))
    assert "private" not in repr(message)
    assert "private" not in repr(read_call(message))


def test_a_refusal_has_the_code_of_the_standard() -> None:
    codes = []
    for raw in (b"{", render(id=1), render_call(name=1)):
        with pytest.raises(BadMessage) as caught:
            parse_message(raw)
        codes.append(find_code(caught.value))
    assert codes == [PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS]


def test_an_error_of_ours_is_a_message() -> None:
    raw = render_error("7", -32001, "denied", {"rule": "egress[0]"})
    message = parse_message(raw)
    assert (message.kind, message.id) == (Kind.ERROR, "7")
    assert message.value == {"code": -32001, "message": "denied", "data": {"rule": "egress[0]"}}
    assert b"\n" not in raw


class TestQuestions:
    def test_an_answer_is_to_the_question_of_its_id(self) -> None:
        questions = Questions()
        questions.ask_all([ask(1), ask("a"), Message(Kind.NOTIFICATION, None, "n")])
        assert len(questions) == 2
        assert questions.answer(Message(Kind.RESULT, "a")) == ask("a")
        assert questions.answer(Message(Kind.ERROR, 1)) == ask(1)
        assert len(questions) == 0

    @pytest.mark.parametrize("identity", [1, "1"])
    def test_an_id_that_waits_is_not_used_again(self, identity: int | str) -> None:
        questions = Questions()
        questions.ask(ask(1))
        with pytest.raises(BadCall) as caught:
            questions.ask(ask(identity))
        assert caught.value.why is Wrong.REUSED
        questions.answer(Message(Kind.RESULT, 1))
        questions.ask(ask(identity))

    @pytest.mark.parametrize("identity", [2, "1", None, "None"])
    def test_an_answer_to_no_question_is_refused(self, identity: int | str | None) -> None:
        questions = Questions()
        questions.ask(ask(1))
        with pytest.raises(BadCall) as caught:
            questions.answer(Message(Kind.ERROR, identity))
        assert caught.value.why is Wrong.UNASKED
        assert len(questions) == 1

    def test_a_question_that_was_withdrawn_gets_no_answer(self) -> None:
        questions = Questions()
        questions.ask(ask(1))
        questions.withdraw(1)
        with pytest.raises(BadCall):
            questions.answer(Message(Kind.RESULT, 1))

    def test_so_many_questions_wait_and_no_more(self) -> None:
        questions = Questions()
        questions.ask_all(map(ask, range(IN_FLIGHT)))
        with pytest.raises(BadCall) as caught:
            questions.ask(ask(IN_FLIGHT))
        assert caught.value.why is Wrong.MANY
