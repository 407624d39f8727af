"""Bytes are a signed note that its parts make again, byte for byte, or a ValueError; a checkpoint likewise."""

from __future__ import annotations

import base64

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.evidence.checkpoint import parse_checkpoint
    from trio_egress.evidence.note import is_note_signed, parse_note
    from trio_egress.evidence.sign import generate

KEY = generate(b"\x01" * 32).public_hex


def check(raw: bytes) -> None:
    try:
        note = parse_note(raw)
    except ValueError:
        return
    lines = [
        f"\u2014 {one.name} {base64.b64encode(one.key_id + one.raw).decode()}\n" for one in note.signatures
    ]
    assert f"{note.text}\n{''.join(lines)}".encode() == raw
    for one in note.signatures:
        is_note_signed(note, one.name, KEY)  # never raises
    try:
        state = parse_checkpoint(raw).checkpoint
    except ValueError:
        return
    root = base64.b64encode(state.root).decode()
    assert "\n".join([state.origin, str(state.size), root, *state.extensions]) + "\n" == note.text


fuzz(check, "note")
