"""From an allowed upstream to a connected socket: look up, check every address, connect to a checked one.

Called only after the intent receipt is on disk. Never connects to a name, so nothing resolves it a second time.

Rule 1: an address that isn't outside is never dialled unless the rule says `allow_private`, names `host.internal`, or
a pin names it. One that a rule denies is never dialled at all.
Rule 2: a name is looked up as it is written. The machine's search domains would make another name of it.
Rule 3: whatever the network does is a value, `Undialled`; nothing is raised but bugs and cancellation.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs
import trio

from trio_egress.model import Address, Endpoint, Layer, Upstream, render_authority
from trio_egress.policy.addresses import describe_range, is_outside
from trio_egress.proxy.gate import Limits

LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
"""Where `host.internal` is. Not `localhost`, which a file or a resolver could lead elsewhere."""


@attrs.frozen
class Dialled:
    """A connection to a checked address. The socket is the receiver's to close."""

    sock: trio.socket.SocketType
    endpoint: Endpoint


@attrs.frozen
class Undialled:
    """Why there is none. `blocked`: the boundary refused every address, by `layer`. `late`: it took too long."""

    reason: str
    blocked: bool = False
    late: bool = False
    layer: Layer = Layer.ADDRESS


def forget_search_domains() -> None:
    """For this process, before it looks anything up (LOCALDOMAIN, `man 5 resolv.conf`; hosts files still hold).

    With `ndots:5`, as in Kubernetes, api.example is asked for as api.example.svc.cluster.local first.
    """
    os.environ["LOCALDOMAIN"] = "."


async def dial(upstream: Upstream, limits: Limits) -> Dialled | Undialled:
    """Connect to where the decision allows."""
    found = await find_endpoints(upstream, limits)
    if isinstance(found, Undialled):
        return found
    faults: list[str] = []
    with trio.move_on_after(limits.connect_seconds) as patience:
        dialled = await _race(found[: limits.candidates], limits.stagger_seconds, faults)
        if dialled is not None:
            return dialled
    target = render_authority(upstream.host, upstream.port)
    if patience.cancelled_caught:
        faults.append(f"no answer within {limits.connect_seconds:g} s")
    return Undialled(f"{target} can't be reached: {'; '.join(faults)}", late=patience.cancelled_caught)


async def find_endpoints(upstream: Upstream, limits: Limits) -> Sequence[Endpoint] | Undialled:
    """The endpoints that may be dialled, in the resolver's order; at least one."""
    if upstream.pin is not None:
        return _avoid(upstream, [upstream.pin])
    if upstream.loopback:
        return _avoid(upstream, [Endpoint(address, upstream.port) for address in LOOPBACK])
    if isinstance(upstream.host, (IPv4Address, IPv6Address)):
        addresses: Sequence[Address] | Undialled = [upstream.host]
    else:
        addresses = await _resolve(upstream.host, limits.resolve_seconds)
    if isinstance(addresses, Undialled):
        return addresses
    outside = [a for a in addresses if upstream.allow_private or is_outside(a)]
    if outside:
        return _avoid(upstream, [Endpoint(address, upstream.port) for address in outside])
    inside = ", ".join(f"{address} is {describe_range(address)}" for address in addresses)
    return Undialled(f"{upstream.host} has no outside address: {inside}", blocked=True)


def _avoid(upstream: Upstream, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint] | Undialled:
    """Those that no rule denies."""
    denials = [
        next((avoided for avoided in upstream.avoided if avoided.holds(endpoint.address)), None)
        for endpoint in endpoints
    ]
    left = [endpoint for endpoint, denial in zip(endpoints, denials, strict=True) if denial is None]
    if left:
        return left
    said = ", ".join(
        f"{at.address} by {denial.rule}" for at, denial in zip(endpoints, denials, strict=True) if denial
    )
    reason = f"{upstream.host} leads only where it is denied: {said}"
    return Undialled(reason, blocked=True, layer=Layer.DENY_RULE)


async def _resolve(name: str, seconds: float) -> Sequence[Address] | Undialled:
    """The name's addresses by the machine's own resolver, without doubles."""
    with trio.move_on_after(seconds):
        try:
            # Bytes: a name in normal form needs no IDNA codec, which would be imported while the agent runs.
            raw = name.encode("ascii")
            found = await trio.socket.getaddrinfo(raw, None, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            hint = "" if "." in name else " (as it is written: search domains don't apply)"
            return Undialled(f"{name} can't be resolved{hint}: {getattr(error, 'strerror', None) or error}")
        return list(dict.fromkeys(_normal(str(entry[4][0])) for entry in found))
    return Undialled(f"{name} wasn't resolved within {seconds:g} s", late=True)


def _normal(text: str) -> Address:
    """An address of the resolver, a v4-mapped one as the IPv4 address that it would reach."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


async def _race(endpoints: Sequence[Endpoint], stagger: float, faults: list[str]) -> Dialled | None:
    """The first endpoint to answer; the next one starts when the last failed or was silent for `stagger` seconds."""
    winners: list[Dialled] = []

    async def attempt(endpoint: Endpoint, failed: trio.Event) -> None:
        dialled = await _connect(endpoint)
        if isinstance(dialled, str):
            faults.append(dialled)
            failed.set()
        elif winners:
            dialled.sock.close()
        else:
            winners.append(dialled)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for endpoint in endpoints:
            failed = trio.Event()
            nursery.start_soon(attempt, endpoint, failed)
            with trio.move_on_after(stagger):
                await failed.wait()
    return winners[0] if winners else None


async def _connect(endpoint: Endpoint) -> Dialled | str:
    """One connection, or the reason why not. Cancellation closes the socket."""
    family = socket.AF_INET if isinstance(endpoint.address, IPv4Address) else socket.AF_INET6
    try:
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # EMFILE, EAFNOSUPPORT: this connection can't be made, nothing else is harmed
        return f"{endpoint}: {_describe(error)}"
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await sock.connect((str(endpoint.address), endpoint.port))
    except OSError as error:
        sock.close()
        return f"{endpoint}: {_describe(error)}"
    except BaseException:
        sock.close()
        raise
    return Dialled(sock, endpoint)


def _describe(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno is not None else str(error)
