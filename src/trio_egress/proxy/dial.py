"""From an allowed upstream to a connected socket: look up, check every address, connect to a checked one.

Called only after the intent receipt is on disk. Never connects to a name, so nothing resolves it a second time.

Rule 1: an address that isn't outside, or is this machine's own, is never dialled unless the rule says `allow_private`,
names `host.internal`, or a pin names it. One that a rule denies is never dialled at all.
Rule 2: a name is looked up as it is written. The machine's search domains would make another name of it.
Rule 3: where the policy names a company's proxy, it is asked for a tunnel, and nothing else is dialled. A name that it
looks up itself is checked by nobody here: only names that nothing outside can have are refused.
Rule 4: whatever the network does is a value, `Undialled`; nothing is raised but bugs and cancellation.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs
import trio

from trio_egress.errors import UpstreamError
from trio_egress.model import Address, Endpoint, Layer, Upstream, Via, render_authority
from trio_egress.policy.addresses import describe_range, is_outside, is_private_name
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.through import open_through
from trio_egress.recorder import Flow
from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage

BY_PROXY = "upstream_proxy"
"""Who it was that refused or failed, as receipts and answers say it (`origin`)."""

LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
"""Where `host.internal` is. Not `localhost`, which a file or a resolver could lead elsewhere."""


@frozen
class Dialled:
    """A connection to a checked address, or to the company's proxy, with a tunnel through it.

    The socket is the receiver's to close. `ahead`: what came from the other end already. `forwards`: there is no
    tunnel, and requests are the proxy's to pass on.
    """

    sock: trio.socket.SocketType
    endpoint: Endpoint
    ahead: bytes = b""
    forwards: bool = False

    def open_peer(self) -> Peer:
        peer = Peer(self.sock, UpstreamError)
        peer.ahead = self.ahead
        return peer


@frozen
class Undialled:
    """Why there is none. `blocked`: the boundary refused every address, by `layer`. `late`: it took too long.

    `by_proxy`: it is the company's proxy that refused, or failed.
    """

    reason: str
    blocked: bool = False
    late: bool = False
    layer: Layer = Layer.ADDRESS
    by_proxy: bool = False

    def tell(self, flow: Flow) -> None:
        """What the outcome of the attempt says of it."""
        flow.fail(self.reason, self.layer if self.blocked else None, blocked=self.blocked)
        if self.by_proxy:
            flow.note(origin=BY_PROXY)


def forget_search_domains() -> None:
    """For this process, before it looks anything up (LOCALDOMAIN, `man 5 resolv.conf`; hosts files still hold).

    With `ndots:5`, as in Kubernetes, api.example is asked for as api.example.svc.cluster.local first.
    """
    os.environ["LOCALDOMAIN"] = "."


async def dial(upstream: Upstream, limits: Limits, *, plain: bool = False) -> Dialled | Undialled:
    """Connect to where the decision allows. `plain`: for requests in the clear, which a proxy can pass on itself."""
    if upstream.via is not None:
        return await _dial_via(upstream, upstream.via, limits, plain=plain and not upstream.via.looks_up)
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


async def _dial_via(upstream: Upstream, via: Via, limits: Limits, *, plain: bool) -> Dialled | Undialled:
    """A tunnel through the proxy to the first target that it reaches; with `plain` the proxy itself."""
    targets = await _find_targets(upstream, via, limits)
    if isinstance(targets, Undialled):
        return targets
    failed: Dialled | Undialled | None = None
    with trio.move_on_after(limits.connect_seconds):
        for target in targets[: limits.candidates]:
            failed = await _ask_proxy(via, None if plain else target, limits)
            if isinstance(failed, Dialled):
                return failed
    if isinstance(failed, Undialled):
        return failed
    reason = f"the upstream proxy {via} did not answer within {limits.connect_seconds:g} s"
    return Undialled(reason, late=True, by_proxy=True)


async def _find_targets(upstream: Upstream, via: Via, limits: Limits) -> Sequence[str] | Undialled:
    """What the proxy may be asked for; at least one."""
    host = upstream.host
    if via.looks_up or isinstance(host, (IPv4Address, IPv6Address)):
        found = await find_endpoints(upstream, limits)
        return found if isinstance(found, Undialled) else list(map(str, found))
    if is_private_name(host) and not upstream.allow_private:
        reason = (
            f"{host} is a name of private networks, and the upstream proxy {via} would look it up in its own"
        )
        return Undialled(reason, blocked=True)
    return [render_authority(host, upstream.port)]


async def _ask_proxy(via: Via, target: str | None, limits: Limits) -> Dialled | Undialled:
    who = f"the upstream proxy {via}"
    own = [via.host] if isinstance(via.host, (IPv4Address, IPv6Address)) else None
    addresses = own or await _resolve(str(via.host), limits.resolve_seconds)
    if isinstance(addresses, Undialled):
        return Undialled(f"{who}: {addresses.reason}", late=addresses.late, by_proxy=True)
    faults: list[str] = []
    endpoints = [Endpoint(address, via.port) for address in addresses[: limits.candidates]]
    dialled = await _race(endpoints, limits.stagger_seconds, faults)
    if dialled is None:
        return Undialled(f"{who} can't be reached: {'; '.join(faults)}", by_proxy=True)
    if target is None:
        return attrs.evolve(dialled, forwards=True)
    peer = dialled.open_peer()
    try:
        refusal = await open_through(peer, via, target, limits)
    except BadMessage as fault:
        reason = f"{who} gave no answer for {target} that can be taken: {fault}"
    except UpstreamError as fault:
        reason = f"{who} gave no answer for {target}: {str(fault).replace('the upstream', 'it', 1)}"
    except BaseException:
        peer.close()
        raise
    else:
        if refusal is None:
            return attrs.evolve(dialled, ahead=peer.take())
        reason = f"{who} refused {target}: {refusal}"
    peer.close()
    return Undialled(reason, by_proxy=True)


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
    try:
        inside = {} if upstream.allow_private else _find_inside(addresses)
    except OSError as error:
        return Undialled(f"{upstream.host}: nobody could say whose its addresses are: {error.strerror}")
    outside = [address for address in addresses if address not in inside]
    if outside:
        return _avoid(upstream, [Endpoint(address, upstream.port) for address in outside])
    said = ", ".join(f"{address} is {why}" for address, why in inside.items())
    cure = "; `allow_private = true` in its rule lets it"
    return Undialled(f"{upstream.host} has no outside address: {said}{cure}", blocked=True)


def _find_inside(addresses: Iterable[Address]) -> dict[Address, str]:
    """Those that aren't outside, and what each is instead. Raises OSError."""
    return {
        address: "this machine's own" if is_outside(address) else describe_range(address)
        for address in addresses
        if not is_outside(address) or _is_own(address)
    }


