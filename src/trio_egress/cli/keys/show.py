"""`trio-egress keys show` and `fingerprint`: a public key in another form, and by its fingerprints."""

from __future__ import annotations

import argparse
import json
import sys

from trio_egress.errors import EvidenceError
from trio_egress.evidence.key_forms import PUBLIC_FORMS, ssh_fingerprint
from trio_egress.evidence.sign import PublicKey, fingerprint
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE
from trio_egress.evidence.trust import read_public_half

ALLOWED_SIGNERS = "allowed-signers"
WHO = "run"
"""As docs/receipts.md says it to ssh-keygen."""


def main(options: argparse.Namespace) -> int:
    """0 shown; 2 it is no key."""
    try:
        key = read_public_half(options.key)
    except EvidenceError as error:
        print(f"trio-egress keys {options.action}: {error}", file=sys.stderr)
        return 2
    if options.action == "show":
        sys.stdout.write(_render(key, options.format))
    elif options.json:
        told = {"public": key, "fingerprint": fingerprint(key), "ssh_fingerprint": ssh_fingerprint(key)}
        print(json.dumps(told, indent=2))
    else:
        print(fingerprint(key))
        print(ssh_fingerprint(key))
    return 0


def _render(key: PublicKey, form: str) -> str:
    if form == ALLOWED_SIGNERS:
        return f'{WHO} namespaces="{MANIFEST_NAMESPACE}" {PUBLIC_FORMS["ssh"](key)}'
    return PUBLIC_FORMS[form](key)
