"""`trio-egress recover`: a signed note beside a log that its run has abandoned."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trio_egress.errors import EvidenceError, RecorderError, SandboxError, UsageError
from trio_egress.evidence.packet import read_private_key
from trio_egress.evidence.recovery import RECOVERY_NAME, TORN_NAME, Abandoned
from trio_egress.evidence.sign import PublicKey, Signer, generate
from trio_egress.runtime.recover import NotAbandoned, recover
from trio_egress.signer.remote import open_signer

_EXITS = {NotAbandoned: 1, UsageError: 64}


def main(options: argparse.Namespace) -> int:
    """0 recovered; 1 it is not one to be recovered; 2 something could not be read, signed or written; 64 usage."""
    directory = Path(options.evidence)
    try:
        with _open_key(options) as key:
            abandoned = recover(directory, key)
    except (NotAbandoned, UsageError, EvidenceError, RecorderError, SandboxError) as error:
        print(f"trio-egress recover: {error}", file=sys.stderr)
        return _EXITS.get(type(error), 2)
    if options.json:
        print(json.dumps(_render(abandoned, key.public_hex), indent=2))
    else:
        _tell(directory, abandoned, key.public_hex)
    return 0


@contextmanager
def _open_key(options: argparse.Namespace) -> Iterator[Signer]:
    """The key in a file, a signer's, or one for this note only."""
    if options.signer is None:
        yield read_private_key(options.key) if options.key else generate(os.urandom(32))
        return
    if options.key is not None:
        raise UsageError("--key and --signer: give one of them; a signer's key is the signer's to read")
    signer = open_signer(options.signer)
    try:
        yield signer
    finally:
        signer.close()


def _render(abandoned: Abandoned, key: PublicKey) -> dict[str, object]:
    return {
        "run_id": abandoned.run_id,
        "final_seq": abandoned.final_seq if abandoned.final_seq >= 0 else None,
        "head": abandoned.head,
        "torn_bytes": len(abandoned.torn),
        "signed_by": key,
    }


def _tell(directory: Path, abandoned: Abandoned, key: PublicKey) -> None:
    where = f"after receipt {abandoned.final_seq}" if abandoned.final_seq >= 0 else "before its first receipt"
    print(f"{directory / RECOVERY_NAME}: run {abandoned.run_id or '(unknown)'} was abandoned {where}")
    print(f"  head        {abandoned.head or '(none)'}")
    if abandoned.torn:
        print(f"  set aside   {len(abandoned.torn)} bytes of a torn line, in {TORN_NAME}")
    print(f"  signed by   {key}")
    print("The end of this log is not proven, and never will be: `trio-egress verify` says so.")
