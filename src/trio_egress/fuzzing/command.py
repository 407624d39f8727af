"""`python -m trio_egress.fuzzing --policy FILE`: looks for an attempt that breaks an invariant of the policy."""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from trio_egress.errors import PolicyError, UsageError
from trio_egress.fuzzing.check import Report, check_policy
from trio_egress.fuzzing.claims import INVARIANTS
from trio_egress.fuzzing.invariants import Invariant, never_allowed
from trio_egress.runtime.policy_file import read_policy

HELD, BROKEN, NOT_RUN, USAGE = 0, 1, 2, 64

EPILOG = """\
exit codes:
  0  every invariant held        1  one is broken; the smallest case that does it is shown
  2  the policy or an invariant could not be loaded        64  usage
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status, as EPILOG says."""
    options = _make_parser().parse_args(arguments)
    try:
        _, policy = read_policy(Path(options.policy))
        invariants = [
            *INVARIANTS,
            *map(never_allowed_by, options.never),
            *map(find_invariant, options.invariant),
        ]
    except (PolicyError, UsageError) as error:
        print(error, file=sys.stderr)
        return NOT_RUN
    report = check_policy(
        policy, invariants, examples=options.examples, seconds=options.seconds, seed=options.seed
    )
    print(json.dumps(render_report(report), indent=2) if options.json else report)
    return HELD if report.held else BROKEN


def never_allowed_by(destination: str) -> Invariant:
    try:
        return never_allowed(destination)
    except ValueError as error:
        raise UsageError(f"--never {destination}: {error}") from None


def find_invariant(where: str) -> Invariant:
    """What `module:name` names, which is to be an Invariant."""
    try:
        found = pkgutil.resolve_name(where)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--invariant {where}: {error}") from None
    if not isinstance(found, Invariant):
        raise UsageError(f"--invariant {where}: this must be `module:name` of an Invariant")
    return found


def render_report(report: Report) -> dict[str, object]:
    """The report as JSON values."""
    return {
        "held": report.held,
        "seed": report.seed,
        "seconds": round(report.seconds, 3),
        "tried": report.tried,
        "counterexamples": [
            {"claim": found.claim, "shown": found.shown, "error": found.error}
            for found in report.counterexamples
        ],
    }


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m trio_egress.fuzzing",
        description="Look for an attempt that breaks an invariant of a policy, and show the smallest.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--policy", required=True, metavar="FILE")
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="search for so long, all invariants together"
    )
    parser.add_argument("--examples", type=int, metavar="N", help="cases for each invariant (default: 300)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed tries other cases")
    parser.add_argument(
        "--never",
        action="append",
        default=[],
        metavar="DESTINATION",
        help='nothing there is ever allowed, as in --never "*.internal"; can be repeated',
    )
    parser.add_argument(
        "--invariant",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="an invariant of your own; can be repeated",
    )
    parser.add_argument("--json", action="store_true")
    return parser
