"""`trio-egress stop`: end all egress of a run that lives, for good, and say what came of it."""

from __future__ import annotations

import argparse
import json
import sys

from trio_egress.cli.living import ask_run, find_run
from trio_egress.errors import UsageError
from trio_egress.evidence.session import POLICY_TRANSPORT
from trio_egress.runtime.signals import STOPPING


def main(options: argparse.Namespace) -> int:
    """0 nothing goes out any more; 2 there is no such run, or it did not answer."""
    try:
        evidence = find_run(options.evidence)
        stopped, facts = ask_run(evidence, STOPPING, POLICY_TRANSPORT)
    except UsageError as error:
        print(f"trio-egress stop: {error}", file=sys.stderr)
        return 2
    ended = facts.get("connections_ended", 0)
    if options.json:
        print(json.dumps({"run": str(evidence), "stopped_before": not stopped, "ended": ended}, indent=2))
    elif stopped:
        print(f"{evidence}: egress is stopped, {ended} open connections were ended; the agent lives on")
    else:
        print(f"{evidence}: egress was stopped before")
    return 0
