"""`trio-egress policy diff`: two policies, compared by what they mean."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import attrs

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.diff import compare
from trio_egress.runtime.policy_file import read_policy

_MARKS = {"opens": "+", "closes": "-", "changes": "~"}


def main(options: argparse.Namespace) -> int:
    """0 both mean the same; 1 there is a difference; 2 one of them is no policy or can't be read."""
    try:
        (_, old), (_, new) = read_policy(Path(options.old)), read_policy(Path(options.new))
        changes = compare(old, new)
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
