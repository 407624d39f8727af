"""`trio-egress policy reload`: have a run that lives read its policy again, and say what came of it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping

from trio_egress.cli.living import ask_run, find_run
from trio_egress.errors import UsageError
from trio_egress.evidence.session import POLICY_TRANSPORT


def main(options: argparse.Namespace) -> int:
    """0 changed; 1 refused, and the old policy stays in force; 2 there is no such run, or it did not answer."""
    try:
        evidence = find_run(options.evidence)
        answer = _render(*ask_run(evidence, signal.SIGHUP, POLICY_TRANSPORT))
    except UsageError as error:
        print(f"trio-egress policy reload: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(answer, indent=2))
    elif answer["changed"]:
        print(f"{evidence}: {answer['from']} -> {answer['to']}")
        print(f"open connections: {answer['kept']} kept, {answer['ended']} ended")
    else:
        print(answer["reason"], file=sys.stderr)
    return 0 if answer["changed"] else 1


def _render(changed: bool, facts: Mapping[str, object]) -> dict[str, object]:
    return {
        "changed": changed,
        "reason": facts.get("reason", ""),
        "from": facts.get("policy_from"),
        "to": facts.get("policy_to"),
        "kept": facts.get("connections_kept"),
        "ended": facts.get("connections_ended"),
    }
