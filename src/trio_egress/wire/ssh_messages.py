"""Lines and packets of SSH before encryption (RFC 4253): where they end, what they say, and which are fit for use.

Knows no order of messages: that is `ssh`, which follows a connection.

Rule 1: bytes that can't be read raise PeerError, algorithms that hide or weaken the host key Unfit, and nothing else.
Rule 2: a key's type and its signature's must be those that were agreed on.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from typing import Final

import attrs

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.reader import Reader

LINE_BYTES: Final = 255
"""An identification line with its end (RFC 4253 4.2)."""
PACKET_BYTES: Final = 35000
"""A packet (RFC 4253 6.1). The largest reply of today's methods has some 4 KiB."""

KEY_EXCHANGE_FAILED: Final = 3
HOST_KEY_NOT_VERIFIABLE: Final = 9
BY_APPLICATION: Final = 11
"""Reasons of SSH_MSG_DISCONNECT (RFC 4253 11.1)."""

DISCONNECT, DEBUG, KEXINIT = 1, 4, 20
METHOD_FIRST, METHOD_LAST = 30, 49
PLAIN_REPLY, GROUP, GROUP_REPLY = 31, 31, 33
"""SSH_MSG_KEXDH_REPLY and its like; GEX_GROUP and GEX_REPLY (RFC 4419 5)."""

_DH = "diffie-hellman-group"
REPLIES: Final = {
    f"{_DH}14-sha256": PLAIN_REPLY,
    f"{_DH}15-sha512": PLAIN_REPLY,
    f"{_DH}16-sha512": PLAIN_REPLY,
    f"{_DH}17-sha512": PLAIN_REPLY,
    f"{_DH}18-sha512": PLAIN_REPLY,
    f"{_DH}-exchange-sha256": GROUP_REPLY,
    "ecdh-sha2-nistp256": PLAIN_REPLY,
    "ecdh-sha2-nistp384": PLAIN_REPLY,
    "ecdh-sha2-nistp521": PLAIN_REPLY,
    "curve25519-sha256": PLAIN_REPLY,
    "curve25519-sha256@libssh.org": PLAIN_REPLY,
    "curve448-sha512": PLAIN_REPLY,
    "sntrup761x25519-sha512": PLAIN_REPLY,
    "sntrup761x25519-sha512@openssh.com": PLAIN_REPLY,
    "mlkem768x25519-sha256": PLAIN_REPLY,
    "mlkem768nistp256-sha256": PLAIN_REPLY,
    "mlkem1024nistp384-sha384": PLAIN_REPLY,
}
"""Methods whose reply is the host key, the server's share and the signature, in this order, and the reply's number
(RFC 4253 8, 4419 3, 5656 4, 8268, 8731; the drafts of the hybrids). Those with SHA-1 are left out on purpose."""

_FIELDS: Final = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
}
"""The types of keys that are accepted, and how many fields such a key has after its type."""

_SIGNERS: Final = {
    **{kind: kind for kind in _FIELDS if kind != "ssh-rsa"},
    "rsa-sha2-256": "ssh-rsa",
    "rsa-sha2-512": "ssh-rsa",
}
"""Algorithms that a server may sign with, and the type of their key. As an algorithm `ssh-rsa` is SHA-1 (RFC 8332)."""

_CERTIFIED: Final = "-cert-v01@openssh.com"
_BROKEN = re.compile(r"none|.*des-cbc.*|arcfour.*|hmac-md5.*")
_AUTHENTICATED = re.compile(r"(?i)aead_.*|.*-gcm@openssh\.com|chacha20-poly1305(@openssh\.com)?")
_NAMES = re.compile(rb"(?:[!-+\--~]{1,64}(?:,[!-+\--~]{1,64})*)?")
_IDENTIFICATION = re.compile(rb"SSH-([0-9.]+)-[ -~]*")
_WELCOME = re.compile(rb"(?!SSH-)[^\r\0]*")
_MARKERS = re.compile(r"ext-info-[cs]|kex-strict-[cs]-v00@openssh\.com")
"""They stand in a list of methods and are none (RFC 8308 2.1, OpenSSH's PROTOCOL 1.10)."""


class Unfit(PeerError):
    """What both sides agreed on would hide the host key, or protect nothing."""


@frozen
class Proposal:
    """One side's SSH_MSG_KEXINIT: its lists as in RFC 4253 7.1, without the languages."""

    lists: tuple[tuple[str, ...], ...]
    guesses: bool

    @property
    def strict(self) -> bool:
        return any(name.startswith("kex-strict-") for name in self.lists[0])


@frozen
class Agreed:
    """What both sides use."""

    method: str
    signer: str
    strict: bool


@frozen
class HostKey:
    """A server's key as it showed it; of a certificate, the key in it."""

    kind: str
    blob: bytes = attrs.field(repr=False)

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(self.blob).digest()
        return f"SHA256:{b64encode(digest).rstrip(b'=').decode('ascii')}"


def measure_line(raw: bytes, start: int) -> int:
    """How many bytes the line at `start` has, its end included; 0 while it isn't whole."""
    end = raw.find(b"\n", start, start + LINE_BYTES)
    if end < 0 and len(raw) - start >= LINE_BYTES:
        raise PeerError(f"SSH: a line of more than {LINE_BYTES} bytes, where the identification is expected")
    return 0 if end < 0 else end + 1 - start


