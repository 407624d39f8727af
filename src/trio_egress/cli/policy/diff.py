"""`trio-egress policy diff`: two policies, compared by what they mean."""

from __future__ import annotations

import argparse
import json
import sys

import attrs

from trio_egress.cli.source import load_source
from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.diff import compare

_MARKS = {"opens": "+", "closes": "-", "changes": "~"}


def main(options: argparse.Namespace) -> int:
    """0 both mean the same; 1 there is a difference; 2 one of them is no policy or can't be read."""
    try:
        changes = compare(load_source(options.old).policy, load_source(options.new).policy)
    except (PolicyError, UsageError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([attrs.asdict(change) for change in changes], indent=2))
    else:
        for change in changes:
            print(f"{_MARKS[change.effect]} {change.effect:<7} {change.text}")
        if not changes:
            print("no difference: both mean the same")
    return 1 if changes else 0
