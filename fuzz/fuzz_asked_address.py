"""Whatever is asked for at the WebSocket endpoint, node (WHATWG), libcurl and urllib read as that host, or refuse."""

from __future__ import annotations

import re

from driver import fuzz, instrumented
from oracles import ORACLES

with instrumented():
    from trio_egress.policy.hosts import parse_host
    from trio_egress.wire.asked_address import Asked, parse_asked
    from trio_egress.wire.message import BadMessage

ENDPOINT = "/ws?url="


def check(raw: bytes) -> None:
    """Percent-encoded and as it is, it asks for the same, if both can be said."""
    text = raw.decode("latin-1")
    found = [read(text), read("".join(f"%{byte:02x}" for byte in raw))]
    for asked in filter(None, found):
        passes_on(asked)
    if "%" not in text and all(found):
        assert found[0] == found[1]


def read(text: str) -> Asked | None:
    try:
        return parse_asked(ENDPOINT + text, ENDPOINT)
    except BadMessage:
        return None


def passes_on(asked: Asked) -> None:
    """In a request's head it is one target and one Host, and programs read it as we do."""
    assert re.fullmatch(r"/[\x21\x22\x24-\x7e]*", asked.path)
    assert re.fullmatch(r"[\x21-\x7e]+", asked.authority)
    assert 0 < asked.port < 65536
    try:
        ours = parse_host(asked.host)
    except ValueError:
        return
    for name, theirs in ((name, program(f"http://{asked.authority}/")) for name, program in ORACLES.items()):
        assert theirs is None or theirs == ours, (name, asked, ours, theirs)


if __name__ == "__main__":
    fuzz(check, "asked_address")
