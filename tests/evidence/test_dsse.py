"""Envelopes and bundles, which securesystemslib, openssl and Sigstore's own verifier read too."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]
from tests.evidence.npm_sigstore import REFUSED, ask
from tests.evidence.specimens import KEY, STRANGER

from trio_egress.evidence.dsse import (
    Envelope,
    parse_envelope,
    render_bundle,
    render_envelope,
    render_pae,
    sign_envelope,
)
from trio_egress.evidence.sign import SigningKey, fingerprint, render_spki

TYPE = "application/vnd.in-toto+json"
PAYLOAD = '{"text":"plain, ü and \u2028"}'.encode()
ENVELOPE = sign_envelope(TYPE, PAYLOAD, KEY)
RAW = render_envelope(ENVELOPE)
BUNDLE = render_bundle(ENVELOPE, KEY.public_hex)


def pem(key: SigningKey) -> bytes:
    body = base64.b64encode(render_spki(key.public_hex)).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode()


def flip(raw: bytes, at: int) -> bytes:
    return bytes([*raw[:at], raw[at] ^ 1, *raw[at + 1 :]])


def bend(**changes: object) -> bytes:
    """The envelope with other members."""
    return json.dumps({**json.loads(RAW), **changes}, sort_keys=True, separators=(",", ":")).encode()


FORGED = {
    "payload": bend(payload=base64.b64encode(PAYLOAD + b" ").decode()),
    "type": bend(payloadType="text/plain"),
    "signature": render_envelope(Envelope(TYPE, PAYLOAD, ENVELOPE.key_id, flip(ENVELOPE.signature, 5))),
    "stranger": render_envelope(
        Envelope(TYPE, PAYLOAD, ENVELOPE.key_id, sign_envelope(TYPE, PAYLOAD, STRANGER).signature)
    ),
    "bare payload": render_envelope(Envelope(TYPE, PAYLOAD, ENVELOPE.key_id, KEY.sign(PAYLOAD))),
    "short": render_envelope(Envelope(TYPE, PAYLOAD, ENVELOPE.key_id, ENVELOPE.signature[:-1])),
}


def test_the_encoding_is_the_one_of_the_specification() -> None:
    assert render_pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert render_pae("", b"") == b"DSSEv1 0  0 "
    assert render_pae("ü", "ü".encode()) == "DSSEv1 2 ü 2 ü".encode()


def test_an_envelope_is_read_again_and_believed_with_its_key_alone() -> None:
    assert parse_envelope(RAW) == ENVELOPE
    assert ENVELOPE.key_id == fingerprint(KEY.public_hex)
    assert ENVELOPE.is_signed(KEY.public_hex)
    assert not ENVELOPE.is_signed(STRANGER.public_hex)


@pytest.mark.parametrize("raw", FORGED.values(), ids=FORGED)
def test_what_was_forged_is_not_believed(raw: bytes) -> None:
    assert not parse_envelope(raw).is_signed(KEY.public_hex)


def test_no_bit_of_an_envelope_can_be_flipped() -> None:
    for at in range(len(RAW)):
        try:
            bent = parse_envelope(flip(RAW, at))
        except ValueError:
            continue
        # A key id is a hint, which nobody signs and nobody believes.
        assert not bent.is_signed(KEY.public_hex) or bent.key_id != ENVELOPE.key_id


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "Expecting value"),
        (b"[]", "other than payload"),
        (bend(signatures=[]), "other than payload"),
        (bend(signatures=json.loads(RAW)["signatures"] * 2), "other than payload"),
        (bend(payload=7), "other than payload"),
        (bend(payload="===="), "not base64"),
        (bend(more=1), "other members"),
        (RAW + b"\n", "other members, spaces"),
        (RAW.replace(b'{"keyid"', b'{"keyid":"","keyid"'), "other members"),
        (b"[" * 5000, "nested deeper|Expecting value"),
    ],
)
def test_what_is_no_envelope_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_envelope(raw)


def their_key(key: SigningKey, key_id: str) -> SSlibKey:
    return SSlibKey(key_id, "ed25519", "ed25519", {"public": key.public_hex})


def test_securesystemslib_believes_it_too() -> None:
    theirs = TheirEnvelope.from_dict(json.loads(RAW))
    assert theirs.pae() == render_pae(TYPE, PAYLOAD)
    assert theirs.payload == PAYLOAD
    key_id = fingerprint(KEY.public_hex)
    assert list(theirs.verify([their_key(KEY, key_id)], 1)) == [key_id]
    with pytest.raises(VerificationError):
        theirs.verify([their_key(STRANGER, key_id)], 1)


@pytest.mark.parametrize("raw", FORGED.values(), ids=FORGED)
def test_securesystemslib_refuses_what_was_forged_too(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        TheirEnvelope.from_dict(json.loads(raw)).verify([their_key(KEY, ENVELOPE.key_id)], 1)


def ask_openssl(directory: Path, message: bytes, signature: bytes) -> bool:
    """`openssl pkeyutl` over the bytes that are signed."""
    for name, raw in (("key.pem", pem(KEY)), ("message", message), ("signature", signature)):
        (directory / name).write_bytes(raw)
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in message -sigfile signature"
    ran = subprocess.run(command.split(), cwd=directory, capture_output=True, text=True, check=False)
    assert ("Verified Successfully" in ran.stdout) is (ran.returncode == 0)
    return ran.returncode == 0


def test_openssl_believes_the_signature_over_the_encoding_alone(tmp_path: Path) -> None:
    message = render_pae(TYPE, PAYLOAD)
    assert ask_openssl(tmp_path, message, ENVELOPE.signature)
    assert not ask_openssl(tmp_path, flip(message, 40), ENVELOPE.signature)
    assert not ask_openssl(tmp_path, message, flip(ENVELOPE.signature, 7))
    assert not ask_openssl(tmp_path, PAYLOAD, ENVELOPE.signature)


def test_the_verifier_of_npm_believes_the_bundle_with_the_right_key_alone(sigstore_js: Path) -> None:
    forged = [render_bundle(parse_envelope(raw), KEY.public_hex) for raw in FORGED.values()]
    other_hint = BUNDLE.replace(b'"hint":"', b'"hint":"A')
    said = ask(
        sigstore_js,
        [
            (BUNDLE, pem(KEY)),
            (BUNDLE, pem(STRANGER)),
            *((raw, pem(KEY)) for raw in (*forged, other_hint)),
        ],
    )
    assert base64.b64decode(said[0]) == PAYLOAD
    assert all(answer.startswith(REFUSED) for answer in said[1:]), said
