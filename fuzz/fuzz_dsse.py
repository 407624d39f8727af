"""Bytes are an envelope that its parts make again, byte for byte, or a ValueError; to check it never raises."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.evidence.dsse import parse_envelope, render_envelope, sign_envelope
    from trio_egress.evidence.findings import CODES, Findings
    from trio_egress.evidence.replay import Replay
    from trio_egress.evidence.sign import generate
    from trio_egress.evidence.statement import PAYLOAD_TYPE, check_bundle, check_statement

KEY = generate(b"\x01" * 32)


def check(raw: bytes) -> None:
    """Once as an envelope, and once as what stands in one that is signed: only then is it looked at."""
    try:
        envelope = parse_envelope(raw)
    except ValueError:
        pass
    else:
        assert render_envelope(envelope) == raw
        judge(raw)
    judge(render_envelope(sign_envelope(PAYLOAD_TYPE, raw, KEY)))


def judge(raw: bytes) -> None:
    findings = Findings()
    check_statement(raw, Replay(Findings(), "evidence.jsonl"), KEY.public_hex, lambda name: None, findings)
    assert findings.count  # an empty log and no file: nothing can be true of them
    check_bundle(raw, raw, KEY.public_hex, findings)
    assert all(finding.code in CODES and finding.message.isascii() for finding in findings.kept)


fuzz(check, "dsse")
