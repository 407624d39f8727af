"""Certificates as OpenSSL names their files and as Java keeps them."""

from __future__ import annotations

import datetime
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

from trio_egress.proxy.certificates import hash_name, render_java_store, split_certificates

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def attribute(oid: ObjectIdentifier, value: str, kind: _ASN1Type | None = None) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value, kind)


NAMES = {
    "usual": [[attribute(NameOID.COUNTRY_NAME, "DE")], [attribute(NameOID.COMMON_NAME, "Corp Root CA 1")]],
    "spaces and case": [[attribute(NameOID.COMMON_NAME, "  Corp   ROOT\tÄÖ  é ")]],
    "other text types": [
        [attribute(NameOID.COMMON_NAME, "Größe", _ASN1Type.BMPString)],
        [attribute(NameOID.ORGANIZATION_NAME, "Corp", _ASN1Type.PrintableString)],
        [attribute(NameOID.DOMAIN_COMPONENT, "corp")],
        [attribute(NameOID.EMAIL_ADDRESS, "A@Corp.example")],
    ],
    "several in one": [
        [attribute(NameOID.COMMON_NAME, "Zebra"), attribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Ape")],
        [attribute(ObjectIdentifier("2.999.16384.127.128"), "long arcs")],
    ],
    "long": [[attribute(NameOID.ORGANIZATION_NAME, "x" * 60)] for _ in range(9)],
    "nobody": [],
}


def make(name: x509.Name) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=9))
        .sign(key, hashes.SHA256())
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_hashed_as_openssl_does(tmp_path: Path, name: str) -> None:
    certificate = make(x509.Name([x509.RelativeDistinguishedName(parts) for parts in NAMES[name]]))
    (tmp_path / "one.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    told = subprocess.check_output(
        ["openssl", "x509", "-in", tmp_path / "one.pem", "-noout", "-subject_hash"], text=True
    )
    assert told.strip() == hash_name(certificate.subject)


def test_each_certificate_is_found_with_its_own_text() -> None:
    pems = [trustme.CA().cert_pem.bytes().decode() for _ in range(2)]
    assert [pem for pem, _ in split_certificates("".join(pems))] == pems


def test_one_that_cannot_be_read_is_told_by_its_number() -> None:
    bad = "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError, match=r"^certificate 2 can't be read: "):
        list(split_certificates(trustme.CA().cert_pem.bytes().decode() + bad))


def test_java_gets_those_that_can_be_read() -> None:
    bad = "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----\n"
    good = trustme.CA().cert_pem.bytes().decode()
    assert len(render_java_store(good + bad)) == len(render_java_store(good))


def test_a_root_whose_number_is_not_allowed_is_taken_without_a_word(tmp_path: Path) -> None:
    """Debian 12 has one; a warning is an error here, and words of a library on a user's terminal elsewhere."""
    odd = tmp_path / "odd.pem"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{tmp_path}/key"]
    command = ["openssl", "req", "-x509", *new, "-subj", "/CN=odd", "-set_serial", "0", "-out", str(odd)]
    subprocess.run(command, check=True, capture_output=True)
    sound = trustme.CA().cert_pem.bytes().decode()
    assert len(render_java_store(sound + odd.read_text())) > len(render_java_store(sound))


def test_a_certificate_of_no_version_is_passed_over_in_a_bundle_and_refused_in_a_file() -> None:
    """Found by fuzz_roots.py: it is no ValueError to the library."""
    sound = make(x509.Name([]))
    der = sound.public_bytes(serialization.Encoding.DER)
    version = b"\xa0\x03\x02\x01\x02"
    assert version in der
    odd = ssl.DER_cert_to_PEM_cert(der.replace(version, b"\xa0\x03\x02\x01\x22", 1))
    pem = sound.public_bytes(serialization.Encoding.PEM).decode()
    assert render_java_store(odd + pem)
    with pytest.raises(ValueError, match="certificate 2 can't be read: 34 is not a valid X509 version"):
        list(split_certificates(pem + odd))
