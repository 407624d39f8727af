"""`trio-egress keys add`: one more key in a roster, which is made if need be."""

from __future__ import annotations

import argparse
import json
import sys
import time

from trio_egress.cli.keys.rosters import find_key, open_text, render_key, replace_text
from trio_egress.cli.keys.times import read_time
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.packet import read_public_key
from trio_egress.evidence.roster import TrustedKey
from trio_egress.evidence.roster_text import add_key
from trio_egress.evidence.sign import fingerprint


def main(options: argparse.Namespace) -> int:
    """0 added; 2 it could not be; 64 usage."""
    try:
        key = TrustedKey(
            options.name,
            read_public_key(options.key),
            valid_from=read_time("--valid-from", options.valid_from),
            valid_until=read_time("--valid-until", options.valid_until),
            note=options.note,
        )
        text, _ = open_text(options.roster)
        keys = replace_text(options.roster, add_key(text, key))
    except (EvidenceError, UsageError) as error:
        print(f"trio-egress keys add: {error}", file=sys.stderr)
        return 2 if isinstance(error, EvidenceError) else 64
    if options.json:
        print(json.dumps(render_key(find_key(options.roster, keys, key.name), time.time_ns()), indent=2))
    print(f"{options.roster}: {key.name} {fingerprint(key.public)}, {len(keys)} in all", file=sys.stderr)
    return 0
