"""The policy that `trio-egress init` writes."""

from __future__ import annotations

import re

from trio_egress.policy.load import load_policy
from trio_egress.policy.starter import starter_policy


def test_the_starter_policy_loads_and_denies_everything() -> None:
    policy = load_policy(starter_policy(), "trio-egress.toml")
    assert policy.rules == ()
    assert policy.resolve.pins == ()


def test_every_example_in_it_works_when_uncommented() -> None:
    uncommented = re.sub(r'^# (?=\[|[a-z_]+ = |"[^"]+" = )', "", starter_policy(), flags=re.MULTILINE)
    policy = load_policy(uncommented, "trio-egress.toml")
    assert len(policy.rules) == starter_policy().count("# [[egress]]") == 5
    assert len(policy.resolve.pins) == 1


def test_it_fits_a_terminal() -> None:
    assert all(len(line) <= 120 for line in starter_policy().splitlines())
