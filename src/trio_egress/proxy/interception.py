"""Both ends of TLS that ends here: the agent's under the run's authority, the upstream's under this machine's roots.

Imported only where the policy asks for it: `ssl` and `cryptography` take longer to load than a small run.

Rule 1: an upstream is verified as a browser would (name, dates, chain, TLS 1.2 at least), under the roots that this
        machine trusts for whoever started the run (SSL_CERT_FILE and SSL_CERT_DIR count) and those of the policy; else
        nothing is said to it.
Rule 2: no file of TLS keys is ever written, whatever SSLKEYLOGFILE says.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Endpoint, Host, Layer, Name, Upstream
from trio_egress.proxy.dial import Undialled, dial
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import NO_ROOM, Peer
from trio_egress.proxy.secure_peer import HTTP_1, HTTP_2, OtherProtocol, SecurePeer, TooOld
from trio_egress.values import frozen

if TYPE_CHECKING:
    from trio_egress.proxy.authority import Authority

REHEARSAL = Name("rehearsal.invalid")


@frozen
class Secured:
    """A connection to an upstream that is who it must be."""

    peer: SecurePeer
    endpoint: Endpoint


@frozen
class Interception:
    """Of one run. `authority`: None where no TLS of the agent ends here, and only upstreams are spoken to by it.

    `single`, `many`: the contexts in which it is an upstream's client, for one request at a time (in HTTP/1.1) or for
    many.
    """

    authority: Authority | None
    single: ssl.SSLContext
    many: ssl.SSLContext

    def rehearse(self) -> None:
        """Shake hands with ourselves once, so that nothing is left to load (names have a codec of their own)."""
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.many.wrap_bio(back, there, server_hostname=REHEARSAL)
        sides = [client]
        if self.authority is not None:
            nobody = self.authority.rehearse(REHEARSAL).wrap_bio(there, back, server_side=True)
            sides += [nobody, client]
        with contextlib.suppress(ssl.SSLCertVerificationError):
            for side in sides:
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()

    async def accept(self, agent: Peer, host: Host) -> SecurePeer:
        """The agent's side as a server for `host`, its handshake done. Raises PeerError."""
        if self.authority is None:
            raise ValueError("this run has no authority to answer with")
        try:
            context = self.authority.open_context(host)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise PeerError(f"TLS for {host} can't be answered here: {error.strerror}") from None
        inside = SecurePeer(agent, context)
        await inside.handshake()
        return inside

    async def dial(self, upstream: Upstream, limits: Limits, *, many: bool = False) -> Secured | Undialled:
        """Connect to where the decision allows, and make sure who is there. `many`: for requests that come at once."""
        try:
            return await self._dial(upstream, limits, self.many if many else self.single)
        except OtherProtocol as fault:
            if many:
                return Undialled(str(fault))
        return await self.dial(upstream, limits, many=True)

    async def _dial(self, upstream: Upstream, limits: Limits, context: ssl.SSLContext) -> Secured | Undialled:
        dialled = await dial(upstream, limits)
        if isinstance(dialled, Undialled):
            return dialled
        peer = SecurePeer(dialled.open_peer(), context, server_name=str(upstream.host))
        fault = await _shake_hands(peer, upstream, limits)
        if fault is not None:
            peer.reset()
            return fault
        return Secured(peer, dialled.endpoint)


async def _shake_hands(peer: SecurePeer, upstream: Upstream, limits: Limits) -> Undialled | None:
    try:
        with trio.move_on_after(limits.connect_seconds) as patience:
            await peer.handshake()
    except ssl.SSLCertVerificationError as error:
        said = f"{upstream.host} can't be trusted: {error.verify_message}"
        return Undialled(said, blocked=True, layer=Layer.CERTIFICATE)
    except TooOld as error:
        said = f"{upstream.host} can't be trusted: {error}"
        return Undialled(said, blocked=True, layer=Layer.CERTIFICATE)
    except OtherProtocol:
        peer.close()
        raise
    except UpstreamError as error:
        return Undialled(str(error))
    except BaseException:
        peer.close()
        raise
    if patience.cancelled_caught:
        late = f"{upstream.host} didn't finish its TLS handshake within {limits.connect_seconds:g} s"
        return Undialled(late, late=True)
    return None


def open_interception(authority: Authority | None, more_roots: str = "") -> Interception:
    """`more_roots`: those that upstreams are trusted by beside this machine's, in PEM. Raises OSError."""
    single = open_client_context(more_roots, [HTTP_1])
    return Interception(authority, single, open_client_context(more_roots, [HTTP_2, HTTP_1]))


def open_client_context(more_roots: str, protocols: Sequence[str]) -> ssl.SSLContext:
    """One that offers these protocols. Not `ssl.create_default_context`, which obeys SSLKEYLOGFILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~getattr(
        ssl, "OP_IGNORE_UNEXPECTED_EOF", 0
    )  # an end has to be said: secure_peer.py, Rule 2
    context.hostname_checks_common_name = False  # RFC 9525 2: nor does a browser since 2017
    context.load_default_certs()
    if more_roots:
        context.load_verify_locations(cadata=more_roots)
    context.set_alpn_protocols(protocols)
    return context
