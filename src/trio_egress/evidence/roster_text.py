"""Changes of a roster's text that leave everything else in it as it stands, comments too.

Pure: a text in, a text out. What comes out is read again before it is believed (`parse_roster`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from trio_egress.errors import EvidenceError
from trio_egress.evidence.receipt import render_timestamp
from trio_egress.evidence.roster import HEAD, TrustedKey

NEW = """\
# Public keys that are trusted: `trio-egress verify PACKET --public-key THIS_FILE`.
# Whoever can write here decides whose evidence is believed.
version = 1
"""


def add_key(text: str, key: TrustedKey) -> str:
    """One more key at the end."""
    rows: list[tuple[str, object]] = [("name", key.name), ("public", key.public)]
    rows += [(name, _time(getattr(key, name))) for name in ("valid_from", "valid_until")]
    rows.append(("note", key.note))
    lines = ["", "[[key]]", *_render(rows)]
    return f"{text.rstrip()}\n" + "\n".join(lines) + "\n"


def revoke_key(text: str, key: TrustedKey, revoked_at: int, reason: str, note: str = "") -> str:
    """The same with the revocation at the end of that key's table."""
    if key.reason:
        raise EvidenceError(f"{key.name} is revoked already: {key.reason}")
    lines = text.split("\n")
    at = next((n for n in range(key.line, len(lines)) if HEAD.fullmatch(lines[n])), len(lines))
    while at > key.line and not lines[at - 1].strip():
        at -= 1
    rows: list[tuple[str, object]] = [("revoked_at", _time(revoked_at)), ("reason", reason)]
    rows.append(("note", "" if key.note else note))
    return "\n".join([*lines[:at], *_render(rows), *lines[at:]]).rstrip() + "\n"


class _Bare(str):
    """A value that stands without quotes."""


def _time(now_ns: int | None) -> _Bare:
    return _Bare("" if now_ns is None else render_timestamp(now_ns))


def _render(rows: Iterable[tuple[str, object]]) -> list[str]:
    # ASCII JSON text is TOML text.
    return [
        f"{name} = {value if isinstance(value, _Bare) else json.dumps(value)}"
        for name, value in rows
        if value
    ]
