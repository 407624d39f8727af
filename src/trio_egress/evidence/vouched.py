"""The files of a packet that a pinned key vouches for: read before anything else is, so that they can be trusted to be
the run's own, of whatever size."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from trio_egress.errors import EvidenceError
from trio_egress.evidence.container import Packet, read_file
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.manifest import MANIFEST_NAME, SIGNATURE_NAME, Entry, read_manifest
from trio_egress.evidence.sign import PublicKey
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE, is_file_signed


def find_vouched(packet: Packet, pinned: Collection[PublicKey]) -> Mapping[str, Entry]:
    """By name, as the manifest lists them; none where no pinned key has signed it, or it can't be read."""
    try:
        if not pinned or MANIFEST_NAME not in packet or SIGNATURE_NAME not in packet:
            return {}
        raw, signature = (read_file(packet, name) for name in (MANIFEST_NAME, SIGNATURE_NAME))
    except EvidenceError:
        return {}
    if not any(is_file_signed(signature, key, MANIFEST_NAMESPACE, raw) for key in pinned):
        return {}
    return read_manifest(raw, Findings()) or {}
