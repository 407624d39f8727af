"""Frames and commands are read the same however they are cut, or raise their one error; commands mean themselves."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import PeerError
    from trio_egress.wire.git_command import parse_command
    from trio_egress.wire.git_relay import Kind, Message, Side, Stage, Talk


def hear(side: Side, pieces: list[bytes]) -> tuple[list[Message], Stage | None]:
    """What the other side of `side` hears, and where that leads; None where it is refused."""
    talk = Talk(Side.PROXY if side is Side.RELAY else Side.RELAY)
    if side is Side.PROXY:
        talk.say(Kind.ASK, user="", command="", protocol="")
    heard: list[Message] = []
    try:
        for raw in pieces:
            heard += talk.feed(raw)
    except PeerError:
        return heard, None
    return heard, talk.stage


def check_command(raw: str) -> None:
    try:
        command = parse_command(raw)
    except ValueError:
        return
    assert parse_command(str(command)) == command
    assert not set(str(command)) & set('"\\`$;&|<>()*?\n')
    assert str(command).count("'") == 2
    assert not {"", ".", ".."} & set(command.path[1:].split("/"))


def check(raw: bytes) -> None:
    check_command(raw.decode("utf-8", "replace"))
    for side in Side:
        _, ending = hear(side, [raw])
        for at in (1, 4, 5, 6, len(raw) // 2):
            heard, pieces = hear(side, [raw[:at], raw[at:]])
            assert pieces == ending
            for message in heard:
                if message.kind is Kind.ASK:
                    check_command(message.text("command"))


if __name__ == "__main__":
    fuzz(check, "git_relay")
