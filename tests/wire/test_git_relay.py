"""Frames of the relay for git: every state, every split, every limit."""

from __future__ import annotations

import json
from itertools import product

import pytest

from trio_egress.errors import PeerError
from trio_egress.wire.git_relay import (
    FIELDS,
    FRAME_BYTES,
    TABLE,
    TEXT_CHARS,
    TRIED_MOST,
    Kind,
    Side,
    Stage,
    Talk,
    Value,
)

ASK: dict[str, Value] = {"user": "git", "command": "git-upload-pack 'a'", "protocol": "version=2"}
GO: dict[str, Value] = {**ASK, "key": "k" * 60_000, "host": "h", "host_keys": ["SHA256:a", "SHA256:b"]}
SAID: dict[Kind, dict[str, Value]] = {
    Kind.TRIED: {"what": "a shell"},
    Kind.ASK: ASK,
    Kind.GO: GO,
    Kind.NO: {"reason": "because"},
    Kind.ENDED: {"status": "0", "reason": ""},
}
WAYS: dict[Stage, list[tuple[Side, Kind]]] = {
    Stage.OPEN: [],
    Stage.ASKED: [(Side.RELAY, Kind.ASK)],
    Stage.GOING: [(Side.RELAY, Kind.ASK), (Side.PROXY, Kind.GO)],
    Stage.OVER: [(Side.RELAY, Kind.ASK), (Side.PROXY, Kind.NO)],
}
"""How a conversation gets to each stage."""


def open_talks() -> dict[Side, Talk]:
    return {side: Talk(side) for side in Side}


def other(side: Side) -> Side:
    return Side.PROXY if side is Side.RELAY else Side.RELAY


def say(talks: dict[Side, Talk], side: Side, kind: Kind) -> bytes:
    raw = talks[side].say(kind, **SAID[kind])
    (message,) = talks[other(side)].feed(raw)
    assert (message.kind, dict(message.fields)) == (kind, SAID[kind])
    return raw


def render(kind: bytes, body: object) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return kind + len(raw).to_bytes(4, "big") + raw


@pytest.mark.parametrize(("stage", "side", "kind"), list(product(Stage, Side, Kind)))
def test_what_the_table_has_not_is_an_error_on_both_sides(stage: Stage, side: Side, kind: Kind) -> None:
    talks = open_talks()
    for way in WAYS[stage]:
        say(talks, *way)
    assert {talk.stage for talk in talks.values()} == {stage}
    after = TABLE.get((side, stage, kind))
    if after is not None:
        say(talks, side, kind)
        assert {talk.stage for talk in talks.values()} == {after}
        return
    with pytest.raises(ValueError, match="may not be said"):
        talks[side].say(kind, **SAID[kind])
    with pytest.raises(PeerError, match="was said where"):
        talks[other(side)].feed(render(kind.value, SAID[kind]))


def test_every_split_point_is_the_same_conversation() -> None:
    relay = Talk(Side.RELAY)
    whole = b"".join(relay.say(kind, **SAID[kind]) for kind in (Kind.TRIED, Kind.TRIED, Kind.ASK))
    for at in range(len(whole) + 1):
        proxy = Talk(Side.PROXY)
        heard = proxy.feed(whole[:at]) + proxy.feed(whole[at:])
        assert [message.kind for message in heard] == [Kind.TRIED, Kind.TRIED, Kind.ASK]
        assert heard[2].text("command") == ASK["command"]
    proxy = Talk(Side.PROXY)
    heard = [message for at in range(len(whole)) for message in proxy.feed(whole[at : at + 1])]
    assert len(heard) == 3


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"X" + bytes(4), "which is none"),
        (b"T" + (FRAME_BYTES + 1).to_bytes(4, "big"), "which is none"),
        (render(b"T", b""), "can't be read"),
        (render(b"T", b"\xff"), "can't be read"),
        (render(b"T", b"[" * 100_000), "can't be read"),
        (render(b"T", []), "other fields"),
        (render(b"T", {}), "other fields"),
        (render(b"T", {"what": "a", "more": "b"}), "other fields"),
        (render(b"T", {"what": 1}), "is no text"),
        (render(b"T", {"what": ["a"]}), "is no text"),
        (render(b"T", {"what": "a" * (TEXT_CHARS + 1)}), "is longer"),
        (render(b"A", {**ASK, "protocol": None}), "is no text"),
    ],
)
def test_a_frame_that_is_none_is_the_peers_fault(raw: bytes, reason: str) -> None:
    with pytest.raises(PeerError, match=reason):
        Talk(Side.PROXY).feed(raw)


def test_a_list_of_something_else_is_refused() -> None:
    relay = Talk(Side.RELAY)
    relay.say(Kind.ASK, **ASK)
    with pytest.raises(PeerError, match="no list of texts"):
        relay.feed(render(b"G", {**GO, "host_keys": ["a", 1]}))


def test_attempts_at_something_else_are_numbered() -> None:
    talks = open_talks()
    for _ in range(TRIED_MOST):
        say(talks, Side.RELAY, Kind.TRIED)
    with pytest.raises(PeerError, match=f"more than {TRIED_MOST} attempts"):
        talks[Side.PROXY].feed(talks[Side.RELAY].say(Kind.TRIED, what="one more"))


def test_a_body_that_is_too_long_is_not_said() -> None:
    relay = Talk(Side.RELAY)
    proxy = Talk(Side.PROXY)
    proxy.feed(relay.say(Kind.ASK, **ASK))
    with pytest.raises(ValueError, match="over the bound"):
        proxy.say(Kind.GO, **{**GO, "key": "k" * FRAME_BYTES})


def test_texts_and_lists_are_told_apart() -> None:
    talks = open_talks()
    say(talks, Side.RELAY, Kind.ASK)
    (message,) = talks[Side.RELAY].feed(talks[Side.PROXY].say(Kind.GO, **GO))
    assert (message.text("host"), message.texts("host_keys")) == ("h", GO["host_keys"])
    assert (message.text("host_keys"), message.texts("host")) == ("", [])
    assert set(SAID) == set(FIELDS)
