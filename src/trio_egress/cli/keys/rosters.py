"""What the actions of `trio-egress keys` do with a roster: read it, change its text, replace the file, show a key."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from trio_egress.errors import EvidenceError
from trio_egress.evidence.receipt import render_timestamp
from trio_egress.evidence.roster import TrustedKey, parse_roster
from trio_egress.evidence.roster_text import NEW
from trio_egress.evidence.sign import fingerprint
from trio_egress.evidence.trust import read_roster

TIMES = ("valid_from", "valid_until", "revoked_at")


def open_text(path: str) -> tuple[str, tuple[TrustedKey, ...]]:
    """The text of a roster and its keys; of one that is to be made, the first lines. Raises EvidenceError."""
    if not os.path.lexists(path):
        return NEW, ()
    keys = read_roster(path)
    return Path(path).read_text("utf-8"), keys


def replace_text(path: str, text: str) -> tuple[TrustedKey, ...]:
    """Put the changed roster in its place, whole or not at all. Raises EvidenceError, also where it would be wrong."""
    keys = parse_roster(text.encode(), path)
    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode & 0o777 if os.path.exists(real) else 0o644
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=os.path.dirname(real), delete=False
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        os.replace(file.name, real)
    except OSError as error:
        raise EvidenceError(f"cannot write {path}: {error.strerror}") from None
    return keys


def find_key(path: str, keys: tuple[TrustedKey, ...], name: str) -> TrustedKey:
    """The key of this name, or with this public half. Raises EvidenceError."""
    for key in keys:
        if name in (key.name, key.public):
            return key
    raise EvidenceError(f"{path} has no key {name}: it has {', '.join(key.name for key in keys) or 'none'}")


def render_key(key: TrustedKey, now_ns: int) -> dict[str, object]:
    """A key as JSON: `part-key` of the schema."""
    times = {name: None if (at := getattr(key, name)) is None else render_timestamp(at) for name in TIMES}
    return {
        "name": key.name,
        "public": key.public,
        "fingerprint": fingerprint(key.public),
        "state": key.judge(now_ns),
        **times,
        "reason": key.reason or None,
        "note": key.note or None,
        "line": key.line,
    }
