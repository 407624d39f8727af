"""A run without a sandbox: a real recorder over a real file, real upstreams on loopback, and both doors.

The transparent door is told where a connection was going; everything after that is what a run does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme

from trio_egress.evidence.chain import Chain
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME, open_journal
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.model import Endpoint, Name
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.load import load_policy
from trio_egress.policy.recall import decide_again
from trio_egress.policy.recall_scan import hold_findings
from trio_egress.policy.rule import Policy
from trio_egress.proxy.approval import Approvals, Approver
from trio_egress.proxy.authority import Authority
from trio_egress.proxy.connection import handle_explicit, handle_transparent
from trio_egress.proxy.gate import Gate, Limits
from trio_egress.proxy.interception import Interception, open_interception
from trio_egress.proxy.ledger import ABLE
from trio_egress.proxy.listen import Handle, keep_listener
from trio_egress.proxy.names import Names
from trio_egress.recorder import open_recorder

HEAD = 'version = "1.0"\ndefault_deny = true\ndns_resolution = "proxy_only"\n'
PATIENCE_SECONDS = 60.0
"""No test waits longer for anything; none waits at all when it passes."""

NO_APPLICATION_PROTOCOL = bytes.fromhex("15030300020278")
"""The alert of RFC 7301 3.2, in a record of its own."""

Serve = Callable[[trio.SocketStream], Awaitable[None]]


@attrs.frozen
class Receipt:
    """The members of a receipt that these tests are about."""

    verdict: str
    phase: str
    layer: str
    target: str
    facts: Mapping[str, Any]
    method: str = ""

    @property
    def said(self) -> tuple[str, str, str]:
        return self.verdict, self.phase, self.target


class World:
    """One run's gate, with its doors and upstreams."""

    def __init__(self, gate: Gate, nursery: trio.Nursery, directory: Path, authority: trustme.CA) -> None:
        self.gate = gate
        self._nursery = nursery
        self._directory = directory
        self._authority = authority
        self._opening = trio.Lock()
        self._transparent: dict[Endpoint, trio.SocketListener] = {}
        self._connected = self._accepted = self._open = 0
        self._idle = trio.Event()

    async def open_proxy(self) -> None:
        self._explicit = await self._listen(handle_explicit)

    async def _listen(self, handle: Handle) -> trio.SocketListener:
        async def take(sock: trio.socket.SocketType, gate: Gate) -> None:
            self._accepted += 1
            self._open += 1
            try:
                await handle(sock, gate)
            finally:
                self._open -= 1
                self._idle.set()

        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        self._nursery.start_soon(keep_listener, listener, take, self.gate)
        return listener

    def cancel(self) -> None:
        """End the run."""
        self._nursery.cancel_scope.cancel()

    def close(self) -> None:
        for listener in (self._explicit, *self._transparent.values()):
            listener.socket.close()

    async def wait_idle(self) -> None:
        """Until every connection of the agent has ended by itself."""
        while self._accepted < self._connected or self._open:
            self._idle = trio.Event()
            await self._idle.wait()

    async def agent(self, host: str, port: int) -> trio.SocketStream:
        """A redirected connection: to a name by its synthetic address, or to an address."""
        try:
            address = ip_address(host)
        except ValueError:
            addresses = self.gate.names.address_of(Name(host))
            assert addresses is not None
            address = addresses[0]
        asked = Endpoint(address, port)
        async with self._opening:
            if asked not in self._transparent:
                self._transparent[asked] = await self._listen(
                    lambda sock, gate: handle_transparent(sock, asked, gate)
                )
        return await self._connect(self._transparent[asked])

    async def client(self) -> trio.SocketStream:
        """A connection to the explicit proxy."""
        return await self._connect(self._explicit)

    async def _connect(self, listener: trio.SocketListener) -> trio.SocketStream:
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        await sock.connect(listener.socket.getsockname())
        self._connected += 1
        return trio.SocketStream(sock)

    @property
    def proxy_port(self) -> int:
        port: int = self._explicit.socket.getsockname()[1]
        return port

    def client_tls(self) -> ssl.SSLContext:
        """Of a client that trusts the upstreams' authority, and where there is one the run's."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        if self.gate.interception is not None and self.gate.interception.authority is not None:
            context.load_verify_locations(cadata=self.gate.interception.authority.pem)
        return context

    def receipts(self) -> list[Receipt]:
        """All of the run, without those of the session."""
        found = []
        for line in (self._directory / EVIDENCE_NAME).read_bytes().splitlines():
            receipt = json.loads(line)
            record = receipt["action_record"]
            if record["transport"] != "receipt_session":
                facts = receipt["ext"]["trio_egress"]
                phase, layer = record.get("decision_phase", ""), record.get("layer", "")
                said = record["verdict"], phase, layer, record["target"]
                found.append(Receipt(*said, facts, record.get("method", "")))
        return found

    def outcome(self) -> Receipt:
        """The only outcome."""
        (found,) = [receipt for receipt in self.receipts() if receipt.phase == "outcome"]
        return found

    def block(self) -> Receipt:
        """The only receipt: a block."""
        (found,) = self.receipts()
        assert found.verdict == "block"
        assert found.phase == ""
        return found


class Upstreams:
    """Servers on loopback, made before the policy that pins them."""

    def __init__(self, nursery: trio.Nursery, authority: trustme.CA) -> None:
        self._nursery = nursery
        self._authority = authority
        self._listeners: list[trio.SocketListener] = []
        self._held: list[trio.socket.SocketType] = []
        self.accepted = 0

    def close(self) -> None:
        """End every server and its connections."""
        self._nursery.cancel_scope.cancel()
        for listener in self._listeners:
            listener.socket.close()
        for sock in self._held:
            sock.close()

    async def serve(self, handle: Serve) -> int:
        """Handle each connection by `handle`; the port."""
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        self._listeners.append(listener)

        async def take(stream: trio.SocketStream) -> None:
            self.accepted += 1
            await handle(stream)
            await stream.aclose()

        self._nursery.start_soon(trio.serve_listeners, take, [listener])
        port: int = listener.socket.getsockname()[1]
        return port

    async def serve_tls(
        self,
        name: str,
        handle: Callable[[trio.SSLStream[trio.SocketStream]], Any],
        protocols: Sequence[str] = (),
    ) -> int:
        """`protocols`: by their ALPN names; a client that offers none of them gets an alert, as Go's servers do it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        self._authority.issue_cert(name).configure_cert(context)

        async def take(stream: trio.SocketStream) -> None:
            hello = await stream.socket.recv(16_384, socket.MSG_PEEK)
            if protocols and not any(bytes([len(one)]) + one.encode() in hello for one in protocols):
                await stream.socket.recv(16_384)
                await stream.send_all(NO_APPLICATION_PROTOCOL)
            else:
                await handle(trio.SSLStream(stream, context, server_side=True, https_compatible=True))

        return await self.serve(take)

    async def refused_port(self) -> int:
        """A port where nobody listens: bound, so that nobody else will."""
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        await sock.bind(("127.0.0.1", 0))
        self._held.append(sock)
        port: int = sock.getsockname()[1]
        return port


