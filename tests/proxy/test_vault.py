"""Placeholders in requests: a value, as they are, or a denial."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import attrs
import pytest

from trio_egress.errors import UpstreamError
from trio_egress.model import Attempt, Decision, Endpoint, Layer, Protocol, Transport, Upstream
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.slots import parse_slot
from trio_egress.proxy.judge import Judgement, deny
from trio_egress.proxy.masking import Mask
from trio_egress.proxy.vault import (
    FILLED_BYTES,
    Filled,
    Held,
    Vault,
    is_readable,
    is_whole,
    mask_fields,
    mask_head,
)
from trio_egress.wire.message import Fields, RequestHead, ResponseHead

PLACEHOLDER = "trio-egress-placeholder-token-0123456789abcdef"
VALUE = b"real/Value+1 &2"
SLOTS = ("basic", "header:authorization", "header:x-key", "query:key")


def hold(
    name: str = "token",
    placeholder: str = PLACEHOLDER,
    to: Sequence[str] = ("a.example",),
    slots: Sequence[str] = SLOTS,
) -> Held:
    places, where = tuple(map(parse_slot, slots)), tuple(map(parse_destination, to))
    return Held(name, where, places, placeholder, VALUE, f"[{name}:{'0' * 32}]")


def ask(path: str = "/", fields: Fields = (), host: str | None = "a.example") -> RequestHead:
    return RequestHead("GET", None, None, path, host, fields, 0, persists=True)


def judge(
    host: str = "a.example", port: int = 443, *, secure: bool = True, pin: str | None = None
) -> Judgement:
    where = parse_host(host)
    attempt = Attempt(Transport.INTERCEPT, Protocol.HTTP, where, port, "GET", "/", secure=secure)
    pinned = None if pin is None else Endpoint(parse_host(pin), 1)  # type: ignore[arg-type]
    return Judgement(attempt, Decision(True, Layer.RULE, "", upstream=Upstream(where, port, pinned)))


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


MARK = PLACEHOLDER.encode()


@pytest.mark.parametrize(
    ("fields", "filled"),
    [
        (((b"Authorization", b"Bearer " + MARK),), ((b"Authorization", b"Bearer " + VALUE),)),
        (((b"AUTHORIZATION", b"token " + MARK + b" x"),), ((b"AUTHORIZATION", b"token " + VALUE + b" x"),)),
        (((b"X-Key", MARK), (b"x-key", MARK)), ((b"X-Key", VALUE), (b"x-key", VALUE))),
        (((b"Authorization", basic(b"u:" + MARK)),), ((b"Authorization", basic(b"u:" + VALUE)),)),
        (
            ((b"Authorization", b"bAsIc  " + basic(MARK + b":")[6:]),),
            ((b"Authorization", b"bAsIc " + basic(VALUE + b":")[6:]),),
        ),
    ],
)
def test_a_placeholder_becomes_the_value_where_it_may_stand(fields: Fields, filled: Fields) -> None:
    done = Vault([hold()]).fill(ask(fields=(*fields, (b"A", b"b"))), judge())
    assert done.head.fields == (*filled, (b"A", b"b"), (b"Accept-Encoding", b"identity"))
    assert done.judged.decision.allowed
    assert done.judged.facts == {"secrets_used": [f"[token:{'0' * 32}]"]}
    assert [held.name for held in done.used] == ["token"]


def test_in_a_query_the_value_is_spelt_as_a_query_spells_it() -> None:
    done = Vault([hold()]).fill(ask(f"/p?a=1&key={PLACEHOLDER}&k%65y=x{PLACEHOLDER}"), judge())
    assert done.head.path == "/p?a=1&key=real%2FValue%2B1%20%262&k%65y=xreal%2FValue%2B1%20%262"


def test_what_would_hide_the_value_in_an_answer_is_not_asked_for() -> None:
    fields: Fields = (
        (b"grpc-accept-encoding", b"gzip"),
        (b"X-Key", MARK),
        (b"Range", b"bytes=0-1"),
        (b"If-Range", b"x"),
        (b"accept-encoding", b"br"),
        (b"Connect-Accept-Encoding", b"gzip"),
        (b"Accept-Charset", b"utf-16"),
        (b"Available-Dictionary", b":AAAA:"),
        (b"Request-Range", b"bytes=0-1"),
        (b"x-ms-range", b"bytes=0-1"),
        (b"A-IM", b"vcdiff"),
    )
    done = Vault([hold()]).fill(ask(fields=fields), judge())
    assert done.head.fields == ((b"X-Key", VALUE), (b"Accept-Encoding", b"identity"))


def test_a_request_without_a_placeholder_is_what_it_was() -> None:
    request, judged = ask("/p?q=1", ((b"Range", b"bytes=0-1"), (b"Authorization", b"Basic ???"))), judge()
    for vault in (Vault(), Vault([hold()])):
        assert vault.fill(request, judged) == Filled(judged, request)
    assert Filled(judged, request).open_mask() is None


@pytest.mark.parametrize(
    "request_",
    [
        ask(f"/{PLACEHOLDER}"),
        ask(f"/{PLACEHOLDER.upper()}"),
        ask("/" + "".join(f"%{byte:02x}" for byte in MARK)),
        ask(f"/?other={PLACEHOLDER}"),
        ask(f"/?{PLACEHOLDER}=1"),
        ask(f"/?key=%74{PLACEHOLDER[1:]}"),
        ask(fields=((b"X-Other", MARK),)),
        ask(fields=((MARK, b"x"),)),
        ask(fields=((b"X-Other", base64.b64encode(b"a" + MARK)),)),
        ask(fields=((b"X-Key", MARK), (b"X-Other", MARK))),
        ask(fields=((b"X-Key", MARK.upper()),)),
        ask(fields=((b"X-Key", basic(MARK)),)),
        ask(fields=((b"Authorization", basic(MARK)[:-1] + b"!"),)),
        ask(host=f"{PLACEHOLDER}@a.example"),
        attrs.evolve(ask(), method=PLACEHOLDER),
        attrs.evolve(ask(), authority=f"{PLACEHOLDER}@a.example"),
    ],
)
def test_anywhere_else_it_is_a_denial(request_: RequestHead) -> None:
    done = Vault([hold()]).fill(request_, judge())
    assert (done.judged.decision.allowed, done.judged.decision.layer) == (False, Layer.SECRET)
    assert done.judged.facts == {"secrets_refused": ["token"]}
    assert (done.used, done.head) == ((), request_)
    assert "stands elsewhere than in basic, header:authorization" in done.judged.decision.reason


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (judge("b.example"), "goes to a.example alone, not to b.example"),
        (judge("x.a.example"), "goes to a.example alone"),
        (judge(port=8443), "goes to a.example alone"),
        (judge(port=80, secure=False), "is not sent in the clear: ask for it by https"),
        (judge(port=80, secure=False, pin="192.0.2.1"), "is not sent in the clear"),
    ],
)
def test_to_nobody_else_and_never_in_the_clear(judged: Judgement, said: str) -> None:
    done = Vault([hold()]).fill(ask(fields=((b"X-Key", MARK),)), judged)
    assert done.judged.decision.layer is Layer.SECRET
    assert said in done.judged.decision.reason
    assert done.judged.facts == {"secrets_refused": ["token"]}


@pytest.mark.parametrize(
    ("host", "port", "pin"),
    [("a.example", 80, "127.0.0.1"), ("127.0.0.1", 80, None), ("host.internal", 8080, None)],
)
def test_this_machine_itself_gets_it_in_the_clear(host: str, port: int, pin: str | None) -> None:
    to = host if port == 80 else f"{host}:{port}"
    done = Vault([hold(to=(to,))]).fill(
        ask(fields=((b"X-Key", MARK),)), judge(host, port, secure=False, pin=pin)
    )
    assert done.head.fields[0] == (b"X-Key", VALUE)


def test_two_secrets_are_put_in_each_where_it_may_stand() -> None:
    other = hold("other", "0000-0000-0000-0000", slots=("header:x-other",))
    vault = Vault([hold(), other])
    done = vault.fill(ask(fields=((b"X-Key", MARK), (b"X-Other", b"0000-0000-0000-0000"))), judge())
    assert [held.name for held in done.used] == ["token", "other"]
    crossed = vault.fill(ask(fields=((b"X-Key", b"0000-0000-0000-0000"), (b"X-Other", MARK))), judge())
    assert crossed.judged.facts == {"secrets_refused": ["token", "other"]}


def test_what_the_policy_denies_stays_denied_and_tells_a_secret_that_was_asked_for_by_another() -> None:
    fields = ((b"X-Key", MARK),)
    for host, facts in (("a.example", {}), ("b.example", {"secrets_refused": ["token"]})):
        judged = attrs.evolve(judge(host), decision=deny(Layer.METHOD, "no"))
        done = Vault([hold()]).fill(ask(fields=fields), judged)
        assert (done.judged.decision, done.judged.facts) == (judged.decision, facts)


def test_a_websocket_gets_none() -> None:
    judged = judge()
    asked = attrs.evolve(judged, attempt=attrs.evolve(judged.attempt, websocket=True))
    assert Vault([hold()]).fill(ask(), asked).judged is asked
    done = Vault([hold()]).fill(ask(fields=((b"X-Key", MARK),)), asked)
    assert "is not put into a WebSocket" in done.judged.decision.reason


def test_a_thousand_placeholders_make_no_longer_head_than_there_may_be() -> None:
    many = b" ".join([MARK] * 1000)
    held = attrs.evolve(hold(), value=b"v" * 4096)
    done = Vault([held]).fill(ask(fields=((b"X-Key", many),)), judge())
    assert f"longer than {FILLED_BYTES} bytes" in done.judged.decision.reason


@pytest.mark.parametrize(
    ("fields", "readable"),
    [
        ((), True),
        (((b"Content-Encoding", b"identity"),), True),
        (((b"content-encoding", b" Identity ,"),), True),
        (((b"Content-Encoding", b"gzip"),), False),
        (((b"grpc-encoding", b"gzip"),), False),
        (((b"grpc-encoding", b"identity"),), True),
        (((b"Connect-Content-Encoding", b"gzip"),), False),
        (((b"connect-content-encoding", b"identity"),), True),
        (((b"IM", b"vcdiff"),), False),
        (((b"Content-Encoding", b"identity"), (b"CONTENT-ENCODING", b"br")), False),
    ],
)
def test_an_answer_is_readable_if_it_is_not_compressed(fields: Fields, *, readable: bool) -> None:
    assert is_readable(ResponseHead(200, b"OK", fields, 0, persists=True)) is readable


@pytest.mark.parametrize(
    ("status", "fields", "whole"),
    [
        (200, (), True),
        (206, (), False),
        (200, ((b"Content-Range", b"bytes 0-1/2"),), False),
        (206, ((b"CONTENT-RANGE", b"Bytes 0-1/2"),), False),
        (206, ((b"Content-Range", b"items 0-1/2"), (b"Content-Range", b"bytes 0-1/2")), False),
        (416, ((b"CONTENT-RANGE", b"bytes */2"),), True),
        (200, ((b"Content-Range", b"0-24/*"),), True),
        (206, ((b"Content-Range", b"items 0-24/99"),), True),
        (200, ((b"Accept-Ranges", b"bytes"),), True),
    ],
)
def test_an_answer_is_whole_if_it_is_no_part(status: int, fields: Fields, *, whole: bool) -> None:
    answer = ResponseHead(status, b"OK", fields, 2, persists=True)
    assert is_whole(answer) is whole
    if not whole:
        with pytest.raises(UpstreamError, match="a part of one"):
            mask_head(answer, Mask([b"12345678"]))
        mask_head(attrs.evolve(answer, body=0), Mask([b"12345678"]))


def test_heads_are_masked_but_for_their_framing() -> None:
    mask = Mask([b"12345678"])
    answer = ResponseHead(
        200,
        b"is 12345678",
        ((b"X-12345678", b"12345678"), (b"Content-Length", b"12345678")),
        0,
        persists=True,
    )
    masked = mask_head(answer, mask)
    assert masked.phrase == b"is ********"
    assert masked.fields == ((b"X-********", b"********"), (b"Content-Length", b"12345678"))
    assert mask_fields(((b"A", b"b"),), mask) == ((b"A", b"b"),)


def test_neither_a_secret_nor_a_vault_shows_its_value() -> None:
    done = Vault([hold()]).fill(ask(fields=((b"X-Key", MARK),)), judge())
    assert VALUE.decode() not in repr(hold()) + repr(Vault([hold()])) + repr(done.used) + repr(done.judged)
