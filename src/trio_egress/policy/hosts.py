"""The normal form of a host: the one form in which hosts are compared.

Resolves nothing.

Rule 1: a name is UTS 46 (non-transitional) in A-labels, lower case, one trailing dot removed; only letters,
        digits, `-` and `_`, 63 characters a label and 253 in all (RFC 1035 2.3.4).
Rule 2: what a browser reads as an IPv4 address is that address, however it is spelt (WHATWG URL, "ends in a
        number"): 0x7f.1 is 127.0.0.1; but "0x", a zero to browsers and a name to curl, is refused. A v4-mapped
        IPv6 address is the IPv4 address in it.
Rule 3: a port, a zone id, user information, a path or a wildcard is not part of a host.
Rule 4: ValueError with a reason, and nothing else, is raised for whatever has no normal form.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna

from trio_egress.model import Host, Name

RAW_CHARS = 1024
"""No name of 253 octets needs more before it is mapped; idna's mapping is never given more than this."""

NAME_CHARS = 253
LABEL_CHARS = 63

_LABEL = re.compile(r"[a-z0-9_-]+")
_DIGITS = {8: re.compile(r"[0-7]*"), 10: re.compile(r"[0-9]+"), 16: re.compile(r"[0-9a-f]+")}
_NOT_HOST = {
    "@": "user information is not part of a host",
    "/": "a path or scheme is not part of a host",
    "%": "a zone id or percent-encoding is not part of a host",
    "*": "a wildcard is not a host",
    ":": "a port is not part of a host",
    # To UTS 46 since 15.1 it is "ß", to what came before, and to node 20, it is "ss".
    "\N{LATIN CAPITAL LETTER SHARP S}": "programs don't agree on what ẞ is: write ß, or ss",
}


def parse_host(raw: str) -> Host:
    """The normal form of a name or an address (IPv6 with or without brackets)."""
    if not raw:
        raise ValueError("the host is empty")
    if len(raw) > RAW_CHARS:
        raise ValueError(f"the host is longer than {RAW_CHARS} characters")
    for character, reason in _NOT_HOST.items():
        if character in raw and (character != ":" or raw.count(":") == 1):
            raise ValueError(reason)
    if raw.startswith("["):
        if not raw.endswith("]"):
            raise ValueError("'[' without ']' at the end")
        return _parse_ipv6(raw[1:-1])
    return _parse_ipv6(raw) if ":" in raw else _parse_name(raw)


def _parse_ipv6(raw: str) -> Host:
    try:
        address = IPv6Address(raw)
    except AddressValueError:
        raise ValueError(f"{raw!r} is not an IPv6 address") from None
    return address.ipv4_mapped or address


def _parse_name(raw: str) -> Host:
    # On ASCII the mapping of UTS 46 is lower-casing and no more; idna takes 20 times as long to say so.
    mapped = raw.lower() if raw.isascii() else idna.uts46_remap(raw, std3_rules=False, transitional=False)
    labels = mapped.removesuffix(".").split(".")
    if _ends_in_number(labels[-1]):
        return _parse_ipv4(labels)
    name = ".".join([_parse_label(label) for label in labels])
    if len(name) > NAME_CHARS:
        raise ValueError(f"the name is longer than {NAME_CHARS} characters")
    return Name(name)


def _parse_label(label: str) -> str:
    if not label:
        raise ValueError("the name has an empty label")
    if not label.isascii() or label.startswith("xn--"):
        return _parse_international(label)
    if not _LABEL.fullmatch(label):
        bad = next(character for character in label if not _LABEL.fullmatch(character))
        raise ValueError(f"the character {bad!r} is not allowed in a host name")
    if len(label) > LABEL_CHARS:
        raise ValueError(f"a label is longer than {LABEL_CHARS} characters")
    return label


def _parse_international(label: str) -> str:
    try:
        # Through the U-label and back: two spellings in Punycode of one label must not be two names.
        return idna.alabel(idna.ulabel(label)).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"the label {label!r} is not an international name (IDNA 2008): {error}") from None


def _ends_in_number(label: str) -> bool:
    if label.startswith("0x"):
        return label == "0x" or bool(_DIGITS[16].fullmatch(label[2:]))
    return bool(_DIGITS[10].fullmatch(label))


def _parse_ipv4(labels: list[str]) -> IPv4Address:
    """WHATWG URL, "IPv4 parser": up to four numbers, the last of which fills all the bytes that are left."""
    if len(labels) > 4:
        raise ValueError("a name that ends in a number must be an IPv4 address, and this has over four parts")
    *heads, last = [_parse_number(label) for label in labels]
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        raise ValueError(
            "a name that ends in a number must be an IPv4 address, and a part of this is too large"
        )
    return IPv4Address(last + sum(head << (8 * (3 - place)) for place, head in enumerate(heads)))


def _parse_number(label: str) -> int:
    """WHATWG URL, "IPv4 number parser", without "0x" for zero."""
    if label.startswith("0x"):
        digits, base = label[2:], 16
    elif label.startswith("0"):
        digits, base = label[1:], 8
    else:
        digits, base = label, 10
    if not _DIGITS[base].fullmatch(digits):
        raise ValueError(
            f"a name that ends in a number must be an IPv4 address, and {label!r} is not a number"
        )
    return int(digits or "0", base)
