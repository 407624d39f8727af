"""The detectors of a policy: the package's, the operator's, and none that is misspelt."""

from __future__ import annotations

import pytest

from trio_egress.content.catalogue import read_catalogue
from trio_egress.errors import PolicyError
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.runtime.detectors import load_detectors

HEAD = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "a.example"\n'
OURS = b'[[rules]]\nid = "acme-token"\nregex = "acme-[0-9]{8}"\n'
FILES = {
    "ours.toml": OURS,
    "wrong.toml": b"[[rules]]\nid = 1\n",
    "again.toml": OURS,
    "taken.toml": OURS.replace(b"acme-token", read_catalogue()[0].name.encode()),
}


def make_policy(scan: str, table: str = "") -> Policy:
    return load_policy(f"{HEAD}scan = {scan}\n{table}", "ci/f.toml", FILES.__getitem__)


def said_of(policy: Policy) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_detectors(policy)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_the_operators_come_before_the_packages_so_that_they_count() -> None:
    assert load_detectors(make_policy("true")) == read_catalogue()
    first, *others = load_detectors(make_policy("true", '[scan]\ndetector_files = ["ours.toml"]\n'))
    assert (tuple(others), first.name) == (read_catalogue(), "acme-token")


def test_what_is_wrong_in_a_file_of_detectors_is_told_where_it_is() -> None:
    (problem, *_) = said_of(make_policy("true", '[scan]\ndetector_files = ["wrong.toml"]\n'))
    assert problem.startswith("ci/wrong.toml:1:")
    (problem,) = said_of(make_policy("true", '[scan]\ndetector_files = ["ours.toml", "again.toml"]\n'))
    assert problem.startswith('ci/ours.toml:1:1: error: the id "acme-token" is taken, by ci/again.toml:1')


def test_a_rule_takes_the_place_of_the_packaged_one_of_its_name() -> None:
    first, *others = load_detectors(make_policy("true", '[scan]\ndetector_files = ["taken.toml"]\n'))
    assert (first.name, first.pattern) == (read_catalogue()[0].name, "acme-[0-9]{8}")
    assert tuple(others) == read_catalogue()[1:]


def test_detectors_are_read_once_for_a_run() -> None:
    policy = make_policy("true", '[scan]\ndetector_files = ["ours.toml"]\n')
    assert load_detectors(policy) is load_detectors(policy)


@pytest.mark.parametrize(
    ("scan", "table", "said"),
    [
        (
            '{ detectors = { "github-tokn" = "off" } }',
            "",
            'ci/f.toml:5:24: error: no detector is called "github-tokn"; did you mean "github-token"?',
        ),
        (
            "true",
            '[scan]\ndetectors = { "acme-tokn" = "block" }\ndetector_files = ["ours.toml"]\n',
            'ci/f.toml:7:15: error: no detector is called "acme-tokn"; did you mean "acme-token"?',
        ),
        (
            '{ detectors = { "zzz" = "off" } }',
            "",
            'ci/f.toml:5:24: error: no detector is called "zzz"; `trio-egress detectors list` names them all',
        ),
    ],
)
def test_a_word_for_a_detector_that_is_none_is_an_error(scan: str, table: str, said: str) -> None:
    assert said_of(make_policy(scan, table)) == [said]


def test_values_of_a_run_can_be_named_too() -> None:
    table = '[[secret]]\nname = "mine"\nfrom = { env = "A" }\n[[canary]]\nname = "aws"\nenv = "B"\n'
    names = '{ detectors = { "mine" = "warn", "aws" = "warn", "GITHUB_TOKEN" = "off" } }'
    assert load_detectors(make_policy(names, table)) == read_catalogue()
