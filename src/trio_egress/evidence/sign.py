"""Ed25519 keys in every form that the format knows, signatures and their check.

Reads no file and makes no randomness: seeds and key texts are arguments. PyNaCl is imported here alone.

Rule 1: a public key is a point of the curve and not one of small order, whatever form it came in.
Rule 2: a private key whose public half does not belong to it is refused.
Rule 3: no message says a byte of a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NewType, Protocol

from nacl import bindings
from nacl._sodium import ffi, lib  # type: ignore[import-not-found]

from trio_egress.errors import EvidenceError
from trio_egress.evidence import openssh
from trio_egress.values import frozen

PublicKey = NewType("PublicKey", str)
"""64 lower-case hex digits of a point that may sign."""

SIGNATURE_PREFIX = "ed25519:"
SIGNATURE_FORM = re.compile(r"ed25519:[0-9a-f]{128}")
PUBLIC_HEADER = b"pipelock-ed25519-public-v1"
PRIVATE_HEADER = b"pipelock-ed25519-private-v1"

_SIGNED = ffi.typeof("unsigned char[]")

# RFC 8410: the DER around an Ed25519 key never varies, so the forms are compared and not parsed.
_SPKI = bytes.fromhex("302a300506032b6570032100")
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
_PKCS8_V2 = bytes.fromhex("3051020101300506032b657004220420")
_PKCS8_V2_PUBLIC = bytes.fromhex("812100")
_PEM = re.compile(rb"\A-----BEGIN ([A-Z0-9 ]+)-----\s([^-]*)-----END \1-----\s*\Z", re.DOTALL)
_PRIVATE_PEMS = (b"-----BEGIN PRIVATE", b"-----BEGIN ENCRYPTED", b"-----BEGIN OPENSSH")
_HEX = re.compile(rb"\A[0-9A-Fa-f]{64}\Z")


class Signer(Protocol):
    """Whoever signs for a run: the key itself, or a program outside that holds it. A signature is 64 bytes.

    Both ways raise RecorderError where there can be none.
    """

    @property
    def public_hex(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """Of anything but a receipt: a manifest, a checkpoint, a statement. Never of a bare hash."""

    def sign_receipt(self, record: bytes, ext: bytes) -> bytes:
        """Of a receipt's canonical record; its stored `ext` is told to whoever wants to follow the chain."""


@frozen(repr=False)
class SigningKey:
    """A private key, a Signer in this process. Its text form says only its fingerprint."""

    _secret: bytes
    public_hex: PublicKey

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of a detached signature."""
        # What PyNaCl's own crypto_sign does, without the copies that it makes of what was signed.
        signed = ffi.new(_SIGNED, bindings.crypto_sign_BYTES + len(message))
        if lib.crypto_sign(signed, ffi.NULL, message, len(message), self._secret):
            raise RuntimeError("libsodium could not sign")
        return bytes(ffi.buffer(signed, bindings.crypto_sign_BYTES))

    def sign_receipt(self, record: bytes, ext: bytes) -> bytes:
        """`ext` is covered by its hash in the record."""
        return self.sign(hashlib.sha256(record).digest())

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_hex)

    def __repr__(self) -> str:
        return f"SigningKey({self.fingerprint})"


def generate(seed: bytes) -> SigningKey:
    """The key of 32 random bytes."""
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    return SigningKey(secret, PublicKey(public.hex()))


def fingerprint(key: PublicKey) -> str:
    """`sha256:` and the hash of the 32 raw bytes."""
    return "sha256:" + hashlib.sha256(bytes.fromhex(key)).hexdigest()


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the 64 bytes are a signature of `message` under the 32 bytes of a public key."""
    if len(public) != bindings.crypto_sign_PUBLICKEYBYTES or len(signature) != bindings.crypto_sign_BYTES:
        return False
    signed = signature + message
    # What PyNaCl's own crypto_sign_open does, without the copy of the message that it makes: a twentieth of the time.
    return bool(lib.crypto_sign_open(ffi.NULL, ffi.NULL, signed, len(signed), public) == 0)


def parse_public_key(raw: bytes) -> PublicKey:
    """Hex digits, the two-line form, PEM, or OpenSSH's line. Raises EvidenceError."""
    text = raw.strip()
    if not text:
        raise EvidenceError("the public key is empty")
    if text.startswith((PRIVATE_HEADER, *_PRIVATE_PEMS)):
        raise EvidenceError("this is a private key; a public key is needed here")
    if _HEX.match(text):
        return _believe_point(bytes.fromhex(text.decode()))
    if text.startswith(PUBLIC_HEADER):
        return _believe_point(_parse_two_lines(text, PUBLIC_HEADER, 32, "public key"))
    if text.startswith(b"-----BEGIN "):
        der = _parse_pem(text, b"PUBLIC KEY", "public key")
        if not der.startswith(_SPKI) or len(der) != len(_SPKI) + 32:
            raise EvidenceError("the PEM public key is not an Ed25519 key")
        return _believe_point(der[len(_SPKI) :])
    if text.startswith(b"ssh-"):
        try:
            return _believe_point(openssh.parse_line(text))
        except ValueError as error:
            raise EvidenceError(str(error)) from None
    raise EvidenceError(
        "not a public key: expected 64 hex digits, a pipelock-ed25519-public-v1 file, a PEM public key, or a line "
        "that begins with ssh-ed25519"
    )


