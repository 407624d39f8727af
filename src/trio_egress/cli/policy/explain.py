"""`trio-egress policy explain`: one attempt, its decision, and why it is that."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator

from trio_egress.errors import PolicyError, UsageError
from trio_egress.model import Decision, Need, Protocol
from trio_egress.policy.approval import describe_ask
from trio_egress.policy.explain import Explanation, Step, explain, suggest
from trio_egress.policy.moment import Moment
from trio_egress.policy.scan import describe_scan
from trio_egress.policy.spelling import parse_spelling
from trio_egress.policy.writing import RuleText, render_rule
from trio_egress.proxy.ledger import ABLE
from trio_egress.runtime.policy_file import find_policy, read_policy


def main(options: argparse.Namespace) -> int:
    """0 allowed; 1 denied; 2 the policy can't be read or is none; 64 it is no attempt."""
    try:
        spelt = parse_spelling(" ".join(options.attempt))
    except ValueError as error:
        print(f"trio-egress policy explain: {error}", file=sys.stderr)
        return 64
    try:
        _, policy = read_policy(find_policy(options.file, os.environ))
    except (PolicyError, UsageError) as error:
        print(error, file=sys.stderr)
        return 2
    moment = Moment(now_us=time.time_ns() // 1000, able=ABLE)
    explanation = explain(policy, spelt, moment)
    rule = suggest(policy, spelt, moment) if options.suggest and not explanation.allowed else None
    if options.json:
        print(json.dumps(_render_json(explanation, rule), indent=2))
    else:
        print("\n".join(_tell(explanation)))
        if options.suggest and not explanation.allowed:
            inside = explanation.steps[-1].attempt is not spelt.attempt
            print("\n".join(_tell_suggestion(rule, inside=inside)))
    return 0 if explanation.allowed else 1


def _tell(explanation: Explanation) -> Iterator[str]:
    for step in explanation.steps:
        decision = step.decision
        yield f"{'allowed' if decision.allowed else 'denied'}: {_describe(step)}"
        yield f"  {decision.reason}"
        if decision.needs:
            yield f"  needs: {', '.join(sorted(need.value for need in decision.needs))}"
        if keys := _list_host_keys(decision):
            yield f"  if the server shows one of: {', '.join(keys)}"
        if decision.scan is not None:
            yield f"  scanned: {describe_scan(decision.scan)}"
        if decision.ask is not None:
            yield f"  asks: {describe_ask(decision.ask)}"
        if step.secrets:
            how = (
                "shown to the server"
                if Need.GIT_SSH in step.decision.needs
                else "in place of the placeholder"
            )
            yield f"  secrets: {', '.join(step.secrets)} ({how})"
        for miss in step.misses:
            yield f"  also: {miss}"
    if explanation.near is not None:
        yield f"  did you mean {explanation.near}?"
    if not explanation.allowed:
        yield f"  layer: {explanation.steps[-1].decision.layer.value}"


def _describe(step: Step) -> str:
    attempt = step.attempt
    if attempt.protocol is Protocol.DNS:
        return f"the name {attempt.host}"
    where = f"{attempt.host}, port {attempt.port}"
    if attempt.protocol is Protocol.HTTP:
        inside = " inside TLS" if attempt.secure else ""
        return f"{attempt.method} {attempt.path}{inside} to {where}"
    return f"{attempt.protocol.value.upper()} to {where}"


def _tell_suggestion(rule: RuleText | None, *, inside: bool) -> Iterator[str]:
    """`inside`: it is a request inside TLS, where nothing makes the boundary look."""
    yield ""
    if rule is None:
        yield "no further rule would allow it: change or remove the one that is named above"
        return
    yield "this rule would allow it, and no more than it must:"
    yield ""
    yield render_rule(rule)
    if inside:
        yield ""
        yield "It allows all that is said inside TLS. With `methods` or `paths` beside it each request is judged."


def _list_host_keys(decision: Decision) -> list[str] | None:
    keys = None if decision.upstream is None else decision.upstream.host_keys
    return None if keys is None else sorted(keys)


def _render_json(explanation: Explanation, rule: RuleText | None) -> dict[str, object]:
    return {
        "allowed": explanation.allowed,
        "steps": [
            {
                "attempt": _describe(step),
                "allowed": step.decision.allowed,
                "layer": step.decision.layer.value,
                "reason": step.decision.reason,
                "rule": None if step.decision.rule is None else str(step.decision.rule),
                "line": step.decision.line,
                "needs": sorted(need.value for need in step.decision.needs),
                "host_keys": _list_host_keys(step.decision),
                "scanned": None if step.decision.scan is None else describe_scan(step.decision.scan),
                "asks": step.decision.ask,
                "misses": list(step.misses),
                "secrets": list(step.secrets),
            }
            for step in explanation.steps
        ],
        "near": explanation.near,
        "suggestion": None if rule is None else render_rule(rule),
    }
