"""Keys in all their forms, and signatures."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from nacl.exceptions import CryptoError
from nacl.exceptions import ValueError as NaclValueError
from nacl.signing import VerifyKey
from tests.evidence.specimens import KEY, STRANGER

from trio_egress.errors import EvidenceError
from trio_egress.evidence.sign import (
    fingerprint,
    generate,
    is_signed,
    parse_private_key,
    parse_public_key,
    render_private_key,
    render_public_key,
)

SEED = b"\x01" * 32
PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
PRIVATE_PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
PUBLIC_PEM = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
PUBLIC = bytes.fromhex(KEY.public_hex)


def _pem(label: str, der: bytes) -> bytes:
    body = base64.b64encode(der).decode()
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()


def _two_lines(header: str, body: bytes) -> bytes:
    return header.encode() + b"\n" + base64.b64encode(body) + b"\n"


PKCS8_V2 = bytes.fromhex("3051020101300506032b657004220420") + SEED + bytes.fromhex("812100") + PUBLIC


def test_rfc_8032_signs_as_its_first_test_vector_says() -> None:
    key = generate(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public_hex == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e0652249")


def test_a_signature_fits_one_message_and_one_key() -> None:
    signature = KEY.sign(b"message")
    assert is_signed(PUBLIC, b"message", signature)
    assert not is_signed(PUBLIC, b"another", signature)
    assert not is_signed(bytes.fromhex(STRANGER.public_hex), b"message", signature)
    assert not is_signed(PUBLIC, b"message", bytes(64))


ORDER = 2**252 + 27742317777372353535851937790883648493
SIGNED = KEY.sign(b"message")
CLAIMS = {
    "true": (PUBLIC, b"message", SIGNED),
    "of nothing": (PUBLIC, b"", KEY.sign(b"")),
    "another spelling": (
        PUBLIC,
        b"message",
        SIGNED[:32] + (int.from_bytes(SIGNED[32:], "little") + ORDER).to_bytes(32, "little"),
    ),
    "by a key of small order": (
        (1).to_bytes(32, "little"),
        b"message",
        (1).to_bytes(32, "little") + bytes(32),
    ),
    "by what is no point": (b"\xff" * 32, b"message", SIGNED),
    "by half a key": (PUBLIC[:16], b"message", SIGNED),
    "half a signature": (PUBLIC, b"message", SIGNED[:32]),
    "a signature and a half": (PUBLIC, b"message", SIGNED + SIGNED[:32]),
    "message shifted into the signature": (PUBLIC, b"essage", SIGNED + b"m"),
    "no signature": (PUBLIC, b"message", b""),
}


@pytest.mark.parametrize(("public", "message", "signature"), CLAIMS.values(), ids=CLAIMS)
def test_what_is_signed_is_what_pynacl_says(public: bytes, message: bytes, signature: bytes) -> None:
    try:
        expected = VerifyKey(public).verify(message, signature) == message
    except (CryptoError, NaclValueError):
        expected = False
    assert is_signed(public, message, signature) is expected


@pytest.mark.parametrize(
    "raw",
    [
        KEY.public_hex.encode(),
        KEY.public_hex.upper().encode() + b"\r\n",
        render_public_key(KEY.public_hex),
        b"pipelock-ed25519-public-v1\r\n" + base64.b64encode(PUBLIC) + b"\r\n",
        PUBLIC_PEM,
        PUBLIC_PEM.replace(b"\n", b"\r\n"),
    ],
)
def test_a_public_key_is_read_in_every_form(raw: bytes) -> None:
    assert parse_public_key(raw) == KEY.public_hex


@pytest.mark.parametrize("raw", [render_private_key(KEY), PRIVATE_PEM, _pem("PRIVATE KEY", PKCS8_V2)])
def test_a_private_key_is_read_in_every_form(raw: bytes) -> None:
    assert parse_private_key(raw).sign(b"x") == KEY.sign(b"x")


def test_what_is_rendered_has_the_two_line_form() -> None:
    assert render_private_key(KEY) == _two_lines("pipelock-ed25519-private-v1", SEED + PUBLIC)
    assert render_public_key(KEY.public_hex) == _two_lines("pipelock-ed25519-public-v1", PUBLIC)


def test_a_fingerprint_is_the_hash_of_the_raw_key() -> None:
    assert KEY.fingerprint == fingerprint(KEY.public_hex)
    assert KEY.fingerprint == "sha256:34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e"


def test_a_private_key_does_not_show_itself() -> None:
    assert repr(KEY) == f"SigningKey({KEY.fingerprint})"


_RSA_LIKE = ec.generate_private_key(ec.SECP256R1())
_EC_PUBLIC = _RSA_LIKE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
_EC_PRIVATE = _RSA_LIKE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
_LOCKED = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"p")
)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"zz" * 32, "not a public key"),
        (KEY.public_hex[:-1].encode(), "not a public key"),
        (b"00" * 32, "not a point"),
        (b"01" + b"00" * 31, "not a point"),
        (_two_lines("pipelock-ed25519-public-v1", PUBLIC[:-1]), "base64 of 32 bytes"),
        (_two_lines("pipelock-ed25519-public-v2", PUBLIC), "not a public key"),
        (b"pipelock-ed25519-public-v1x\n" + base64.b64encode(PUBLIC), "must be the line"),
        (b"pipelock-ed25519-public-v1\n!!!", "must be the line"),
        (b"pipelock-ed25519-public-v1", "must be the line"),
        (_EC_PUBLIC, "not an Ed25519 key"),
        (_pem("PUBLIC KEY", PUBLIC), "not an Ed25519 key"),
        (PUBLIC_PEM + PUBLIC_PEM, "must be one block"),
        (PUBLIC_PEM.replace(b"MC", b"!!"), "not valid base64"),
        (_pem("CERTIFICATE", PUBLIC), "must be one block"),
        (PRIVATE_PEM, "this is a private key"),
        (render_private_key(KEY), "this is a private key"),
    ],
)
def test_a_public_key_that_cannot_be_used_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason):
        parse_public_key(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is empty"),
        (b"01" * 32, "not a private key"),
        (render_public_key(KEY.public_hex), "not a private key"),
        (_two_lines("pipelock-ed25519-private-v1", SEED), "base64 of 64 bytes"),
        (_two_lines("pipelock-ed25519-private-v1", SEED + bytes(32)), "does not belong to it"),
        (_pem("PRIVATE KEY", PKCS8_V2[:-1] + b"\x00"), "does not belong to it"),
        (_EC_PRIVATE, "not an unencrypted Ed25519 key"),
        (_LOCKED, "is encrypted: openssl pkey"),
        (PUBLIC_PEM, "must be one block"),
    ],
)
def test_a_private_key_that_cannot_be_used_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason) as caught:
        parse_private_key(raw)
    assert base64.b64encode(SEED)[:12].decode() not in str(caught.value)
