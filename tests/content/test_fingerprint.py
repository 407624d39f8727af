"""A fingerprint is the same everywhere, and is of one value that one detector found."""

from __future__ import annotations

import hashlib

from trio_egress.content.fingerprint import fingerprint


def test_it_is_what_any_program_can_calculate() -> None:
    told = hashlib.sha256(b"trio-egress finding v1\0jwt\0a value").hexdigest()
    assert fingerprint("jwt", b"a value") == f"sha256:{told}"


def test_another_value_or_detector_has_another_one() -> None:
    pairs = [("jwt", b"a"), ("jwt", b"b"), ("jw", b"t\0a"), ("jwt2", b"a"), ("jwt", b"")]
    assert len({fingerprint(*pair) for pair in pairs}) == len(pairs)
