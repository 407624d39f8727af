"""A tunnel through the proxy of a company: CONNECT, and its answer (RFC 9110 9.3.6); and what it is told of us.

Rule 1: the answer's head is bounded like any other; what comes behind it is the first of the tunnel, and is kept.
Rule 2: an answer of 200 to 299 opens the tunnel, whatever its head says of a body. Every other is the proxy's refusal.
"""

from __future__ import annotations

from trio_egress.model import Via
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import Peer
from trio_egress.wire.http1 import UpstreamSide
from trio_egress.wire.message import Fields, RequestHead, ResponseHead, Trailers

PHRASE_CHARS = 60
LOGIN_FIELD = b"Proxy-Authorization"


async def open_through(peer: Peer, via: Via, target: str, limits: Limits) -> str | None:
    """Ask the proxy at `peer` for a tunnel to `target`. None, or its refusal in words.

    Raises UpstreamError for what it does, and BadMessage for what it says that is no answer.
    """
    side = UpstreamSide(limits.head_bytes, limits.header_count)
    head = RequestHead(
        method="CONNECT",
        scheme=None,
        authority=target,
        path=target,
        host=target,
        fields=render_login(via),
        body=0,
        persists=True,
    )
    await peer.send(side.render_head(head, target) + side.render_end(Trailers()))
    answer = await _read_answer(peer, side)
    if not 200 <= answer.status < 300:
        return describe_refusal(answer, via)
    peer.ahead = side.leftover()
    return None


def render_login(via: Via) -> Fields:
    """What the proxy is told of who we are."""
    return ((LOGIN_FIELD, via.login.encode("ascii")),) if via.login else ()


async def _read_answer(peer: Peer, side: UpstreamSide) -> ResponseHead:
    while True:
        answer = side.head()
        if answer is None:
            side.feed(await peer.recv())
        elif answer.status >= 200:
            return answer


def describe_refusal(answer: ResponseHead, via: Via) -> str:
    """An answer that is none of the upstream's, in few words."""
    phrase = answer.phrase.decode("latin-1")[:PHRASE_CHARS]
    said = (
        f"{answer.status} {phrase}".strip()
        if phrase.isascii() and phrase.isprintable()
        else str(answer.status)
    )
    if answer.status != 407:
        return said
    missing = "it asks for username and password of [upstream]"
    return f"{said} ({'it takes no such username and password' if via.login else missing})"