class Resolver(trio.abc.HostnameResolver):
    """A resolver of a test's own, in the place that Trio has for one."""

    def __init__(self) -> None:
        self.answers: dict[bytes, Sequence[str]] = {}
        self.faults: dict[bytes, OSError] = {}
        self.asked: list[bytes] = []

    async def getaddrinfo(  # type: ignore[override]
        self, host: bytes, port: int | None, family: int, type: int, proto: int, flags: int
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.asked.append(host)
        if host in self.faults:
            raise self.faults[host]
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not self.answers[host]:
            await trio.sleep_forever()
        return [(0, 0, 0, "", (address, 0)) for address in self.answers[host]]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise AssertionError("nobody looks up an address")


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def upstreams(authority: trustme.CA) -> AsyncIterator[Upstreams]:
    async with trio.open_nursery() as nursery:
        made = Upstreams(nursery, authority)
        yield made
        made.close()


@pytest.fixture
async def resolver() -> Resolver:
    made = Resolver()
    trio.socket.set_custom_hostname_resolver(made)
    return made


@pytest.fixture
def open_world(tmp_path: Path, authority: trustme.CA) -> OpenWorld:
    """`open_world(rules, pins, **limits)`: leaving it waits until every connection has ended, then closes the chain."""

    @asynccontextmanager
    async def opened(
        rules: str,
        pins: Mapping[str, int] | None = None,
        approver: Approver | None = None,
        **limits: Any,
    ) -> AsyncIterator[World]:
        resolve = "".join(f'"{host}" = "127.0.0.1:{port}"\n' for host, port in (pins or {}).items())
        policy = load_policy(f"{HEAD}{rules}\n[resolve]\n{resolve}", "agent.toml")
        descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        journal = open_journal(descriptor)
        session = Session("run-1", "nonce-1", "open-1", "sha256:" + "0" * 64, 30, "principal", "agent")
        try:
            async with (
                open_recorder(Chain(generate(bytes(32)), session), journal) as recorder,
                trio.open_nursery() as nursery,
            ):
                own = make_interception(policy, authority)
                asked = Approvals(approver)
                gate = Gate(policy, recorder, Names(), Limits(**limits), interception=own, approvals=asked)
                world = World(gate, nursery, tmp_path, authority)
                await world.open_proxy()
                try:
                    with trio.fail_after(PATIENCE_SECONDS):
                        yield world
                        await world.wait_idle()
                    world.cancel()
                finally:
                    world.close()
        finally:
            journal.close()
            os.close(descriptor)
        if world.gate.policy is policy:
            assert list(find_differences(tmp_path, policy)) == []

    return opened


def make_interception(policy: Policy, authority: trustme.CA) -> Interception | None:
    """As a run makes it, with upstreams that a test's authority vouches for."""
    patterns = find_intercepted(policy)
    if not patterns and not policy.endpoints:
        return None
    own = Authority(patterns, datetime.now(timezone.utc), "run-1") if patterns else None
    interception = open_interception(own)
    for client in (interception.single, interception.many):
        authority.configure_trust(client)
    return interception


def find_differences(directory: Path, policy: Policy) -> Iterator[object]:
    """Receipts that the policy contradicts, when it is asked again, and those that contradict each other."""
    findings = Findings()
    played = Replay(findings, EVIDENCE_NAME)
    for line in (directory / EVIDENCE_NAME).read_bytes().splitlines():
        receipt = json.loads(line)
        facts = receipt.get("ext", {}).get("trio_egress", {})
        difference = decide_again(policy, receipt["action_record"], facts, ABLE)
        difference = difference or hold_findings(policy, receipt["action_record"], facts, 0)
        if difference is not None:
            yield receipt["action_record"]["target"], difference
        played.feed(line)
    yield from (each.message for each in findings.kept if each.code.startswith(("found.", "pair.", "ext.")))


async def receive_until(stream: trio.abc.ReceiveStream, marker: bytes) -> bytes:
    """Up to and with `marker`, and whatever came in the same read."""
    raw = b""
    while marker not in raw:
        piece = await stream.receive_some()
        assert piece, raw
        raw += piece
    return raw


async def receive_head(stream: trio.abc.ReceiveStream) -> bytes:
    """Up to the empty line, and nothing of what follows it."""
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        piece = await stream.receive_some(1)
        assert piece, raw
        raw += piece
    return raw


async def receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """`size` bytes; an error if more came with them."""
    raw = b""
    while len(raw) < size:
        piece = await stream.receive_some()
        assert piece, raw
        raw += piece
    assert len(raw) == size, raw[size:]
    return raw


def script(*exchanges: tuple[bytes, bytes]) -> Serve:
    """An upstream that reads exactly the first of each pair, and answers with the second."""

    async def serve(stream: trio.SocketStream) -> None:
        for expected, answer in exchanges:
            assert await receive_exactly(stream, len(expected)) == expected
            await stream.send_all(answer)

    return serve


def render_hello(server_name: str | None, alpn: Sequence[str] = ()) -> bytes:
    """The first flight of a real TLS client."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


async def receive_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Until the other end's clean end."""
    return b"".join([piece async for piece in stream])


@contextmanager
def few_descriptors(left: int = 0) -> Iterator[None]:
    """So many more, and each that is closed meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_free = os.dup(0)
    os.close(next_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def reset(stream: trio.SocketStream) -> None:
    """Close with a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
