"""DSSE envelopes with one Ed25519 signature, and the Sigstore bundle (v0.3) around one. JSON in, JSON out.

Knows nothing of what is signed but its type and bytes.

Rule 1: the signature is over the pre-authentication encoding of type and bytes, never over bytes alone.
Rule 2: there is one byte form of each (sorted, compact, base64 in its usual spelling); another is refused.
Rule 3: key ids and hints are only ever hints: who verifies names the key.
"""

from __future__ import annotations

import base64
import hashlib
import json

from trio_egress.evidence.canonical import parse_document
from trio_egress.evidence.note import parse_base64
from trio_egress.evidence.sign import PublicKey, Signer, fingerprint, is_signed, render_spki
from trio_egress.values import frozen

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@frozen
class Envelope:
    """A payload and one signature, believed by nobody yet."""

    payload_type: str
    payload: bytes
    key_id: str
    signature: bytes

    def is_signed(self, key: PublicKey) -> bool:
        message = render_pae(self.payload_type, self.payload)
        return len(self.signature) == 64 and is_signed(bytes.fromhex(key), message, self.signature)


def render_pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed (DSSE v1.0.2, protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, key: Signer) -> Envelope:
    signature = key.sign(render_pae(payload_type, payload))
    return Envelope(payload_type, payload, fingerprint(key.public_hex), signature)


def render_envelope(envelope: Envelope) -> bytes:
    """The file of an envelope."""
    return _render(_describe(envelope))


def render_bundle(envelope: Envelope, key: PublicKey) -> bytes:
    """The same envelope for Sigstore's verifiers: `hint` is the key as cosign names one, the hash of its DER."""
    hint = base64.b64encode(hashlib.sha256(render_spki(key)).digest()).decode()
    return _render(
        {
            "dsseEnvelope": _describe(envelope),
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        }
    )


def parse_envelope(raw: bytes) -> Envelope:
    """Raises ValueError with a reason, and nothing else."""
    match parse_document(raw)[0]:
        case {
            "payload": str(payload),
            "payloadType": str(payload_type),
            "signatures": [{"keyid": str(key_id), "sig": str(signature)}],
        }:
            envelope = Envelope(payload_type, parse_base64(payload), key_id, parse_base64(signature))
        case _:
            raise ValueError("an object other than payload, payloadType and one signature with keyid and sig")
    if render_envelope(envelope) != raw:
        raise ValueError("other members, spaces, escapes or order than an envelope has")
    return envelope


def _describe(envelope: Envelope) -> dict[str, object]:
    return {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": envelope.key_id, "sig": base64.b64encode(envelope.signature).decode()},
        ],
    }


def _render(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