def measure_packet(raw: bytes, start: int) -> int:
    """The same for a packet."""
    if len(raw) - start < 4:
        return 0
    size = 4 + int.from_bytes(raw[start : start + 4], "big")
    if not 16 <= size <= PACKET_BYTES or size % 8:
        raise PeerError(f"SSH: a packet of {size} bytes, expected 16 to {PACKET_BYTES} in steps of 8")
    return size if len(raw) - start >= size else 0


def is_identification(raw: bytes, *, of_server: bool) -> bool:
    """Whether a line is that; a server may send others before it, and may know SSH-1 as well (RFC 4253 4.2, 5.1)."""
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if of_server and _WELCOME.fullmatch(line):
        return False
    found = _IDENTIFICATION.fullmatch(line)
    if found is None or (found[1] != b"2.0" and not (of_server and found[1] == b"1.99")):
        raise PeerError(f"SSH: the {'server' if of_server else 'client'} doesn't identify itself as SSH-2.0")
    return True


def unpack(packet: bytes) -> bytes:
    """The payload, at least one byte (RFC 4253 6)."""
    padding = packet[4]
    payload = packet[5 : max(5, len(packet) - padding)]
    if padding < 4 or not payload:
        raise PeerError(f"SSH: a packet of {len(packet)} bytes with a padding of {padding}")
    return payload


def parse_proposal(payload: bytes) -> Proposal:
    """RFC 4253 7.1."""
    reader = Reader(payload, "SSH: a list of algorithms", start=1)
    reader.take(16)
    lists = [reader.vector(4) for _ in range(10)]
    guesses = reader.integer(1)
    reader.take(4)
    reader.end()
    if not all(map(_NAMES.fullmatch, lists)):
        raise PeerError("SSH: a list of algorithms that can't be read")
    found = tuple(tuple(names.decode("ascii").split(",")) if names else () for names in lists)
    return Proposal(found[:8], bool(guesses))


def agree(client: Proposal, server: Proposal) -> Agreed:
    """What both use: of each list the client's first that the server has, too (RFC 4253 7.1)."""
    if server.guesses:
        raise Unfit(
            "the server guesses the key exchange, so that it can't be said which of its replies counts"
        )
    pairs = zip(client.lists, server.lists, strict=True)
    method, signer, *ciphers, mac_up, mac_down, _, _ = (_find_common(*pair) for pair in pairs)
    if method not in REPLIES:
        raise Unfit(f"key exchange by {_name(method)}, which doesn't bind the host key well")
    if signer is None or signer.removesuffix(_CERTIFIED) not in (*_SIGNERS,):
        raise Unfit(f"a host key by {_name(signer)}, which is not accepted")
    for cipher, mac in zip(ciphers, (mac_up, mac_down), strict=True):
        if cipher is None or _BROKEN.fullmatch(cipher):
            raise Unfit(f"encryption by {_name(cipher)}, which protects nothing")
        if not _AUTHENTICATED.fullmatch(cipher) and (mac is None or _BROKEN.fullmatch(mac)):
            raise Unfit(f"integrity by {_name(mac)}, which protects nothing")
    return Agreed(method, signer, client.strict and server.strict)


def parse_reply(payload: bytes, agreed: Agreed) -> HostKey:
    """The host key; what signs it is the client's to check."""
    reader = Reader(payload, "SSH: the server's reply", start=1)
    key, _share, signature = (reader.vector(4) for _ in range(3))
    reader.end()
    signer = agreed.signer.removesuffix(_CERTIFIED)
    if Reader(signature, "SSH: a signature").vector(4) != signer.encode("ascii"):
        raise Unfit(f"a signature that is not of {signer}, which was agreed on")
    return _extract_key(key, _SIGNERS[signer], certified=signer != agreed.signer)


def render_identification(software: str) -> bytes:
    """A line of our own, for a client that is told no before any server has spoken."""
    return f"SSH-2.0-{software}\r\n".encode("ascii")


def render_disconnect(reason: int, text: str) -> bytes:
    """SSH_MSG_DISCONNECT in the clear (RFC 4253 6 and 11.1); of the text what is printable ASCII."""
    said = re.sub(r"[^ -~]", "?", text).encode("ascii")
    payload = b"".join((bytes((DISCONNECT,)), reason.to_bytes(4, "big"), _vector(said), _vector(b"")))
    padding = 4 + -(9 + len(payload)) % 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes((padding,)) + payload + bytes(padding)


def _name(algorithm: str | None) -> str:
    return algorithm or "no algorithm that both sides have"


def _find_common(client: tuple[str, ...], server: tuple[str, ...]) -> str | None:
    return next((name for name in client if name in server and not _MARKERS.fullmatch(name)), None)


def _extract_key(raw: bytes, kind: str, *, certified: bool) -> HostKey:
    """The plain key; of a certificate (OpenSSH's PROTOCOL.certkeys) what of it is the key, in the key's own form."""
    reader = Reader(raw, "SSH: the host key")
    wanted = kind + _CERTIFIED if certified else kind
    if reader.vector(4) != wanted.encode("ascii"):
        raise Unfit(f"a host key that is not of {wanted}, which was agreed on")
    if certified:
        reader.vector(4)  # a nonce
    fields = [reader.vector(4) for _ in range(_FIELDS[kind])]
    if not certified:
        reader.end()
    return HostKey(kind, b"".join(map(_vector, (kind.encode("ascii"), *fields))))


def _vector(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw
