"""Ed25519 keys in OpenSSH's forms: the public line, the private file (PROTOCOL.key), and the fingerprint.

Knows bytes alone: whether a public key is one, and belongs to a private one, is judged elsewhere. ValueError says why a
text is not of the form, and never a byte of a key.

Rule 1: a private file holds one key and is not encrypted.
Rule 2: what is written is always the same: the check number, which is random elsewhere, is made of the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

PRIVATE_LABEL = b"OPENSSH PRIVATE KEY"
KEY_TYPE = b"ssh-ed25519"

_MAGIC = b"openssh-key-v1\0"
_NONE = b"none"
_BLOCK = 8
_LINE_CHARS = 70


def render_line(public: bytes, comment: str = "") -> str:
    """The line of an authorized_keys file, or of a .pub file."""
    text = f"{KEY_TYPE.decode()} {base64.b64encode(render_blob(public)).decode()}"
    return f"{text} {comment}" if comment else text


def parse_line(text: bytes) -> bytes:
    """The 32 bytes of a public line, whatever its comment."""
    words = text.split()
    if len(words) < 2 or words[0] != KEY_TYPE:
        raise ValueError("the OpenSSH public key is not an ssh-ed25519 key")
    blob = _decode(words[1])
    if len(blob) != len(render_blob(bytes(32))) or blob != render_blob(blob[-32:]):
        raise ValueError("the OpenSSH public key is not one of 32 bytes")
    return blob[-32:]


def render_fingerprint(public: bytes) -> str:
    """As `ssh-keygen -l` tells it."""
    digest = base64.b64encode(hashlib.sha256(render_blob(public)).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def render_private(seed: bytes, public: bytes, comment: str = "") -> bytes:
    """The private file. Store it with mode 0600."""
    check = hashlib.sha256(_MAGIC + seed).digest()[:4]
    inner = check + check + b"".join(map(render_string, (KEY_TYPE, public, seed + public, comment.encode())))
    inner += bytes(range(1, 1 + -len(inner) % _BLOCK))
    outer = _MAGIC + b"".join(map(render_string, (_NONE, _NONE, b""))) + (1).to_bytes(4, "big")
    body = base64.b64encode(outer + render_string(render_blob(public)) + render_string(inner))
    lines = [body[at : at + _LINE_CHARS] for at in range(0, len(body), _LINE_CHARS)]
    return b"\n".join(
        [b"-----BEGIN %b-----" % PRIVATE_LABEL, *lines, b"-----END %b-----" % PRIVATE_LABEL, b""]
    )


def parse_private(raw: bytes) -> tuple[bytes, bytes]:
    """Seed and public key of what stands between the lines of a private file, in base64's bytes."""
    if not raw.startswith(_MAGIC):
        raise ValueError("it is not of the form openssh-key-v1")
    (cipher, derivation, options), rest = _take(raw[len(_MAGIC) :], 3)
    if (cipher, derivation, options) != (_NONE, _NONE, b""):
        raise ValueError("it is encrypted: ssh-keygen -p -N '' -f FILE takes the passphrase off")
    if rest[:4] != (1).to_bytes(4, "big"):
        raise ValueError("it holds more keys than one, or none")
    (blob, inner), rest = _take(rest[4:], 2)
    if rest or inner[:4] != inner[4:8]:
        raise ValueError("it is damaged")
    (kind, public, both, _comment), padding = _take(inner[8:], 4)
    if kind != KEY_TYPE:
        raise ValueError("it is not an ssh-ed25519 key")
    if (
        len(both) != 64
        or both[32:] != public
        or blob != render_blob(public)
        or padding != _pad(len(inner), padding)
    ):
        raise ValueError("its public half does not belong to it")
    return both[:32], public


def _pad(size: int, padding: bytes) -> bytes:
    return bytes(range(1, 1 + len(padding))) if size % _BLOCK == 0 and len(padding) < _BLOCK else b"\0"


def _take(raw: bytes, count: int) -> tuple[list[bytes], bytes]:
    """So many strings (RFC 4251 5), and what comes after them."""
    taken = []
    for _ in range(count):
        size = int.from_bytes(raw[:4], "big")
        if len(raw) < 4 + size:
            raise ValueError("it is cut short")
        taken.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    return taken, raw


def _decode(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("the OpenSSH public key is not valid base64") from None


def render_blob(public: bytes) -> bytes:
    """A public key as it stands in lines, files and signatures (RFC 8709 4)."""
    return render_string(KEY_TYPE) + render_string(public)


def render_string(raw: bytes) -> bytes:
    """A `string` of RFC 4251 5."""
    return len(raw).to_bytes(4, "big") + raw
