"""The policy that `trio-egress init` writes."""

from __future__ import annotations

import re

import attrs

from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.environment import Env
from trio_egress.policy.files import Files
from trio_egress.policy.limits import Limits
from trio_egress.policy.load import load_policy
from trio_egress.policy.starter import starter_policy


def test_the_starter_policy_loads_and_denies_everything() -> None:
    policy = load_policy(starter_policy(), "trio-egress.toml")
    assert policy.rules == ()
    assert policy.resolve.pins == ()
    assert (policy.files, policy.env, policy.limits) == (Files(), Env(), Limits())


def test_every_example_in_it_works_when_uncommented() -> None:
    uncommented = re.sub(r'^# (?=\[|[a-z_]+ = |"[^"]+" = )', "", starter_policy(), flags=re.MULTILINE)
    policy = load_policy(uncommented, "trio-egress.toml")
    own = [rule for rule in policy.rules if not rule.ref.file]
    assert len(own) == starter_policy().count("# [[egress]]") == 9
    assert len(policy.resolve.pins) == 1
    assert policy.files.write
    assert policy.files.hide
    assert policy.files.protect != Files().protect
    assert policy.env.pass_
    assert policy.env.set
    assert None not in attrs.astuple(policy.limits)


def test_the_starter_in_yaml_means_the_same_as_it_stands_and_when_uncommented() -> None:
    toml, yaml = starter_policy(), starter_policy(".yaml")
    assert load_policy(yaml, "trio-egress.yaml").rules == ()
    uncommented = re.sub(r'^# (?=\[|[a-z_]+ = |"[^"]+" = )', "", toml, flags=re.MULTILINE)
    also = re.sub(r"^# (?=[a-z_]+:|  )", "", yaml, flags=re.MULTILINE)
    policy = load_policy(also, "trio-egress.yaml")
    assert policy_hash(policy) == policy_hash(load_policy(uncommented, "trio-egress.toml"))
    assert policy.sources[1].name == "preset:github"


def test_it_fits_a_terminal() -> None:
    for ending in (".toml", ".yaml"):
        assert all(len(line) <= 120 for line in starter_policy(ending).splitlines())