def parse_private_key(raw: bytes) -> SigningKey:
    """The two-line form, PKCS#8 PEM, or OpenSSH's file. Raises EvidenceError."""
    text = raw.strip()
    if not text:
        raise EvidenceError("the private key is empty")
    if text.startswith(PRIVATE_HEADER):
        both = _parse_two_lines(text, PRIVATE_HEADER, 64, "private key")
        return _believe_pair(both[:32], both[32:])
    if text.startswith(b"-----BEGIN ENCRYPTED"):
        raise EvidenceError(
            "the private key is encrypted: openssl pkey -in FILE -out NEW takes the passphrase off"
        )
    if text.startswith(b"-----BEGIN OPENSSH"):
        try:
            return _believe_pair(
                *openssh.parse_private(_parse_pem(text, openssh.PRIVATE_LABEL, "private key"))
            )
        except ValueError as error:
            raise EvidenceError(f"the OpenSSH private key can't be used: {error}") from None
    if text.startswith(b"-----BEGIN "):
        der = _parse_pem(text, b"PRIVATE KEY", "private key")
        if der.startswith(_PKCS8) and len(der) == len(_PKCS8) + 32:
            return generate(der[len(_PKCS8) :])
        seed, public = der[len(_PKCS8_V2) :][:32], der[-32:]
        if der == _PKCS8_V2 + seed + _PKCS8_V2_PUBLIC + public:
            return _believe_pair(seed, public)
        raise EvidenceError("the PEM private key is not an unencrypted Ed25519 key in PKCS#8")
    raise EvidenceError(
        "not a private key: expected a pipelock-ed25519-private-v1 file, a PEM private key (PKCS#8), or OpenSSH's"
    )


def render_private_key(key: SigningKey) -> bytes:
    """The two-line form. Store it with mode 0600."""
    return PRIVATE_HEADER + b"\n" + base64.b64encode(key._secret) + b"\n"


def render_public_key(key: PublicKey) -> bytes:
    """The two-line form."""
    return PUBLIC_HEADER + b"\n" + base64.b64encode(bytes.fromhex(key)) + b"\n"


def render_spki(key: PublicKey) -> bytes:
    """The DER of SubjectPublicKeyInfo (RFC 8410), which is what PEM holds."""
    return _SPKI + bytes.fromhex(key)


def render_private_pem(key: SigningKey) -> bytes:
    """PKCS#8, as `openssl genpkey` writes it. Store it with mode 0600."""
    return _render_pem(b"PRIVATE KEY", _PKCS8 + key._secret[:32])


def render_private_openssh(key: SigningKey) -> bytes:
    """As `ssh-keygen -t ed25519` writes it. Store it with mode 0600."""
    return openssh.render_private(key._secret[:32], bytes.fromhex(key.public_hex))


def render_public_pem(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, as `openssl pkey -pubout` writes it."""
    return _render_pem(b"PUBLIC KEY", _SPKI + bytes.fromhex(key))


def _render_pem(label: bytes, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, base64.b64encode(der), label)


def _believe_point(public: bytes) -> PublicKey:
    # libsodium refuses points of small order here, under which one signature fits many messages.
    if not bindings.crypto_core_ed25519_is_valid_point(public):
        raise EvidenceError("the public key is not a point that can sign (Ed25519)")
    return PublicKey(public.hex())


def _believe_pair(seed: bytes, public: bytes) -> SigningKey:
    key = generate(seed)
    if bytes.fromhex(key.public_hex) != public:
        raise EvidenceError("the private key's public half does not belong to it")
    return key


def _parse_two_lines(text: bytes, header: bytes, size: int, noun: str) -> bytes:
    first, _, second = text.partition(b"\n")
    try:
        body = base64.b64decode(second.strip(), validate=True)
    except binascii.Error:
        body = b""
    if first.rstrip(b"\r") != header or len(body) != size:
        raise EvidenceError(f"the {noun} must be the line {header.decode()!r} and the base64 of {size} bytes")
    return body


def _parse_pem(text: bytes, label: bytes, noun: str) -> bytes:
    match = _PEM.match(text)
    if match is None or match[1] != label:
        raise EvidenceError(f"the PEM {noun} must be one block {label.decode()!r}")
    try:
        return base64.b64decode(b"".join(match[2].split()), validate=True)
    except binascii.Error:
        raise EvidenceError(f"the PEM {noun} is not valid base64") from None
