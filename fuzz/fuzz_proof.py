"""Bytes are a proof that its parts make again, byte for byte, or a ValueError; to check it never raises."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.evidence.proof import (
        Consistency,
        Inclusion,
        check_consistency,
        check_inclusion,
        parse_proof,
        render_consistency,
        render_inclusion,
    )
    from trio_egress.evidence.sign import generate

KEY = generate(b"\x01" * 32).public_hex


def check(raw: bytes) -> None:
    try:
        proof = parse_proof(raw)
    except ValueError:
        return
    checkpoint = raw.partition(b"\n\n")[2]
    match proof:
        case Inclusion(index=index, path=path, extra=extra):
            made = render_inclusion(index, path, checkpoint, extra or b"")
            if extra is None:
                made = made.replace(b"extra \n", b"", 1)
            assert check_inclusion(proof, b"\x00 never a line", [KEY])
        case Consistency(old=old, path=path, signed=signed):
            made = render_consistency(old, path, checkpoint)
            check_consistency(proof, signed, [KEY])
    assert made == raw


fuzz(check, "proof")
