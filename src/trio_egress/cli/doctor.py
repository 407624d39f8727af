"""`trio-egress doctor`: what this machine allows, each line with its cure."""

from __future__ import annotations

import argparse
import json
import sys

import attrs

from trio_egress.cli.fold import find_columns, fold
from trio_egress.cli.platforms import explain_absence

REFUSED = 125


def main(options: argparse.Namespace) -> int:
    """0 everything that a run needs is there; 1 something fails. With --attack as in cli/attack.py."""
    if reason := explain_absence(sys.platform):
        print(f"fail  platform: {reason}")
        return REFUSED if options.attack else 1
    if options.attack:
        from trio_egress.cli import attack

        return attack.main(options)
    from trio_egress.cli.backend import find_backend
    from trio_egress.kernel.probe import probe_all

    probes = [*probe_all(options.user, options.proxy_user), find_backend()]
    if options.json:
        print(json.dumps([attrs.asdict(probe) for probe in probes], indent=2))
    else:
        for probe in probes:
            print(fold(f"{probe.status:<5} {probe.name}: {probe.found}", find_columns()))
            if probe.cure:
                print("\n".join(f"      {line}" for line in probe.cure.splitlines()))
    return 1 if any(probe.status == "fail" for probe in probes) else 0