def _is_own(address: Address) -> bool:
    """Whether the kernel would send to it from there. Nothing is sent (`man 7 udp`). Raises OSError."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((str(address), 9))
        except OSError:  # no way leads there, which whoever dials it tells
            return False
        return _normal(sock.getsockname()[0]) == address


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
        except (OSError, UnicodeError) as error:
            # OSError itself where no descriptors are left (EAI_SYSTEM).
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
    if len(endpoints) == 1:  # nobody to race with
        only = await _connect(endpoints[0])
        if isinstance(only, Dialled):
            return only
        faults.append(only)
        return None
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
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:  # EMFILE, EAFNOSUPPORT: this connection can't be made, nothing else is harmed
        return f"{endpoint}: {_describe(error)}"
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _wait_connected(sock, (str(endpoint.address), endpoint.port))
    except OSError as error:
        sock.close()
        return f"{endpoint}: {_describe(error)}"
    except BaseException:
        sock.close()
        raise
    return Dialled(trio.socket.from_stdlib_socket(sock), endpoint)


async def _wait_connected(sock: socket.socket, address: tuple[str, int]) -> None:
    """Raises OSError. As `connect` of Trio's does it, which looks even an address up that is one."""
    await trio.lowlevel.checkpoint_if_cancelled()
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _describe(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno is not None else str(error)
