"""A text is refused with BadMessage, or a reader without case finds the same messages in it, under the same names."""

from __future__ import annotations

import json

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.jsonrpc import KINDS, Questions, parse_messages, read_call
    from trio_egress.wire.message import BadMessage


def read_last(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """As a reader without case, for which the last of several counts."""
    return {name.casefold(): value for name, value in pairs}


def check(raw: bytes) -> None:
    try:
        messages = parse_messages(raw, batches=True)
    except BadMessage:
        return
    others = json.loads(raw, object_pairs_hook=read_last)
    others = others if isinstance(others, list) else [others]
    assert len(others) == len(messages)
    for message, other in zip(messages, others, strict=True):
        assert message.kind in KINDS.values()
        assert other.get("method", "") == message.method
        assert other.get("id") == message.id
        assert type(other.get("id")) is type(message.id)
        call = read_call(message)
        assert call.method == message.method
        if call.name is not None:
            assert other["params"]["name"] == call.name
        if call.arguments is not None:
            said = other["params"].get("arguments") or {}
            assert {name.partition(".")[0].casefold() for name, _ in call.arguments} == {
                name.partition(".")[0] for name in said
            }
    Questions().ask_all(messages)


if __name__ == "__main__":
    fuzz(check, "jsonrpc")
