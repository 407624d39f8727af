"""`trio-egress keygen`: a new signing key in PATH, its public half in PATH.pub."""

from __future__ import annotations

import argparse
import json
import os
import sys

from trio_egress.errors import EvidenceError
from trio_egress.evidence.key_forms import ssh_fingerprint
from trio_egress.evidence.packet import write_key_pair


def main(options: argparse.Namespace) -> int:
    """0 made; 2 it could not be."""
    try:
        key = write_key_pair(options.path, os.urandom(32), options.format)
    except EvidenceError as error:
        print(f"trio-egress keygen: {error}", file=sys.stderr)
        return 2
    if options.json:
        told = {"private": options.path, "public": f"{options.path}.pub", "public_key": key.public_hex}
        print(json.dumps({**told, "fingerprint": key.fingerprint}, indent=2))
    print(f"{options.path}      secret: sign with it (trio-egress run --key {options.path})", file=sys.stderr)
    print(
        f"{options.path}.pub  public: give it to reviewers (trio-egress verify --public-key)", file=sys.stderr
    )
    print(f"fingerprint {key.fingerprint}, {ssh_fingerprint(key.public_hex)}", file=sys.stderr)
    return 0
