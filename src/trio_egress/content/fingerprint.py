"""What a finding is known by in every run and on every machine: for suppressions and baselines, never for receipts.

A receipt has a commitment under the run's own key instead: from this digest a short value could be guessed.
"""

from __future__ import annotations

import hashlib

_LABEL = b"trio-egress finding v1"


def fingerprint(detector: str, value: bytes) -> str:
    """`sha256:` and the hex digest of a label, the detector's name and the value."""
    digest = hashlib.sha256(b"\0".join((_LABEL, detector.encode(), value)))
    return f"sha256:{digest.hexdigest()}"
