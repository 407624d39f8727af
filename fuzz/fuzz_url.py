"""Whatever host we read in a URL or a host text, node (WHATWG), libcurl and urllib read the same or refuse it."""

from __future__ import annotations

import re

from driver import fuzz, instrumented
from oracles import ORACLES, read_by_node

from trio_egress.errors import PeerError

with instrumented():
    from trio_egress.fuzzing.urls import read_url
    from trio_egress.model import Host
    from trio_egress.policy.hosts import parse_host
    from trio_egress.policy.spelling import parse_spelling

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def check(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    check_url(text)
    check_spelling(text)
    check_host(text)


def check_url(text: str) -> None:
    for url in (text, f"http://{text}"):
        try:
            ours = read_url(url).host
        except (PeerError, ValueError):
            continue
        for name, read in ORACLES.items():
            theirs = read(url)
            assert theirs is None or theirs == ours, (name, url, ours, theirs)


def check_spelling(text: str) -> None:
    """What `policy explain` reads, and the tests of a policy."""
    if not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        return
    for url in (text, f"https://{text}"):
        try:
            spelt = parse_spelling(url).attempt
        except ValueError:
            continue
        for name, read in ORACLES.items():
            theirs = read(url) if SCHEME.match(url) else None
            assert theirs is None or theirs == spelt.host, ("explain", name, url, spelt.host, theirs)


def check_host(text: str) -> None:
    """Beyond ASCII only a browser's reading counts: urllib maps nothing, and curl falls back to the rules of 2003."""
    try:
        ours: Host = parse_host(text)
    except ValueError:
        return
    bracketed = f"[{text}]" if ":" in text and not text.startswith("[") else text
    theirs = read_by_node(f"http://{bracketed}/")
    assert theirs is None or theirs == ours, (text, ours, theirs)


if __name__ == "__main__":
    fuzz(check, "url")
