"""`trio-egress keys rotate`: have a run that lives sign with the key that it was given by --rotate-key-to."""

from __future__ import annotations

import argparse
import json
import sys

from trio_egress.cli.living import ask_run, find_run
from trio_egress.errors import UsageError
from trio_egress.evidence.rotation import ROTATION_FACT
from trio_egress.evidence.session import KEY_TRANSPORT
from trio_egress.runtime.signals import ROTATING


def main(options: argparse.Namespace) -> int:
    """0 changed; 1 the run has no other key; 2 there is no such run, or it did not answer."""
    try:
        evidence = find_run(options.evidence)
        changed, facts = ask_run(evidence, ROTATING, KEY_TRANSPORT)
    except UsageError as error:
        print(f"trio-egress keys rotate: {error}", file=sys.stderr)
        return 2
    endorsement = facts.get(ROTATION_FACT)
    if options.json:
        print(
            json.dumps({"changed": changed, "reason": facts.get("reason"), "rotation": endorsement}, indent=2)
        )
    elif changed and isinstance(endorsement, dict):
        print(f"{evidence}: {endorsement['prior_signer_key']} -> {endorsement['new_signer_key']}")
    else:
        print(facts.get("reason"), file=sys.stderr)
    return 0 if changed else 1
