"""Frames: every state, every split, every limit; what is rendered reads as itself, and wsproto reads it too."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import attrs
import pytest
from wsproto.frame_protocol import FrameProtocol

from trio_egress.wire.inflation import FREE_BYTES, PIECE_BYTES, RATIO, Inflater
from trio_egress.wire.websocket import (
    CONTROL_BYTES,
    LENGTH_MOST,
    TABLE,
    BadFrame,
    Closing,
    Code,
    Content,
    Event,
    Frame,
    Opcode,
    Part,
    Reader,
    Side,
    Stage,
    TooBig,
    Writer,
    cut_text,
    is_sendable,
    mask,
)

KEY = b"\x37\xfa\x21\x3d"
"""Of the examples in RFC 6455 5.7."""
CONTROL = (Opcode.CLOSE, Opcode.PING, Opcode.PONG)


def frame(
    opcode: Opcode, payload: bytes = b"", *, last: bool = True, side: Side = Side.CLIENT, coded: bool = False
) -> bytes:
    writer = Writer((lambda: KEY) if side is Side.CLIENT else None)
    return writer.render(Part(Frame(opcode, last, len(payload), coded), payload, begins=True, ends=True))


def read(raw: bytes, side: Side = Side.CLIENT, **how: object) -> list[Event]:
    return list(Reader(side, **how).feed(raw))  # type: ignore[arg-type]


def join(events: Iterable[Event]) -> list[object]:
    """Whole frames and messages, however they came."""
    told: list[object] = []
    payload = content = b""
    for event in events:
        match event:
            case Content(data=data):
                content += data
            case Closing():
                told.append(event)
            case Part():
                payload += event.payload
                if event.ends:
                    told.append((event.frame, payload))
                    payload = b""
                    if event.frame.last and not event.frame.is_control:
                        told.append(content)
                        content = b""
    return told


# the examples of RFC 6455 5.7

EXAMPLES = {
    "8105 48656c6c6f": (Side.SERVER, [b"Hello"]),
    "8185 37fa213d 7f9f4d5158": (Side.CLIENT, [b"Hello"]),
    "0103 48656c 8002 6c6f": (Side.SERVER, [b"Hello"]),
    "8905 48656c6c6f": (Side.SERVER, []),
    "8a85 37fa213d 7f9f4d5158": (Side.CLIENT, []),
    "827e0100" + "00" * 256: (Side.SERVER, [bytes(256)]),
    "827f0000000000010000" + "00" * 65536: (Side.SERVER, [bytes(65536)]),
}


@pytest.mark.parametrize(("text", "side", "messages"), [(text, *told) for text, told in EXAMPLES.items()])
def test_the_examples_of_the_standard_are_read_and_rendered_again(
    text: str, side: Side, messages: list[bytes]
) -> None:
    raw = bytes.fromhex(text)
    events = read(raw, side)
    assert [each for each in join(events) if isinstance(each, bytes)] == messages
    writer = Writer((lambda: KEY) if side is Side.CLIENT else None)
    assert b"".join(writer.render(each) for each in events if isinstance(each, Part)) == raw


SEQUENCE = b"".join(
    (
        frame(Opcode.TEXT, "grüß ".encode()[:3], last=False),
        frame(Opcode.PING, b"?"),
        frame(Opcode.CONTINUATION, "grüß ".encode()[3:], last=False),
        frame(Opcode.CONTINUATION),
        frame(Opcode.BINARY, bytes(130)),
        frame(Opcode.TEXT),
        frame(Opcode.PONG),
        frame(Opcode.CLOSE, b"\x03\xe8" + "tschüß".encode()),
    )
)


def test_every_split_says_the_same() -> None:
    whole = join(read(SEQUENCE))
    assert whole[-2:] == [
        Closing(1000, "tschüß"),
        (Frame(Opcode.CLOSE, True, 10), b"\x03\xe8tsch\xc3\xbc\xc3\x9f"),
    ]
    for at in range(len(SEQUENCE)):
        reader = Reader(Side.CLIENT)
        assert join([*reader.feed(SEQUENCE[:at]), *reader.feed(SEQUENCE[at:])]) == whole
    reader = Reader(Side.CLIENT)
    assert join(event for byte in SEQUENCE for event in reader.feed(bytes([byte]))) == whole


def test_no_truncation_says_more_than_the_whole() -> None:
    whole = join(read(SEQUENCE))
    for at in range(len(SEQUENCE)):
        told = join(read(SEQUENCE[:at]))
        assert told == whole[: len(told)]


def test_wsproto_reads_what_is_rendered() -> None:
    protocol = FrameProtocol(client=False, extensions=[])
    protocol.receive_bytes(SEQUENCE)
    texts = [each.payload for each in protocol.received_frames()]
    assert "".join(each for each in texts[:4] if isinstance(each, str)) == "grüß "
    assert bytes(texts[4] if isinstance(texts[4], (bytes, bytearray)) else b"") == bytes(130)


# the table


def bring_to(stage: Stage) -> Reader:
    reader = Reader(Side.CLIENT)
    begin = {Stage.TEXT: Opcode.TEXT, Stage.BINARY: Opcode.BINARY, Stage.CLOSED: Opcode.CLOSE}
    if stage in begin:
        assert list(reader.feed(frame(begin[stage], last=stage is Stage.CLOSED)))
    assert reader.stage is stage
    return reader


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("stage", [Stage.BETWEEN, Stage.TEXT, Stage.BINARY])
def test_what_is_not_in_the_table_is_an_error(stage: Stage, opcode: Opcode, last: bool) -> None:
    reader = bring_to(stage)
    if (stage, opcode, last) in TABLE:
        assert list(reader.feed(frame(opcode, last=last)))
        assert reader.stage is TABLE[stage, opcode, last]
    else:
        with pytest.raises(BadFrame) as fault:
            list(reader.feed(frame(opcode, last=last)))
        assert fault.value.code is Code.PROTOCOL


def test_what_follows_a_close_frame_is_dropped() -> None:
    reader = bring_to(Stage.CLOSED)
    assert list(reader.feed(frame(Opcode.TEXT, b"a") + b"\xff\xff")) == []
    assert [type(each) for each in read(frame(Opcode.CLOSE) + frame(Opcode.TEXT, b"a"))] == [Closing, Part]


# what is refused

BAD = {
    "an opcode that is reserved": (b"\x83\x80", Side.CLIENT),
    "a control opcode that is reserved": (b"\x8f\x80", Side.CLIENT),
    "the second reserved bit": (b"\xa1\x80", Side.CLIENT),
    "the third reserved bit": (b"\x91\x80", Side.CLIENT),
    "compression that nobody agreed on": (b"\xc1\x80", Side.CLIENT),
    "a client without a mask": (b"\x81\x00", Side.CLIENT),
    "a server with a mask": (b"\x81\x80", Side.SERVER),
    "a ping of 126 bytes": (b"\x89\x7e", Side.SERVER),
    "a close frame of 64 bits": (b"\x88\x7f", Side.SERVER),
    "125 in 16 bits": (b"\x82\x7e\x00\x7d", Side.SERVER),
    "65535 in 64 bits": (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Side.SERVER),
    "a length of 2^63": (b"\x82\x7f\x80" + bytes(7), Side.SERVER),
}


@pytest.mark.parametrize(("raw", "side"), BAD.values(), ids=BAD)
def test_a_bad_head_is_refused_before_its_payload(raw: bytes, side: Side) -> None:
    with pytest.raises(BadFrame):
        read(raw, side)


def test_lengths_are_read_up_to_the_most() -> None:
    for length, head in (
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65535, b"\x7e\xff\xff"),
        (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (LENGTH_MOST, b"\x7f\x7f" + b"\xff" * 7),
    ):
        (_, part) = read(b"\x82" + head + b"a", Side.SERVER)
        assert isinstance(part, Part)
        assert (part.frame.length, part.ends) == (length, False)


@pytest.mark.parametrize("opcode", CONTROL)
def test_a_control_frame_has_at_most_125_bytes(opcode: Opcode) -> None:
    payload = b"\x03\xe8" + b"a" * (CONTROL_BYTES - 2)
    assert read(frame(opcode, payload))
    with pytest.raises(BadFrame, match="more than 125"):
        read(frame(opcode, payload + b"a"))


@pytest.mark.parametrize("raw", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_text_that_is_not_utf_8_is_refused(raw: bytes) -> None:
    for cut in range(len(raw) + 1):
        said = frame(Opcode.TEXT, raw[:cut], last=False) + frame(Opcode.CONTINUATION, raw[cut:])
        with pytest.raises(BadFrame) as fault:
            read(said)
        assert fault.value.code is Code.NO_UTF8
        assert read(said.replace(b"\x01", b"\x02", 1))


def test_a_character_may_be_cut_but_not_go_on_in_the_next_message() -> None:
    assert read(frame(Opcode.TEXT, b"\xc3", last=False) + frame(Opcode.CONTINUATION, b"\xbc"))
    with pytest.raises(BadFrame):
        read(frame(Opcode.TEXT, b"\xc3") + frame(Opcode.TEXT, b"\xbc"))


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_a_code_that_nobody_may_say_is_refused(code: int) -> None:
    with pytest.raises(BadFrame, match=str(code)):
        read(frame(Opcode.CLOSE, code.to_bytes(2, "big")))
    assert not is_sendable(code)


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999])
def test_a_code_that_one_may_say_is_told(code: int) -> None:
    assert read(frame(Opcode.CLOSE, code.to_bytes(2, "big") + b"x"))[0] == Closing(code, "x")


def test_a_close_frame_says_nothing_or_a_code_and_text() -> None:
    assert read(frame(Opcode.CLOSE))[0] == Closing(None, "")
    for payload, code in ((b"\x03", Code.PROTOCOL), (b"\x03\xe8\xff", Code.NO_UTF8)):
        with pytest.raises(BadFrame) as fault:
            read(frame(Opcode.CLOSE, payload))
        assert fault.value.code is code


def test_a_message_has_at_most_so_many_bytes_over_all_its_fragments() -> None:
    three = frame(Opcode.TEXT, b"abc", last=False)
    assert read(three + frame(Opcode.CONTINUATION, b"d") + three, most=4)
    with pytest.raises(TooBig) as fault:
        read(three + frame(Opcode.CONTINUATION, b"de"), most=4)
    assert fault.value.code is Code.TOO_BIG
    with pytest.raises(TooBig):  # by its head alone
        read(b"\x82\x7e\x01\x00", Side.SERVER, most=255)


def test_a_frame_that_is_long_comes_in_pieces_and_goes_out_as_one() -> None:
    raw = frame(Opcode.BINARY, bytes(range(256)) * 1024)
    reader, writer = Reader(Side.CLIENT), Writer(lambda: KEY)
    parts = []
    for at in range(0, len(raw), 100_000):
        parts += [each for each in reader.feed(raw[at : at + 100_000]) if isinstance(each, Part)]
        assert all(len(each.payload) <= PIECE_BYTES for each in parts)
    said = b""
    for each in parts:
        said += writer.render(each)
        assert writer.in_frame is not each.ends
    assert said == raw


# compression


def deflate(*messages: bytes) -> list[bytes]:
    stream = zlib.compressobj(wbits=-15)
    return [(stream.compress(each) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] for each in messages]


def test_messages_that_build_on_each_other_are_told_beneath_their_compression() -> None:
    texts = [b"hello hello hello", b"hello again", "grüß".encode()]
    raw = b"".join(
        frame(Opcode.TEXT, each[:3], last=False, coded=True)
        + frame(Opcode.PING)
        + frame(Opcode.CONTINUATION, each[3:])
        for each in deflate(*texts)
    )
    for at in range(len(raw)):
        reader = Reader(Side.CLIENT, inflater=Inflater(takes_over=True))
        told = join([*reader.feed(raw[:at]), *reader.feed(raw[at:])])
        assert [each for each in told if isinstance(each, bytes)] == texts


def test_a_message_may_go_uncompressed() -> None:
    (piece, part) = read(frame(Opcode.TEXT, b"plain"), inflater=Inflater(takes_over=True))
    assert piece == Content(Opcode.TEXT, b"plain")
    assert isinstance(part, Part)
    assert not part.frame.compressed


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.CLOSE, Opcode.CONTINUATION])
def test_only_what_begins_a_message_says_that_it_is_compressed(opcode: Opcode) -> None:
    begun = frame(Opcode.TEXT, b"", last=False) if opcode is Opcode.CONTINUATION else b""
    with pytest.raises(BadFrame, match="begins no message"):
        read(begun + frame(opcode, coded=True), inflater=Inflater(takes_over=True))


def test_a_bomb_is_cut_before_it_is_large() -> None:
    """48 KiB that say 50 MB, in one event with wsproto."""
    (bomb,) = deflate(bytes(50_000_000))
    reader = Reader(Side.CLIENT, inflater=Inflater(takes_over=True))
    sizes: list[int] = []
    events = reader.feed(frame(Opcode.BINARY, bomb, coded=True))
    with pytest.raises(BadFrame, match=f"{RATIO} times"):
        sizes.extend(len(event.data) for event in events if isinstance(event, Content))
    assert max(sizes) == PIECE_BYTES
    assert FREE_BYTES - PIECE_BYTES <= sum(sizes) <= max(FREE_BYTES, RATIO * len(bomb))


def test_a_compressed_message_is_bounded_by_what_it_says() -> None:
    (raw,) = deflate(bytes(5000))
    reader = Reader(Side.CLIENT, most=4999, inflater=Inflater(takes_over=True))
    with pytest.raises(TooBig):
        list(reader.feed(frame(Opcode.BINARY, raw, coded=True)))


@pytest.mark.parametrize("raw", [b"\x07", b"\xff\xff\xff", b"\x01\x05\x00"])
def test_bytes_that_are_no_deflate_are_refused(raw: bytes) -> None:
    with pytest.raises(BadFrame, match="DEFLATE"):
        read(frame(Opcode.TEXT, raw, coded=True), inflater=Inflater(takes_over=True))


# what is said here


def test_a_close_frame_of_ours_is_one_and_its_reason_is_cut_between_characters() -> None:
    for side in Side:
        writer = Writer((lambda: KEY) if side is Side.CLIENT else None)
        raw = writer.render_close(Code.POLICY, "ü" * 100)
        assert read(raw, side)[0] == Closing(1008, "ü" * 61)
        assert writer.closed
    assert cut_text("\ud800", 9) == b"?"


def test_masking_is_its_own_inverse_at_every_offset() -> None:
    data = bytes(range(256))
    slow = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(data))
    assert mask(data, KEY) == slow
    assert all(mask(data[:at], KEY) + mask(data[at:], KEY, at) == slow for at in range(256))
    assert mask(b"", KEY, 3) == b""


def test_values_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Frame(Opcode.TEXT, True, 0).length = 1  # type: ignore[misc]
