"""`trio-egress keys ls` and `check`: the keys of a roster, and what each is worth at a time."""

from __future__ import annotations

import argparse
import json
import sys
import time

from trio_egress.cli.keys.rosters import render_key
from trio_egress.cli.keys.times import read_time
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.receipt import render_timestamp
from trio_egress.evidence.roster import TrustedKey
from trio_egress.evidence.sign import fingerprint
from trio_egress.evidence.trust import read_roster


def main(options: argparse.Namespace) -> int:
    """0; with `check` 1 where a key is not valid; 2 the roster can't be read or is wrong; 64 usage."""
    try:
        given = read_time("--at", options.at)
        now_ns = time.time_ns() if given is None else given
        keys = read_roster(options.roster)
    except (EvidenceError, UsageError) as error:
        print(f"trio-egress keys {options.action}: {error}", file=sys.stderr)
        return 2 if isinstance(error, EvidenceError) else 64
    if options.json:
        print(json.dumps([render_key(key, now_ns) for key in keys], indent=2))
    else:
        for key in keys:
            print(f"{key.judge(now_ns):<14}{key.name}  {fingerprint(key.public)}{_tell(key)}")
    return 1 if options.action == "check" and any(key.judge(now_ns) != "valid" for key in keys) else 0


def _tell(key: TrustedKey) -> str:
    told = [
        f"{word} {render_timestamp(at)}"
        for word, at in (("from", key.valid_from), ("until", key.valid_until), (key.reason, key.revoked_at))
        if at is not None
    ]
    return f"  {', '.join(told)}" if told else ""
