"""The agent's own /etc/hosts: what is its own loopback, and nothing else.

Pure. A name that the host's file leads elsewhere would arrive as an address, and be judged without its name; left out
here, it is asked for, judged by its name, and looked up outside, where the host's file holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

HOSTS_BYTES = 1 << 20
LOCALHOST = ("127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback")


def render_hosts(text: str, machine: str) -> str:
    """From the host's file: its loopback lines, and the machine by all names that it has there, at the loopback."""
    kept, own = list(LOCALHOST), [machine]
    for address, *names in _read_lines(text[:HOSTS_BYTES]):
        if machine in names:
            own = names
        elif _is_loopback(address) and "localhost" not in names:
            kept.append(" ".join((address, *names)))
    named = " ".join(own)
    return "".join(f"{line}\n" for line in (*kept, f"127.0.0.1 {named}", f"::1 {named}"))


def _read_lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and line.isascii():
            yield words


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
