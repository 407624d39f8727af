"""The compiled form of a policy: canonical JSON with every default written out, and its hash.

Comments, layout, line numbers and the file's name are not in it; the order of the rules is, since receipts
name a rule by its place. Sorted keys, compact, ASCII: the same bytes on every Python.
"""

from __future__ import annotations

import hashlib
import json

import attrs

from trio_egress.policy.environment import Env
from trio_egress.policy.rule import Policy, Terms


def render_compiled(policy: Policy) -> bytes:
    """One JSON object in the words of the policy file. `methods`, `pass` or a limit is null where anything will do."""
    document = {
        "version": "1.0",
        "default_deny": True,
        "dns_resolution": "proxy_only",
        "egress": [_unstructure(rule.terms) for rule in policy.rules],
        "resolve": {pin.target: pin.answer for pin in policy.resolve.pins},
        "files": {key: sorted(paths) for key, paths in attrs.asdict(policy.files).items()},
        "env": _unstructure_env(policy.env),
        "limits": attrs.asdict(policy.limits),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def policy_hash(policy: Policy) -> str:
    """`sha256:` and the hex digest of the compiled form."""
    return f"sha256:{hashlib.sha256(render_compiled(policy)).hexdigest()}"


def _unstructure(terms: Terms) -> dict[str, object]:
    return {
        "destination": str(terms.destination),
        "methods": None if terms.methods is None else sorted(terms.methods),
        "allow_private": terms.allow_private,
    }


def _unstructure_env(env: Env) -> dict[str, object]:
    return {"pass": None if env.pass_ is None else sorted(env.pass_), "set": dict(env.set)}
