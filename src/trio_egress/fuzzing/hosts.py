"""Hosts as strategies: any host, those of a pattern, those beside it, and the ways in which one host is spelt.

Judges nothing: what a spelling means is policy/hosts.py's affair, and what this file claims of it is tried by tests.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar

import idna
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.model import Address, Host, Name
from trio_egress.policy.destination import Below, Exact, Network, Pattern
from trio_egress.policy.hosts import NAME_CHARS, parse_host

_LABELS = (
    *(
        "a",
        "b",
        "api",
        "www",
        "db",
        "x",
        "localhost",
        "_dmarc",
        "a-",
        "-a",
        "0x7g",
        "1a",
        "r3---sn-x",
        "0",
        "127",
    ),
    *("xn--bcher-kva", "xn--fa-hia", "xn--4ca", "xn--e1afmkfd", "xn--zckzah", "l" * 63),
)
_TOPS = ("example", "com", "internal", "org", "test", "xn--p1ai")
_ODD_ADDRESSES = (
    *("127.0.0.1", "0.0.0.0", "10.0.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "192.168.0.1"),  # noqa: S104
    *("198.18.0.1", "224.0.0.1", "255.255.255.255", "1.1.1.1", "8.8.8.8", "::", "::1", "fd00:ec2::254"),
    *(
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2001::1",
        "2606:4700:4700::1111",
    ),
)
_FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in "abcdefghijklmnopqrstuvwxyz0123456789"}
_SPELLINGS = 2**64 - 1

T = TypeVar("T")


def labels() -> SearchStrategy[str]:
    """One label of a name in normal form."""
    return st.sampled_from(_LABELS) | st.text("abcyz09_-", min_size=1, max_size=8)


@functools.cache
def names() -> SearchStrategy[Name]:
    """Names in normal form, of one to five labels, the last of which is never a number."""
    return _join(st.lists(labels(), max_size=4), st.sampled_from(_TOPS))


@functools.cache
def names_below(base: str) -> SearchStrategy[Name]:
    """Names below this one, one to three labels deep."""
    return _join(st.lists(labels(), min_size=1, max_size=3), st.just(base))


def _join(fronts: SearchStrategy[list[str]], ends: SearchStrategy[str]) -> SearchStrategy[Name]:
    whole = st.builds(lambda front, end: ".".join([*front, end]), fronts, ends)
    return whole.filter(lambda name: len(name) <= NAME_CHARS).map(Name)


@functools.cache
def addresses() -> SearchStrategy[Host]:
    """Addresses, often such as mean something; never a v4-mapped one, which is the IPv4 address in it."""
    odd = st.sampled_from([ip_address(text) for text in _ODD_ADDRESSES])
    anywhere = st.ip_addresses(v=4) | st.ip_addresses(v=6).map(_normal)
    return odd | anywhere


@functools.cache
def hosts() -> SearchStrategy[Host]:
    """Any host in normal form."""
    return names() | addresses()


@functools.cache
def hosts_in(pattern: Pattern) -> SearchStrategy[Host]:
    """Hosts that the pattern matches."""
    match pattern:
        case Exact(host):
            return st.just(host)
        case Below(name):
            return names_below(name)
        case wide:
            return _addresses_in(wide.network)


def hosts_near(pattern: Pattern) -> SearchStrategy[Host]:
    """Hosts that only look as if the pattern matched them: its base, what ends like it, the neighbours of a network."""
    return st.sampled_from(find_near(pattern))


@functools.cache
def find_near(pattern: Pattern) -> tuple[Host, ...]:
    """All of `hosts_near`; for a network that is every address there is, some name."""
    match pattern:
        case Exact(host) if isinstance(host, (IPv4Address, IPv6Address)):
            found = _neighbours(int(host), int(host), host.version)
        case Exact(host):
            found = _near_name(str(host))
        case Below(name):
            found = [name, *_near_name(name)]
        case wide:
            network = wide.network
            found = _neighbours(int(network[0]), int(network[-1]), network.version)
    return tuple(found) or (Name("x.example"),)


def spellings_of_host(host: Host, *, ascii_only: bool = False) -> SearchStrategy[str]:
    """Texts that mean this host in a URL or a Host field. `ascii_only`: such as a program sends."""
    return st.integers(0, _SPELLINGS).map(
        lambda number: spell_host(host, Choices(number), ascii_only=ascii_only)
    )


class Choices:
    """One number taken for many choices, quick to draw and to shrink; 0 chooses the first each time."""

    def __init__(self, number: int) -> None:
        self._number = number

    def pick(self, options: Sequence[T]) -> T:
        self._number, place = divmod(self._number, len(options))
        return options[place]


def spell_host(host: Host, choices: Choices, *, ascii_only: bool = False) -> str:
    """One of the spellings; the first of them is the normal form."""
    match host:
        case IPv4Address():
            if choices.pick((False,) * 9 + (True,)):
                return f"[::ffff:{host}]"
            text = choices.pick(_spell_ipv4(host))
        case IPv6Address():
            groups = host.exploded.split(":")
            tail = str(IPv4Address(int(host) & 0xFFFFFFFF))
            text = choices.pick((str(host), host.exploded, ":".join([*groups[:6], tail])))
            return f"[{_in_either_case(text, choices)}]"
        case name:
            text = str(name)
            if not ascii_only and choices.pick((False, True)):
                text = ".".join(map(_show_label, name.split(".")))
    text = _in_either_case(text, choices)
    if not ascii_only:
        text = text.translate(choices.pick(({}, {}, _FULL_WIDTH)))
        text = text.replace(".", choices.pick((".", ".", "。", "．", "｡")))
        at = choices.pick(range(len(text) + 1))
        text = text[:at] + choices.pick(("", "", "\N{SOFT HYPHEN}", "\N{WORD JOINER}")) + text[at:]
    return text + choices.pick(("", "."))


def _addresses_in(network: Network) -> SearchStrategy[Host]:
    kind = IPv4Address if network.version == 4 else IPv6Address
    first, last = int(network[0]), int(network[-1])
    numbers = st.sampled_from([first, last]) | st.integers(first, last)
    return numbers.map(lambda number: _normal(kind(number)))


def _neighbours(first: int, last: int, version: int) -> list[Host]:
    kind, top = (IPv4Address, 2**32) if version == 4 else (IPv6Address, 2**128)
    return [_normal(kind(number)) for number in (first - 1, last + 1) if 0 <= number < top]


def _normal(address: Address) -> Host:
    return parse_host(str(address))


def _near_name(name: str) -> list[Host]:
    _, _, parent = name.partition(".")
    texts = [f"x{name}", f"x-{name}", f"{name}.example.org", f"x.{name}", f"{name}x", parent]
    return [Name(text) for text in texts if _is_name(text)]


def _is_name(text: str) -> bool:
    try:
        return parse_host(text) == text
    except ValueError:
        return False


def _spell_ipv4(address: IPv4Address) -> list[str]:
    number = int(address)
    a, b, c, d = address.packed
    low = (b << 16) + (c << 8) + d
    return [
        *(str(address), str(number), hex(number), f"0{number:o}", f"{a}.{low}", f"{a:#x}.{low:#x}"),
        *(f"{a}.{b}.{(c << 8) + d}", f"0{a:o}.{b}.{c}.{d:#x}", f"{a:#04x}.{b:#04x}.{c:#04x}.{d:#04x}"),
    ]


def _in_either_case(text: str, choices: Choices) -> str:
    match choices.pick(("as it is", "as it is", "upper", "mixed")):
        case "upper":
            return "".join(map(_to_upper, text))
        case "mixed":
            return "".join(choices.pick((c, _to_upper(c))) for c in text[:24]) + text[24:]
        case _:
            return text


def _to_upper(character: str) -> str:
    """ß has no upper case that means the same: "FASS" is another host."""
    upper = character.upper()
    return upper if upper.lower() == character else character


def _show_label(label: str) -> str:
    return idna.ulabel(label) if label.startswith("xn--") else label
