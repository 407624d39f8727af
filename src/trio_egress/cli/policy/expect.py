"""`trio-egress policy test`: what the policy's own tests expect, held against what it decides."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.cases import PlacedCase
from trio_egress.policy.moment import Moment
from trio_egress.policy.part import decode_policy, read_cases
from trio_egress.policy.testing import try_case
from trio_egress.proxy.ledger import ABLE
from trio_egress.runtime.policy_file import find_policy, read_policy


def main(options: argparse.Namespace) -> int:
    """0 all as expected; 1 not so, or it is no policy; 2 a file can't be read, or there is no test at all."""
    try:
        path = find_policy(options.file, os.environ)
        _, policy = read_policy(path)
        cases = (*policy.cases, *_read_beside(path))
        if not cases:
            raise UsageError(f"{path} has no [[test]], and there is no {_beside(path).name} beside it")
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"trio-egress policy test: {error}", file=sys.stderr)
        return 2
    moment = Moment(now_us=time.time_ns() // 1000, able=ABLE)
    outcomes = [(placed, try_case(policy, placed.case, moment)) for placed in cases]
    failed = [(placed, outcome.fault) for placed, outcome in outcomes if outcome.fault]
    if options.json:
        told = [_render(placed, outcome.fault) for placed, outcome in outcomes]
        print(
            json.dumps({"passed": len(cases) - len(failed), "failed": len(failed), "tests": told}, indent=2)
        )
    else:
        for placed, fault in failed:
            expected = "allow" if placed.case.expect else "deny"
            print(f"{placed.place}: {placed.case.attempt}: expected {expected}, but {fault}")
        print(f"{len(cases) - len(failed)} of {len(cases)} as expected")
    return 1 if failed else 0


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.tests{path.suffix}")


def _read_beside(path: Path) -> tuple[PlacedCase, ...]:
    beside = _beside(path)
    try:
        raw = beside.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"cannot read {beside}: {error.strerror}") from None
    return read_cases(decode_policy(raw, str(beside)), str(beside))


def _render(placed: PlacedCase, fault: str) -> dict[str, object]:
    return {
        "place": placed.place,
        "attempt": placed.case.attempt,
        "expect": "allow" if placed.case.expect else "deny",
        "passed": not fault,
        "fault": fault,
    }
