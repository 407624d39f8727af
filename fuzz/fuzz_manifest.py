"""Bytes are a manifest that its parts make again, byte for byte, with plain names alone, or a finding."""

from __future__ import annotations

import json

import attrs
from driver import fuzz, instrumented

with instrumented():
    from trio_egress.evidence.findings import Findings
    from trio_egress.evidence.manifest import read_manifest
    from trio_egress.evidence.sign import generate
    from trio_egress.evidence.sshsig import is_file_signed, sign_file

KEY = generate(b"\x01" * 32)


def check(raw: bytes) -> None:
    assert is_file_signed(raw, KEY.public_hex, "n", b"") == (raw == sign_file(KEY, "n", b""))
    findings = Findings()
    listed = read_manifest(raw, findings)
    assert (listed is None) == bool(findings.count)
    if listed is None:
        return
    whole = {**json.loads(raw), "files": [attrs.asdict(entry) for entry in listed.values()]}
    assert json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() == raw
    for name in listed:
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("/\\:\0")
        assert not name.startswith(".")


fuzz(check, "manifest")
