"""Netlink attributes: names and values into the bytes that the kernel reads, and its own into values by number.

Names are those of linux/netfilter/nf_tables.h that kernel/nft.py uses, and no others.

Rule 1: nothing is left out silently. A name that is not known, or a value that does not fit, raises.
Rule 2: what the kernel answers is never trusted to be well-formed: an attribute that is cut short is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trio_egress.kernel import nft

_ATTRIBUTE = struct.Struct("=HH")  # length with this header, number
_NESTED, _NUMBER_BITS = 0x8000, 0x3FFF
_LIST_ELEMENT = 1

_WORD = struct.Struct("!I")
_WIDTHS = {
    "NFTA_EXTHDR_TYPE": struct.Struct("!B"),
    "NFTA_LOG_GROUP": struct.Struct("!H"),
    "NFTA_REJECT_ICMP_CODE": struct.Struct("!B"),
}
"""Of numbers. All others have 32 bits, in the network's order."""

_ORDERS = {
    "TABLE": ("NAME",),
    "CHAIN": ("TABLE", "HANDLE", "NAME", "HOOK", "POLICY", "USE", "TYPE"),
    "HOOK": ("HOOKNUM", "PRIORITY"),
    "RULE": ("TABLE", "CHAIN", "HANDLE", "EXPRESSIONS"),
    "OBJ": ("TABLE", "NAME", "TYPE", "DATA"),
    "EXPR": ("NAME", "DATA"),
    "DATA": ("VALUE", "VERDICT"),
    "VERDICT": ("CODE", "CHAIN"),
    "BITWISE": ("SREG", "DREG", "LEN", "MASK", "XOR"),
    "CMP": ("SREG", "OP", "DATA"),
    "CT": ("DREG", "KEY"),
    "EXTHDR": ("DREG", "TYPE", "OFFSET", "LEN", "FLAGS"),
    "IMMEDIATE": ("DREG", "DATA"),
    "LOG": ("GROUP", "PREFIX"),
    "META": ("DREG", "KEY"),
    "OBJREF": ("IMM_TYPE", "IMM_NAME"),
    "PAYLOAD": ("DREG", "BASE", "OFFSET", "LEN"),
    "REDIR": ("REG_PROTO_MIN",),
    "REJECT": ("TYPE", "ICMP_CODE"),
}
"""The names of each enum there, from number 1 on."""

_NUMBERS = {
    f"NFTA_{kind}_{name}": number for kind, names in _ORDERS.items() for number, name in enumerate(names, 1)
}


def render_attribute(number: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, number) + value + bytes(-length % 4)


def render_attributes(attributes: Sequence[tuple[str, nft.Value]]) -> bytes:
    """Those of a message or of a nest, in their order."""
    return b"".join([_render(name, _NUMBERS[name], value) for name, value in attributes])


def _render(name: str, number: int, value: nft.Value) -> bytes:
    if isinstance(value, nft.Nest):
        return render_attribute(number | _NESTED, render_attributes(value.attributes))
    if isinstance(value, tuple):
        return render_attribute(
            number | _NESTED, b"".join([_render(name, _LIST_ELEMENT, one) for one in value])
        )
    if isinstance(value, int):
        width = _WIDTHS.get(name, _WORD)
        return render_attribute(number, width.pack(value & 0xFFFFFFFF if value < 0 else value))
    return render_attribute(number, value if isinstance(value, bytes) else value.encode("ascii") + b"\0")


def parse_attributes(raw: bytes) -> dict[int, bytes]:
    """Values by number; of several with one number the last."""
    values = {}
    while len(raw) >= _ATTRIBUTE.size:
        length, number = _ATTRIBUTE.unpack_from(raw)
        if not _ATTRIBUTE.size <= length <= len(raw):
            break
        values[number & _NUMBER_BITS] = raw[_ATTRIBUTE.size : length]
        raw = raw[(length + 3) & ~3 :]
    return values
