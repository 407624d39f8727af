"""What real programs read a URL as: node's URL (WHATWG), libcurl's parser, Python's urllib.

Each gives the host in one form (an address, or a name in lower case without its trailing dot), or None where the
program refuses the URL. None of them uses a line of trio-egress.
"""

from __future__ import annotations

import ctypes
import functools
import json
import socket
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

Host = str | IPv4Address | IPv6Address

NODE_PROGRAM: Final = """
require('readline').createInterface({input: process.stdin}).on('line', line => {
  let host = null
  try { host = new URL(JSON.parse(line)).hostname } catch {}
  process.stdout.write(JSON.stringify(host) + '\\n')
})
"""

# curl/urlapi.h
_URL, _HOST = 0, 5
_NON_SUPPORT_SCHEME, _PUNYCODE = 1 << 3, 1 << 12


def read_by_node(url: str) -> Host | None:
    """`new URL(url).hostname`; empty where the scheme has no host."""
    node = _start_node()
    assert node.stdin is not None
    assert node.stdout is not None
    node.stdin.write(json.dumps(url) + "\n")
    node.stdin.flush()
    return _normalise(json.loads(node.stdout.readline()))


def read_by_curl(url: str) -> Host | None:
    """`curl_url_set` and `curl_url_get(CURLUPART_HOST)`, as curl and whatever else is built on libcurl call them."""
    raw = url.encode("utf-8", "surrogatepass")
    if b"\0" in raw:
        return None
    curl = _load_curl()
    handle, text = curl.curl_url(), ctypes.c_void_p()
    try:
        if curl.curl_url_set(handle, _URL, raw, _NON_SUPPORT_SCHEME):
            return None
        if curl.curl_url_get(handle, _HOST, ctypes.byref(text), _PUNYCODE):
            return None
        host = ctypes.string_at(text).decode("utf-8", "replace")
        curl.curl_free(text)
        return _normalise(host)
    finally:
        curl.curl_url_cleanup(handle)


def read_by_urllib(url: str) -> Host | None:
    try:
        return _normalise(urlsplit(url).hostname)
    except ValueError:
        return None


ORACLES: Final[dict[str, Callable[[str], Host | None]]] = {
    "node": read_by_node,
    "curl": read_by_curl,
    "urllib": read_by_urllib,
}


def _normalise(host: str | None) -> Host | None:
    """Brackets and one trailing dot off; numbers as the C library reads them (`man 3 inet_aton`)."""
    if not host:
        return None
    text = host.removeprefix("[").removesuffix("]").lower()
    if ":" in text:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return text
        return getattr(address, "ipv4_mapped", None) or address
    text = text.removesuffix(".")
    try:
        return IPv4Address(socket.inet_aton(text))
    except (OSError, UnicodeError):
        return text


@functools.cache
def _start_node() -> subprocess.Popen[str]:
    """One for the whole run: it ends with our end of its standard input."""
    return subprocess.Popen(
        ["node", "-e", NODE_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@functools.cache
def _load_curl() -> Any:
    curl = ctypes.CDLL("libcurl.so.4")
    curl.curl_url.restype = ctypes.c_void_p
    curl.curl_url_cleanup.argtypes = [ctypes.c_void_p]
    curl.curl_free.argtypes = [ctypes.c_void_p]
    curl.curl_url_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    curl.curl_url_get.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_uint,
    ]
    return curl
