"""Fuzzing a policy: hosts, URLs, attempts and policies as Hypothesis strategies, and a search for what breaks a claim.

    from trio_egress.fuzzing import check_policy, never_allowed

    report = check_policy(policy, [never_allowed("*.internal")], seconds=10)
    assert report.held, str(report)

Needs the extra: `pip install 'trio-egress[fuzz]'`. docs/fuzzing.md has the examples.
"""

from __future__ import annotations

try:
    import hypothesis as _hypothesis
except ImportError:
    raise ImportError("trio_egress.fuzzing needs Hypothesis: pip install 'trio-egress[fuzz]'") from None

from trio_egress.fuzzing.attempts import attempts, attempts_at, mutations, render_attempt
from trio_egress.fuzzing.check import Counterexample, Report, check_policy
from trio_egress.fuzzing.claims import INVARIANTS, make_invariants
from trio_egress.fuzzing.hosts import hosts, hosts_in, hosts_near, names, names_below, spellings_of_host
from trio_egress.fuzzing.invariants import Invariant, invariant, never_allowed
from trio_egress.fuzzing.meant import attempts_for
from trio_egress.fuzzing.moments import ever_allowed, moments
from trio_egress.fuzzing.policies import documents, policies, render_toml, rules
from trio_egress.fuzzing.urls import Url, read_url, spellings_of_url, urls

__all__ = [
    "INVARIANTS",
    "Counterexample",
    "Invariant",
    "Report",
    "Url",
    "attempts",
    "attempts_at",
    "attempts_for",
    "check_policy",
    "documents",
    "ever_allowed",
    "hosts",
    "hosts_in",
    "hosts_near",
    "invariant",
    "make_invariants",
    "moments",
    "mutations",
    "names",
    "names_below",
    "never_allowed",
    "policies",
    "read_url",
    "render_attempt",
    "render_toml",
    "rules",
    "spellings_of_host",
    "spellings_of_url",
    "urls",
]

del _hypothesis
