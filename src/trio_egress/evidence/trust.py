"""What a reviewer was given to trust: public keys, files with one, rosters.

Reads files through container.py alone. Whoever names a key in a roster and by itself has the roster's word on it, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from trio_egress.errors import EvidenceError
from trio_egress.evidence.container import open_plain
from trio_egress.evidence.packet import read_private_key, read_public_key
from trio_egress.evidence.receipt_form import HEX_64
from trio_egress.evidence.roster import ROSTER_BYTES, TrustedKey, is_roster, parse_roster
from trio_egress.evidence.sign import PublicKey, parse_private_key


def read_trust(given: Iterable[str]) -> dict[PublicKey, TrustedKey | None]:
    """Each of `given` is 64 hex digits, or the path of a key's file or of a roster. Raises EvidenceError."""
    trusted: dict[PublicKey, TrustedKey | None] = {}
    for text in given:
        for key in read_roster(text) if _names_roster(text) else ():
            trusted[key.public] = key
        if not _names_roster(text):
            trusted.setdefault(read_public_key(text), None)
    return trusted


def read_public_half(text: str) -> PublicKey:
    """Of 64 hex digits, of a public key's file, or of a private key's. Raises EvidenceError."""
    try:
        return read_public_key(text)
    except EvidenceError:
        if not _is_private(text):
            raise
    return read_private_key(text).public_hex


def _is_private(path: str) -> bool:
    try:
        parse_private_key(_read(path).strip())
    except EvidenceError:
        return False
    return True


def read_roster(path: str) -> tuple[TrustedKey, ...]:
    """The keys of a roster. Raises EvidenceError."""
    return parse_roster(_read(path), path)


def _names_roster(text: str) -> bool:
    if not text.strip() or HEX_64.fullmatch(text.strip().lower()):
        return False
    return text.endswith(".toml") or is_roster(_read(text))


def _read(path: str) -> bytes:
    with open_plain(path, follow=True) as file:
        try:
            return file.read(ROSTER_BYTES + 1)
        except OSError as error:
            raise EvidenceError(f"cannot read {path}: {error.strerror}") from None
