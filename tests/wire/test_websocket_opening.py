"""Opening handshakes: what asks for a WebSocket, what goes on of it, and which answer is one to it."""

from __future__ import annotations

import base64

import attrs
import pytest

from trio_egress.wire.message import SWITCHING, BadMessage, Fields, RequestHead, ResponseHead
from trio_egress.wire.websocket_opening import (
    OFFERS_MOST,
    Deflate,
    Opened,
    Opening,
    add_accept,
    add_key,
    check_opened,
    compute_accept,
    parse_opening,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455 1.3."""
USUAL: Fields = ((b"Sec-WebSocket-Key", KEY), (b"Sec-WebSocket-Version", b"13"))


def request(
    fields: Fields = USUAL, *more: tuple[bytes, bytes], method: str = "GET", **how: object
) -> RequestHead:
    how = {"body": 0, "upgrades": ("websocket",), "switches": True, **how}
    return RequestHead(
        method=method,
        scheme=None,
        authority=None,
        path="/",
        host="a.example",
        fields=(*fields, *more),
        persists=False,
        **how,  # type: ignore[arg-type]
    )


def offering(*offers: bytes) -> Opening:
    return parse_opening(request(USUAL, *((b"Sec-WebSocket-Extensions", each) for each in offers)))


def answer(*fields: tuple[bytes, bytes], accept: bytes = ACCEPT, **how: object) -> ResponseHead:
    how = {"upgrades": ("websocket",), "switches": True, **how}
    told = ((b"Sec-WebSocket-Accept", accept), *fields)
    return ResponseHead(SWITCHING, b"", told, 0, persists=True, **how)  # type: ignore[arg-type]


def test_the_example_of_the_standard_is_accepted() -> None:
    opening = parse_opening(request())
    assert opening == Opening(KEY, None, (), ())
    assert compute_accept(KEY) == ACCEPT
    assert check_opened(opening, answer()) == Opened(None, None)


def test_origin_and_subprotocols_are_told_in_order() -> None:
    opening = parse_opening(
        request(
            USUAL,
            (b"ORIGIN", b" https://a.example "),
            (b"Sec-WebSocket-Protocol", b"chat, , v2.chat"),
            (b"sec-websocket-protocol", b"old"),
        )
    )
    assert opening.origin == "https://a.example"
    assert opening.protocols == ("chat", "v2.chat", "old")
    for name in opening.protocols:
        opened = check_opened(opening, answer((b"Sec-WebSocket-Protocol", name.encode())))
        assert opened.protocol == name


BAD: dict[str, RequestHead] = {
    "POST": request(method="POST"),
    "no option": request(switches=False),
    "a body": request(body=1),
    "no version": request(((b"Sec-WebSocket-Key", KEY),)),
    "version 8": request(((b"Sec-WebSocket-Key", KEY), (b"Sec-WebSocket-Version", b"8"))),
    "no key": request(((b"Sec-WebSocket-Version", b"13"),)),
    "two keys": request(USUAL, (b"sec-websocket-key", KEY)),
    "a long key": request(((b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", KEY[:-2] + b"AA=="))),
    "no base64": request(((b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", b"!" * 24))),
    "two origins": request(USUAL, (b"Origin", b"a"), (b"Origin", b"b")),
    "a subprotocol twice": request(USUAL, (b"Sec-WebSocket-Protocol", b"a,a")),
    "a strange subprotocol": request(USUAL, (b"Sec-WebSocket-Protocol", b"a b")),
    "many subprotocols": request(
        USUAL, (b"Sec-WebSocket-Protocol", b",".join(b"%d" % at for at in range(OFFERS_MOST + 1)))
    ),
    "an extension without a name": request(USUAL, (b"Sec-WebSocket-Extensions", b"; a")),
    "CONNECT": request(version=2, method="CONNECT"),
}


@pytest.mark.parametrize("head", BAD.values(), ids=BAD)
def test_what_asks_for_none_is_refused(head: RequestHead) -> None:
    with pytest.raises(BadMessage):
        parse_opening(head)


def test_out_of_http_2_key_and_answer_are_made_here() -> None:
    """There is none in it (RFC 8441 5): what comes by it is then what it is in HTTP/1.1."""
    asked = add_key(request(((b"sec-websocket-version", b"13"),), version=2), b"sixteen bytes...")
    opening = parse_opening(asked)
    assert base64.b64decode(opening.key) == b"sixteen bytes..."
    answered = add_accept(attrs.evolve(answer(), fields=()), asked)
    assert check_opened(opening, answered) == Opened(None, None)
    with pytest.raises(BadMessage, match="Accept"):
        check_opened(opening, attrs.evolve(answered, fields=()))


def test_only_what_can_be_followed_is_offered() -> None:
    opening = offering(
        b"x-other; a=1, permessage-deflate; client_max_window_bits",
        b"permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
        b"permessage-deflate; server_max_window_bits=7, permessage-deflate; what",
        b'permessage-deflate; client_max_window_bits="9", permessage-deflate; server_no_context_takeover=1',
    )
    told = dict(opening.adapt(request()).fields)[b"Sec-WebSocket-Extensions"]
    assert told == (
        b"permessage-deflate; client_max_window_bits, "
        b"permessage-deflate; server_max_window_bits=10; server_no_context_takeover, "
        b"permessage-deflate; client_max_window_bits=9"
    )
    adapted = offering(b"x-other").adapt(request(USUAL, (b"Sec-WebSocket-Extensions", b"x-other")))
    assert (adapted.fields, adapted.opens_websocket) == (USUAL, True)


ANSWERS = [
    (b"permessage-deflate", b"permessage-deflate", Deflate(True, True)),
    (b"permessage-deflate", b"permessage-deflate; server_no_context_takeover", Deflate(True, False)),
    (b"permessage-deflate", b"permessage-deflate; client_no_context_takeover", Deflate(False, True)),
    (b"permessage-deflate", b"permessage-deflate; server_max_window_bits=9", Deflate(True, True)),
    (b"permessage-deflate", b"permessage-deflate; client_max_window_bits=9", None),
    (
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate; client_max_window_bits=9",
        Deflate(True, True),
    ),
    (b"permessage-deflate; client_max_window_bits", b"permessage-deflate; client_max_window_bits", None),
    (b"permessage-deflate", b"permessage-deflate; =9", None),
    (b"permessage-deflate; server_no_context_takeover", b"permessage-deflate", None),
    (b"permessage-deflate; server_max_window_bits=10", b"permessage-deflate", None),
    (
        b"permessage-deflate; server_max_window_bits=10",
        b"permessage-deflate; server_max_window_bits=11",
        None,
    ),
    (
        b"permessage-deflate; server_max_window_bits=10, permessage-deflate",
        b"permessage-deflate",
        Deflate(True, True),
    ),
    (b"permessage-deflate", b"permessage-deflate, permessage-deflate", None),
    (b"permessage-deflate", b"permessage-deflate; server_max_window_bits=16", None),
    (b"permessage-deflate, x-other", b"x-other", None),
    (b"x-other", b"permessage-deflate", None),
]


@pytest.mark.parametrize(("offer", "chosen", "deflate"), ANSWERS)
def test_an_answer_takes_what_was_offered(offer: bytes, chosen: bytes, deflate: Deflate | None) -> None:
    told = answer((b"Sec-WebSocket-Extensions", chosen))
    if deflate is None:
        with pytest.raises(BadMessage):
            check_opened(offering(offer), told)
    else:
        assert check_opened(offering(offer), told) == Opened(None, deflate)


NO_ANSWERS = {
    "another accept": answer(accept=compute_accept(b"another")),
    "two accepts": answer((b"Sec-WebSocket-Accept", ACCEPT)),
    "another protocol": answer(upgrades=("h2c",)),
    "two protocols": answer(upgrades=("websocket", "h2c")),
    "no option": answer(switches=False),
    "a subprotocol that was not offered": answer((b"Sec-WebSocket-Protocol", b"chat")),
}


@pytest.mark.parametrize("head", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_an_answer_to_something_else_is_refused(head: ResponseHead) -> None:
    with pytest.raises(BadMessage):
        check_opened(parse_opening(request()), head)
