"""Destinations that are allowed beside what a policy says: `run --allow`.

Rule 1: they stand at the end of the policy's own text, as its last rules: what is packaged, hashed and decided again is
one text, and what stood in it keeps its lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.load import load_policy
from trio_egress.policy.part import YAML_ENDINGS

HEAD = 'version = "1.0"\ndefault_deny = true\n'
MARK = "# Allowed by the command line (--allow):"


def add_allowed(text: str, shown: str, allowed: Iterable[str]) -> str:
    """The policy's text with a rule for each: `HOST` or `HOST:PORT`. Raises UsageError."""
    rules = "\n".join(map(_render_rule, allowed))
    if not rules:
        return text
    if shown.endswith(YAML_ENDINGS):
        raise UsageError(f"--allow adds rules to a policy in TOML, and {shown} is YAML: add them there")
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}\n{MARK}\n{rules}"


def _render_rule(given: str) -> str:
    if not given.isprintable() or not given:
        raise UsageError(f"--allow {given!r}: give HOST or HOST:PORT, as `destination` of a rule")
    rule = f"[[egress]]\ndestination = {json.dumps(given, ensure_ascii=False)}\n"
    try:
        load_policy(HEAD + rule, "--allow")
    except PolicyError as error:
        raise UsageError(f"--allow {given}: {error.problems[0].message}") from None
    return rule
