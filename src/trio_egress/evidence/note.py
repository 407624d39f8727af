"""Signed notes (C2SP signed-note): text that ends in a newline, a blank line, and a line for each signature.

Knows Ed25519 alone (signature type 0x01); signatures of other kinds or keys are read and ignored, as the format says.

Rule 1: a text is believed only where every signature under the pinned name and key verifies, and there is one.
Rule 2: base64 has one spelling; `parse_note` takes no other, and raises ValueError with a reason and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from trio_egress.evidence.sign import PublicKey, Signer, is_signed
from trio_egress.values import frozen

NOTE_BYTES = 64 * 1024
SIGNATURES = 100
"""Of one note; the format asks for at least 16, and Go's reader stops at 100."""

_DASH = "\u2014 "
_ED25519 = b"\x01"


@frozen
class NoteSignature:
    name: str
    key_id: bytes
    raw: bytes


@frozen
class Note:
    """A note as it stands, believed by nobody yet. `text` has its last newline."""

    text: str
    signatures: tuple[NoteSignature, ...]


def render_key_id(name: str, key: PublicKey) -> bytes:
    """The four bytes by which a signature names its key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + bytes.fromhex(key)).digest()[:4]


def render_verifier_key(name: str, key: PublicKey) -> str:
    """The text form of a public key that Go's `note.NewVerifier` reads."""
    encoded = base64.b64encode(_ED25519 + bytes.fromhex(key)).decode()
    return f"{name}+{render_key_id(name, key).hex()}+{encoded}"


def sign_note(text: str, name: str, key: Signer) -> bytes:
    """The note of a text, which ends in a newline, signed under this name."""
    signature = render_key_id(name, key.public_hex) + key.sign(text.encode())
    return f"{text}\n{_DASH}{name} {base64.b64encode(signature).decode()}\n".encode()


def is_note_signed(note: Note, name: str, key: PublicKey) -> bool:
    """Whether this key vouches for the text under this name."""
    key_id, public, message = render_key_id(name, key), bytes.fromhex(key), note.text.encode()
    own = [
        signature.raw for signature in note.signatures if (signature.name, signature.key_id) == (name, key_id)
    ]
    return bool(own) and all(len(raw) == 64 and is_signed(public, message, raw) for raw in own)


def parse_note(raw: bytes) -> Note:
    """The parts of a signed note. Raises ValueError."""
    if len(raw) > NOTE_BYTES:
        raise ValueError(f"a note of more than {NOTE_BYTES} bytes")
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("a note that is not UTF-8") from None
    if any(c < " " and c != "\n" for c in whole):
        raise ValueError("a note with control characters")
    text, blank, signed = whole.rpartition("\n\n")
    if not blank or not signed.endswith("\n"):
        raise ValueError("a note without a blank line and signatures after it")
    lines = signed[:-1].split("\n")
    if len(lines) > SIGNATURES:
        raise ValueError(f"a note with more than {SIGNATURES} signatures")
    return Note(text + "\n", tuple(map(_parse_signature, lines)))


def _parse_signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not is_key_name(name):
        raise ValueError("a signature line that is not a dash, a name and base64")
    raw = parse_base64(encoded)
    if len(raw) < 5:
        raise ValueError("a signature of less than five bytes")
    return NoteSignature(name, raw[:4], raw[4:])


def is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(map(str.isspace, name))


def parse_base64(text: str, size: int | None = None) -> bytes:
    """Standard base64 in its one spelling, of `size` bytes if that is given. Raises ValueError."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("text that is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 in another spelling than the usual")
    if size is not None and len(raw) != size:
        raise ValueError(f"base64 of {len(raw)} bytes where {size} are expected")
    return raw
