"""Bytes are frames, messages and closings, however they are cut, or a BadFrame; wsproto reads the same in them."""

from __future__ import annotations

from driver import fuzz, instrumented
from wsproto.frame_protocol import FrameProtocol
from wsproto.frame_protocol import Opcode as TheirOpcode

with instrumented():
    from trio_egress.wire.inflation import PIECE_BYTES, Inflater
    from trio_egress.wire.websocket import (
        BadFrame,
        Closing,
        Content,
        Opcode,
        Part,
        Reader,
        Side,
        Writer,
    )

MOST = 1 << 20


def follow(
    side: Side, pieces: list[bytes], *, inflates: bool, takes_over: bool
) -> tuple[list[object], bool, bytes]:
    """What is said, in whole frames and messages; whether it ended in an error; and all of it rendered again."""
    reader = Reader(side, most=MOST, inflater=Inflater(takes_over=takes_over) if inflates else None)
    writer = Writer((lambda: b"\xa5\x00\x5a\xff") if side is Side.CLIENT else None)
    told: list[object] = []
    rendered = text = payload = b""
    kind = Opcode.TEXT
    try:
        for raw in pieces:
            for event in reader.feed(raw):
                match event:
                    case Content(data=data):
                        assert 0 < len(data) <= PIECE_BYTES
                        text += data
                    case Closing():
                        told.append(event)
                    case Part(frame=frame):
                        rendered += writer.render(event)
                        payload += event.payload
                        kind = frame.opcode if frame.opcode in (Opcode.TEXT, Opcode.BINARY) else kind
                        if event.ends:
                            assert frame.is_control or not payload or len(payload) == frame.length
                            told.append((frame, payload))
                            payload = b""
                            if frame.last and not frame.is_control:
                                if kind is Opcode.TEXT:
                                    text.decode("utf-8")
                                told.append(text)
                                text = b""
    except BadFrame:
        return told, True, rendered
    return told, False, rendered


def read_by_wsproto(side: Side, raw: bytes) -> list[bytes]:
    """The messages of a side that says nothing wrong, up to its close frame."""
    protocol = FrameProtocol(client=side is Side.SERVER, extensions=[])
    protocol.receive_bytes(raw)
    messages: list[bytes] = []
    begun = b""
    for frame in protocol.received_frames():
        if frame.opcode is TheirOpcode.CLOSE:
            break
        if frame.opcode in (TheirOpcode.PING, TheirOpcode.PONG):
            continue
        match frame.payload:
            case str() as text:
                begun += text.encode()
            case bytes() | bytearray() as data:
                begun += data
        if frame.message_finished:
            messages.append(begun)
            begun = b""
    return messages


def check(raw: bytes) -> None:
    if not raw:
        return
    side = Side.CLIENT if raw[0] & 1 else Side.SERVER
    ways = {"inflates": bool(raw[0] & 2), "takes_over": bool(raw[0] & 4)}
    raw = raw[1:]
    whole = follow(side, [raw], **ways)
    for size in (1, 2, 7):
        assert follow(side, [raw[at : at + size] for at in range(0, len(raw), size)], **ways)[:2] == whole[:2]
    assert follow(side, [whole[2]], **ways)[0] == whole[0]
    if not ways["inflates"] and not whole[1]:
        assert [each for each in whole[0] if isinstance(each, bytes)] == read_by_wsproto(side, raw)


if __name__ == "__main__":
    fuzz(check, "websocket")
