"""Bytes of both sides show one key, none yet, or raise PeerError, however they are cut; none is lost or goes early."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import PeerError
    from trio_egress.wire.ssh import KeyExchange, Side

REPLIES = (31, 33)


def follow(client: list[bytes], server: list[bytes]) -> tuple[str, bytes, bytes]:
    """The outcome, and what was passed on of each side."""
    exchange = KeyExchange()
    passed = {Side.CLIENT: b"", Side.SERVER: b""}
    outcome = "refused"
    try:
        for side, pieces in ((Side.CLIENT, client), (Side.SERVER, server)):
            for raw in pieces:
                passed[side] += exchange.feed(side, raw)
        outcome = "waits"
        if exchange.host_key is not None:
            outcome = exchange.host_key.fingerprint
            held = b"".join(server)[len(passed[Side.SERVER]) :]
            assert held[5] in REPLIES
            exchange.release()
            assert exchange.feed(Side.SERVER, b"") == held
            assert passed[Side.CLIENT] + exchange.feed(Side.CLIENT, b"") == b"".join(client)
    except PeerError:
        pass
    assert b"".join(client).startswith(passed[Side.CLIENT])
    assert b"".join(server).startswith(passed[Side.SERVER])
    return outcome, passed[Side.CLIENT], passed[Side.SERVER]


def check(raw: bytes) -> None:
    size = int.from_bytes(raw[:2], "big")
    client, server = raw[2 : 2 + size], raw[2 + size :]
    whole = follow([client], [server])
    for at in (1, 4, 11, len(client) // 2):
        pieces = follow([client[:at], client[at:]], [server[:at], server[at:]])
        assert pieces[0] == whole[0]
        if whole[0] != "refused":
            assert pieces == whole


if __name__ == "__main__":
    fuzz(check, "ssh")
