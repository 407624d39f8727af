"""The certificate authority of one run: it vouches, inside the sandbox, for the hosts whose requests the policy judges.

Its key exists in the memory of this process alone, and ends with it.

Rule 1: the authority is constrained to the hosts that the policy intercepts (RFC 5280 4.2.1.10, critical): whoever got
        hold of its key could pretend to be no other.
Rule 2: a certificate is made for one host, when it is asked for, and for no host beyond Rule 1.
"""

from __future__ import annotations

import datetime
import os
import ssl
from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trio_egress.model import Host, Name
from trio_egress.policy.destination import Below, Exact, Pattern, find_network
from trio_egress.policy.index import build_index
from trio_egress.proxy.certificates import hash_name
from trio_egress.proxy.secure_peer import HTTP_1, HTTP_2

CONTEXTS = 1024
"""Hosts whose certificates are kept; another one costs a signature."""

EARLIER = datetime.timedelta(minutes=5)
LIFE = datetime.timedelta(days=7)
"""Longer than any run that a CI service allows (GitHub: 5 days on a runner of one's own)."""

NAME = "trio-egress run"
"""… and its id, in lower case and with single spaces, which is how OpenSSL compares names."""

_EVERY_ADDRESS = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class Authority:
    """Made for the hosts of `patterns`; at least one."""

    def __init__(self, patterns: Iterable[Pattern], now: datetime.datetime, run_id: str) -> None:
        patterns = tuple(patterns)
        self._index = build_index((pattern, pattern) for pattern in patterns)
        self._begin, self._end = now - EARLIER, now + LIFE
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{NAME} {run_id}")])
        self.certificate = self._certify(constrain(patterns))
        self._contexts: OrderedDict[Host, ssl.SSLContext] = OrderedDict()

    @property
    def pem(self) -> str:
        """The authority's certificate, as programs inside are given it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def name_hash(self) -> str:
        """What OpenSSL calls the file of its certificate."""
        return hash_name(self._name)

    def covers(self, pattern: Pattern) -> bool:
        """Whether it may vouch for all that a pattern matches."""
        return bool(self._index.find_covering(pattern))

    def open_context(self, host: Host) -> ssl.SSLContext:
        """What a server for `host` is made with. Raises ValueError for a host that it does not cover, and OSError where
        no descriptor is left to load its certificate by."""
        if not self.covers(Exact(host)):
            raise ValueError(f"the authority of this run can't vouch for {host}")
        context = self._contexts.pop(host, None) or self._make_context(host)
        self._contexts[host] = context
        if len(self._contexts) > CONTEXTS:
            self._contexts.popitem(last=False)
        return context

    def _certify(self, constraints: x509.NameConstraints) -> x509.Certificate:
        own = self._key.public_key()
        usage = _usage(signs_certificates=True)
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(own)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(self._end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _make_context(self, host: Host) -> ssl.SSLContext:
        return load_server_context(self._certify_host(host))

    def rehearse(self, host: Name) -> ssl.SSLContext:
        """A certificate for a host that it may not vouch for, which nobody is shown."""
        return self._make_context(host)

    def _certify_host(self, host: Host) -> bytes:
        """A certificate and its key in PEM."""
        own = self._leaf_key.public_key()
        name: x509.GeneralName = x509.DNSName(str(host))
        if isinstance(host, (IPv4Address, IPv6Address)):
            name = x509.IPAddress(host)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))  # a common name has 64 characters, a host name up to 253
            .issuer_name(self._name)
            .public_key(own)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(self._end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return leaf.public_bytes(serialization.Encoding.PEM) + self._leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def load_server_context(raw: bytes) -> ssl.SSLContext:
    """A server's context from its certificate and key in PEM, which never touch a file system."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # which Python sets by itself
    context.num_tickets = 0
    context.set_alpn_protocols([HTTP_2, HTTP_1])
    descriptor = os.memfd_create("trio-egress-leaf", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, raw)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def constrain(patterns: Iterable[Pattern]) -> x509.NameConstraints:
    """What an authority for these may vouch for. A name permits those below it too: certificates can't say less."""
    patterns = tuple(patterns)
    networks = {network for pattern in patterns if (network := find_network(pattern)) is not None}
    names = {
        pattern.name if isinstance(pattern, Below) else str(pattern.host)
        for pattern in patterns
        if isinstance(pattern, Below) or (isinstance(pattern, Exact) and isinstance(pattern.host, str))
    }
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in sorted(names)]
    permitted += [x509.IPAddress(network) for network in sorted(networks, key=str)]
    # Where no name of a kind is permitted, no constraint of that kind stands, and every name of it would be allowed.
    excluded: list[x509.GeneralName] = [
        x509.IPAddress(every)
        for every in _EVERY_ADDRESS
        if not any(network.version == every.version for network in networks)
    ]
    if not names:
        excluded.append(x509.DNSName(""))
    return x509.NameConstraints(permitted, excluded or None)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
