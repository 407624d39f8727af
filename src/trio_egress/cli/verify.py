"""`trio-egress verify`: one call of the verifier, its report on standard output, its verdict as the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from trio_egress.checkers import count_jobs, open_checkers
from trio_egress.errors import UsageError
from trio_egress.evidence.packet import POLICY_NAME, YAML_POLICY_NAME
from trio_egress.evidence.report import Report, render_json, render_text
from trio_egress.evidence.verify import verify

POLICIES = (POLICY_NAME, YAML_POLICY_NAME)


def main(options: argparse.Namespace) -> int:
    """0 valid, 1 invalid, 2 could not run, 3 not proven, 64 usage."""
    try:
        with open_checkers(options.jobs or count_jobs()) as checker:
            report = _find_verifier(options)(
                options.packet,
                options.public_key,
                policy_hash=options.policy_hash,
                expect_run=options.expect_run,
                expect_head=options.expect_head,
                checker=checker,
            )
    except UsageError as error:
        print(f"trio-egress verify: {error}", file=sys.stderr)
        return 64
    if options.json:
        print(json.dumps(render_json(report), indent=2))
    else:
        print(render_text(report).rstrip())
    return report.exit_code


def _find_verifier(options: argparse.Namespace) -> Callable[..., Report]:
    """The one that decides again as well, where there is a policy to decide by; only then is any of it loaded."""
    if options.no_decide or not any((Path(options.packet) / name).exists() for name in POLICIES):
        return verify
    from trio_egress.review import review

    return review
