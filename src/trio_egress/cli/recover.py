"""`trio-egress recover`: a signed note beside a log that its run has abandoned."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from trio_egress.errors import EvidenceError
from trio_egress.evidence.packet import read_private_key
from trio_egress.evidence.recovery import RECOVERY_NAME, TORN_NAME, Abandoned
from trio_egress.evidence.sign import SigningKey, generate
from trio_egress.runtime.recover import NotAbandoned, recover


def main(options: argparse.Namespace) -> int:
    """0 recovered; 1 it is not one to be recovered; 2 something could not be read or written."""
    directory = Path(options.evidence)
    try:
        key = read_private_key(options.key) if options.key else generate(os.urandom(32))
        abandoned = recover(directory, key)
    except NotAbandoned as error:
        print(f"trio-egress recover: {error}", file=sys.stderr)
        return 1
    except EvidenceError as error:
        print(f"trio-egress recover: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(_render(abandoned, key), indent=2))
    else:
        _tell(directory, abandoned, key)
    return 0


def _render(abandoned: Abandoned, key: SigningKey) -> dict[str, object]:
    return {
        "run_id": abandoned.run_id,
        "final_seq": abandoned.final_seq if abandoned.final_seq >= 0 else None,
        "head": abandoned.head,
        "torn_bytes": len(abandoned.torn),
        "signed_by": key.public_hex,
    }


def _tell(directory: Path, abandoned: Abandoned, key: SigningKey) -> None:
    where = f"after receipt {abandoned.final_seq}" if abandoned.final_seq >= 0 else "before its first receipt"
    print(f"{directory / RECOVERY_NAME}: run {abandoned.run_id or '(unknown)'} was abandoned {where}")
    print(f"  head        {abandoned.head or '(none)'}")
    if abandoned.torn:
        print(f"  set aside   {len(abandoned.torn)} bytes of a torn line, in {TORN_NAME}")
    print(f"  signed by   {key.public_hex}")
    print("The end of this log is not proven, and never will be: `trio-egress verify` says so.")
