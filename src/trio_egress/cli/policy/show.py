"""`trio-egress policy show`: the compiled policy, as it is hashed, in a form that people read."""

from __future__ import annotations

import argparse
import json
import os
import sys

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.compiled import policy_hash, render_compiled, render_terms
from trio_egress.policy.rule import Terms
from trio_egress.runtime.policy_file import find_policy, read_policy


def main(options: argparse.Namespace) -> int:
    """0 shown; 1 it is no policy; 2 it can't be read."""
    try:
        _, policy = read_policy(find_policy(options.file, os.environ))
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"trio-egress policy show: {error}", file=sys.stderr)
        return 2
    compiled = render_compiled(policy)
    if options.json:
        sys.stdout.write(compiled.decode("ascii") + "\n")
        return 0
    document = json.loads(compiled)
    for rule in policy.rules:
        print(f"{'deny ' if rule.terms.deny else 'allow'} {rule.ref}{_render_terms(rule.terms)}")
    for table, values in document.items():
        if table not in ("egress", "version", "default_deny", "dns_resolution"):
            print(f"{table}: {json.dumps(values, ensure_ascii=False)}")
    for source in policy.sources:
        print(f"file {source.name}: sha256 {source.sha256}")
    print(policy_hash(policy))
    return 0


def _render_terms(terms: Terms) -> str:
    said = json.loads(render_terms(terms))
    words = [
        f"{key} {json.dumps(said[key], ensure_ascii=False)}"
        for key in said
        if key not in ("destination", "deny")
    ]
    return f": {', '.join(words)}" if words else ""
