"""The `[resolve]` table: which host is at which address, whatever a resolver says.

Resolves nothing, and allows nothing: a rule must still allow the host.

Rule 1: a target is one host, or one host on one port; never a wildcard.
Rule 2: an answer is an address, with or without a port; never a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

import attrs

from trio_egress.model import HOST_INTERNAL, Address
from trio_egress.policy.destination import parse_written_host, split_port
from trio_egress.policy.rule import Pin, Resolve
from trio_egress.texts.faults import Fault, Faults, show


def parse_pins(table: Mapping[str, object]) -> Resolve:
    """Raises Faults with everything that is wrong in the table."""
    pins: dict[str, Pin] = {}
    faults: list[Fault] = []
    for key, answer in table.items():
        try:
            pin = _parse_pin(key, answer)
        except Faults as error:
            faults += [attrs.evolve(fault, path=(key,)) for fault in error.faults]
            continue
        if pin.target in pins:
            faults.append(Fault((key,), f"{pin.target} is pinned already, by another spelling", on_key=True))
        pins[pin.target] = pin
    if faults:
        raise Faults(faults)
    return Resolve(tuple(pins.values()))


def _parse_pin(key: str, answer: object) -> Pin:
    if isinstance(answer, dict):
        quoted = show(".".join([key, *_walk_down(answer)]))
        raise Faults(
            [Fault((), f"a name with dots in it must be quoted; did you mean {quoted}?", on_key=True)]
        )
    try:
        host, port = split_port(key)
        target = parse_written_host(host)
        if target == HOST_INTERNAL:
            raise ValueError(
                f"{HOST_INTERNAL} is this machine's loopback already, and can't be pinned elsewhere"
            )
    except ValueError as error:
        raise Faults([Fault((), str(error), on_key=True)]) from None
    try:
        address, address_port = _parse_answer(answer)
    except ValueError as error:
        raise Faults([Fault((), str(error))]) from None
    return Pin(target, port, address, address_port)


def _walk_down(table: Mapping[str, object]) -> list[str]:
    """The keys of `a.b.c = …` as TOML reads it without quotes, along the first of each."""
    path: list[str] = []
    inner: object = table
    while isinstance(inner, dict) and inner:
        key, inner = next(iter(inner.items()))
        path.append(key)
    return path


def _parse_answer(answer: object) -> tuple[Address, int | None]:
    if not isinstance(answer, str):
        raise ValueError(f'a pin is a string such as "127.0.0.1:8443", not {show(answer)}')
    host, port = split_port(answer)
    address = parse_written_host(host)
    if not isinstance(address, (IPv4Address, IPv6Address)):
        raise ValueError(f'a pin leads to an address, as in "127.0.0.1:8443", not to the name {show(answer)}')
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"nothing can be dialled at {address}")
    return address, port
