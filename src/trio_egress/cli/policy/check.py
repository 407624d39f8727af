"""`trio-egress policy check`: every problem at once, then what the policy is."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from trio_egress.errors import PolicyError, Problem, UsageError
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.rule import Policy
from trio_egress.policy.shortfalls import find_shortfalls
from trio_egress.proxy.ledger import ABLE
from trio_egress.runtime.detectors import has_scans, load_detectors
from trio_egress.runtime.policy_file import find_policy, read_policy


def main(options: argparse.Namespace) -> int:
    """0 no error; 1 an error, or with --strict a warning; 2 a file could not be read."""
    worst, answers = 0, []
    for given in options.files or [None]:
        policy: Policy | None = None
        problems: tuple[Problem, ...] = ()
        try:
            path = find_policy(given, os.environ)
            _, policy = read_policy(path)
            if has_scans(policy) or policy.sought.detector_files:
                load_detectors(policy)
        except PolicyError as error:
            policy, problems = None, error.problems
        except UsageError as error:
            print(f"trio-egress policy check: {error}", file=sys.stderr)
            worst = 2
            continue
        warnings = () if policy is None else policy.find_warnings(time.time_ns() // 1000)
        worst = max(worst, 1 if problems or (options.strict and warnings) else 0)
        answers.append(_render_json(str(path), policy, problems, warnings))
        if not options.json:
            for problem in (*problems, *warnings):
                print(problem, file=sys.stderr)
            if policy is not None:
                for shortfall in find_shortfalls(policy, ABLE):
                    print(f"{path}: note: {shortfall.rule} {shortfall.message}", file=sys.stderr)
                print(_describe(str(path), policy, len(warnings)))
    if options.json:
        print(json.dumps(answers, indent=2))
    return worst


def _describe(file: str, policy: Policy, warned: int) -> str:
    count = len(policy.rules)
    told = f"{count} rule{'' if count == 1 else 's'}"
    if warned:
        told += f", {warned} warning{'' if warned == 1 else 's'}"
    return f"{file}: ok, {told}, {policy_hash(policy)}"


def _render_json(
    file: str, policy: Policy | None, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]
) -> dict[str, object]:
    return {
        "file": file,
        "ok": policy is not None,
        "rules": None if policy is None else len(policy.rules),
        "policy_hash": None if policy is None else policy_hash(policy),
        "errors": [_render_problem(problem) for problem in problems],
        "warnings": [_render_problem(warning) for warning in warnings],
        "shortfalls": [
            {"rule": shortfall.rule.index, "message": shortfall.message}
            for shortfall in (find_shortfalls(policy, ABLE) if policy is not None else ())
        ],
    }


def _render_problem(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }
