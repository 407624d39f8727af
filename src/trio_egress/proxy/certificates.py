"""Certificates as programs look for them: by the hash of their name, and in a store of Java's.

With authority.py the only place that imports `cryptography`; loaded only where a run adds something to what is trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

from trio_egress.kernel.trust import CERTIFICATE

_OID, _UTF8, _SEQUENCE, _SET = 0x06, 0x0C, 0x30, 0x31
_UNREADABLE = (ValueError, x509.InvalidVersion)
_SPACES = " \t\n\v\f\r"


def split_certificates(pem: str) -> Iterator[tuple[str, x509.Certificate]]:
    """Each certificate with its own PEM. Raises ValueError at one that can't be read."""
    for number, one in enumerate(CERTIFICATE.findall(pem), 1):
        try:
            yield f"{one}\n", x509.load_pem_x509_certificate(one.encode("ascii"))
        except _UNREADABLE as error:
            raise ValueError(f"certificate {number} can't be read: {error}") from None


def render_java_store(pem: str) -> bytes:
    """A trust store for Java (PKCS #12, no password) of the certificates in PEM that can be read."""
    entries = [PKCS12Certificate(one, str(number).encode()) for number, one in enumerate(_read_sound(pem))]
    return serialize_java_truststore(entries, serialization.NoEncryption())


def hash_name(name: x509.Name) -> str:
    """What OpenSSL calls a certificate's file: `openssl x509 -subject_hash`, over the name's canonical form."""
    canonical = b"".join(
        _render(_SET, b"".join(sorted(_render_attribute(attribute) for attribute in rdn)))
        for rdn in name.rdns
    )
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return digest[3::-1].hex()


def _read_sound(pem: str) -> list[x509.Certificate]:
    """A bundle may have one that is not as it should be; programs pass over it, and so do we, without a word."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in CERTIFICATE.findall(pem):
            with contextlib.suppress(*_UNREADABLE):
                found.append(x509.load_pem_x509_certificate(one.encode("ascii")))
    return found


def _render_attribute(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    """In UTF-8, in lower case as far as it is ASCII, with single spaces (OpenSSL's asn1_string_canon)."""
    raw = attribute.value if isinstance(attribute.value, bytes) else attribute.value.encode()
    words = raw.decode("utf-8", "surrogateescape").translate(_SPACE_ALIKE).split(" ")
    value = " ".join(word for word in words if word).encode("utf-8", "surrogateescape").lower()
    oid = _render(_OID, _render_oid(attribute.oid.dotted_string))
    return _render(_SEQUENCE, oid + _render(_UTF8, value))


_SPACE_ALIKE = dict.fromkeys(map(ord, _SPACES), " ")


def _render_oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return b"".join(_render_arc(arc) for arc in (40 * first + second, *rest))


def _render_arc(arc: int) -> bytes:
    """Base 128, the highest bit on all bytes but the last."""
    raw = [arc & 0x7F]
    while arc := arc >> 7:
        raw.append(0x80 | arc & 0x7F)
    return bytes(reversed(raw))


def _render(tag: int, content: bytes) -> bytes:
    """DER."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
