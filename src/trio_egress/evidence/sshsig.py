"""Signatures of files in the form that `ssh-keygen -Y verify` checks (OpenSSH's PROTOCOL.sshsig).

Pure. What is signed begins with `SSHSIG` and a namespace, so it can never be taken for a receipt's 32-byte digest, nor
a signature made for one purpose for another.

Rule 1: one spelling: a signature whose armor is another than `ssh-keygen -Y sign` writes is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from trio_egress.evidence.openssh import KEY_TYPE, render_blob, render_string
from trio_egress.evidence.sign import PublicKey, Signer, is_signed

MANIFEST_NAMESPACE = "trio-egress-manifest"

SIGNATURE_BYTES = 4096
"""No file with one signature of an Ed25519 key is longer."""

_MAGIC = b"SSHSIG"
_VERSION = 1
_HASH = b"sha512"
_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"-----END SSH SIGNATURE-----\n"
_ARMOR_CHARS = 70
_RAW_BYTES = 64


def sign_file(key: Signer, namespace: str, raw: bytes) -> bytes:
    """The armored signature of a file's bytes."""
    return _armor(key.public_hex, namespace, key.sign(_preimage(namespace, raw)))


def is_file_signed(armored: bytes, key: PublicKey, namespace: str, raw: bytes) -> bool:
    """Whether this is the signature of a file's bytes by this key, in its one spelling."""
    signature = _find_signature(armored)
    if signature is None or armored != _armor(key, namespace, signature):
        return False
    return is_signed(bytes.fromhex(key), _preimage(namespace, raw), signature)


def _preimage(namespace: str, raw: bytes) -> bytes:
    frames = (namespace.encode("ascii"), b"", _HASH, hashlib.sha512(raw).digest())
    return _MAGIC + b"".join(map(render_string, frames))


def _armor(key: PublicKey, namespace: str, signature: bytes) -> bytes:
    frames = (
        render_blob(bytes.fromhex(key)),
        namespace.encode("ascii"),
        b"",
        _HASH,
        render_string(KEY_TYPE) + render_string(signature),
    )
    text = base64.b64encode(_MAGIC + _VERSION.to_bytes(4, "big") + b"".join(map(render_string, frames)))
    lines = [text[at : at + _ARMOR_CHARS] + b"\n" for at in range(0, len(text), _ARMOR_CHARS)]
    return b"".join([_BEGIN, *lines, _END])


def _find_signature(armored: bytes) -> bytes | None:
    """What stands last in it. Whether all the rest is right shows when it is written again."""
    if len(armored) > SIGNATURE_BYTES or not armored.startswith(_BEGIN) or not armored.endswith(_END):
        return None
    try:
        blob = base64.b64decode(armored[len(_BEGIN) : -len(_END)].replace(b"\n", b""), validate=True)
    except binascii.Error:
        return None
    return blob[-_RAW_BYTES:] if len(blob) > _RAW_BYTES else None
