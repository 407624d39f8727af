"""`trio-egress keys revoke`: say in a roster that a key is not to be believed, from when on, and why."""

from __future__ import annotations

import argparse
import json
import sys
import time

from trio_egress.cli.keys.rosters import find_key, open_text, render_key, replace_text
from trio_egress.cli.keys.times import read_time
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.receipt import render_timestamp
from trio_egress.evidence.roster import COMPROMISED
from trio_egress.evidence.roster_text import revoke_key


def main(options: argparse.Namespace) -> int:
    """0 revoked; 2 it could not be; 64 usage."""
    try:
        given = read_time("--at", options.at)
        at = time.time_ns() // 1_000_000_000 * 1_000_000_000 if given is None else given
        text, keys = open_text(options.roster)
        key = find_key(options.roster, keys, options.key)
        keys = replace_text(options.roster, revoke_key(text, key, at, options.reason, options.note))
    except (EvidenceError, UsageError) as error:
        print(f"trio-egress keys revoke: {error}", file=sys.stderr)
        return 2 if isinstance(error, EvidenceError) else 64
    if options.json:
        print(json.dumps(render_key(find_key(options.roster, keys, key.name), time.time_ns()), indent=2))
    from_when = "nothing" if options.reason == COMPROMISED else f"nothing from {render_timestamp(at)} on"
    print(
        f"{options.roster}: {key.name} is {options.reason}; {from_when} that it signed is believed",
        file=sys.stderr,
    )
    return 0
