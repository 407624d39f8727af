"""What becomes of a finding: the nearest word decides, and nothing is quietly let by."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.specimens import make_attempt, make_policy, make_request, make_terms

from trio_egress.model import Action, Kind, Need, Protocol, ScanTerms, Suppression
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import (
    KINDS,
    NO_SCAN,
    Scan,
    describe_scan,
    find_suppression,
    is_looser,
    merge_scan,
    render_scan,
    resolve_action,
)

BLOCK, STRIP, WARN, OFF = Action.BLOCK, Action.STRIP, Action.WARN, Action.OFF
ABLE = Moment(now_us=0, able=frozenset(Need))
KNOWN = Suppression("sha256:ab", "github-token", "an example of the handbook", 1_000)


def resolve(rule: Scan, policy: Scan = NO_SCAN, default: Action = BLOCK, *, outward: bool = False) -> Action:
    return resolve_action(merge_scan(rule, policy), Kind.SECRET, "github-token", default, outward=outward)


def test_every_kind_of_finding_is_a_key_by_its_own_word() -> None:
    assert {kind.value: kind for kind in Kind} == KINDS
    for word, kind in KINDS.items():
        assert (make_terms(scan={word: "warn"}).scan or NO_SCAN).actions.kinds == {kind: WARN}


@given(st.lists(st.sampled_from((None, *Action)), min_size=4, max_size=4), st.sampled_from(Action))
def test_the_nearest_word_decides(said: list[Action | None], default: Action) -> None:
    of_rule, of_kind, of_policy, of_policys_kind = said
    rule = Scan(detectors={} if of_rule is None else {"github-token": of_rule}, secret=of_kind)
    policy = Scan(detectors={} if of_policy is None else {"github-token": of_policy}, secret=of_policys_kind)
    expected = next(action for action in (*said, default) if action is not None)
    assert resolve(rule, policy, default) is expected
    assert resolve(rule, policy, default, outward=True) is (BLOCK if expected is STRIP else expected)


def test_what_is_said_of_others_is_no_matter() -> None:
    others = Scan(entropy=OFF, exact=OFF, detectors={"jwt": OFF})
    assert resolve(others, others) is BLOCK


def test_without_a_word_of_anybody_the_detector_decides() -> None:
    assert [resolve(NO_SCAN, NO_SCAN, action) for action in Action] == list(Action)


@pytest.mark.parametrize(
    ("detector", "finding", "now_us", "holds"),
    [
        ("github-token", "sha256:ab", 999, True),
        ("github-token", "sha256:ab", 1_000, False),
        ("github-token", "sha256:ab", None, False),
        ("github-token", "sha256:cd", 0, False),
        ("github-token", "", 0, False),
        ("jwt", "sha256:ab", 0, False),
    ],
)
def test_a_suppression_is_of_one_finding_of_one_detector_and_has_an_end(
    detector: str, finding: str, now_us: int | None, *, holds: bool
) -> None:
    terms = merge_scan(Scan(secret=BLOCK), NO_SCAN, {KNOWN.finding: KNOWN})
    action = resolve_action(terms, Kind.SECRET, detector, WARN, outward=True, finding=finding, now_us=now_us)
    assert action is (OFF if holds else BLOCK)
    assert find_suppression(terms, detector, finding, now_us) is (KNOWN if holds else None)


def test_how_it_is_looked_through_is_said_by_the_rule_else_by_the_policy_else_as_usual() -> None:
    assert merge_scan(NO_SCAN, NO_SCAN) == ScanTerms(
        requests=True, answers=True, whole=1 << 20, unreadable=BLOCK
    )
    policy = Scan(requests=True, answers=False, whole=5, unreadable=WARN)
    assert merge_scan(NO_SCAN, policy) == ScanTerms(answers=False, whole=5, unreadable=WARN)
    rule = Scan(requests=False, answers=True, whole=0, unreadable=BLOCK)
    assert merge_scan(rule, policy) == ScanTerms(requests=False, whole=0)


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TLS])
def test_a_decision_has_the_terms_of_the_rule_that_allows(protocol: Protocol) -> None:
    attempt = make_request() if protocol is Protocol.HTTP else make_attempt(protocol, 443)
    assert decide(make_policy({}), attempt, ABLE).scan is None
    assert decide(make_policy({"scan": False}), attempt, ABLE).scan is None
    assert decide(make_policy({"scan": True}), attempt, ABLE).scan == ScanTerms()
    two = make_policy({"scan": {"answers": False}, "methods": ["GET"]}, {"scan": True, "methods": ["PUT"]})
    assert decide(two, make_request(), ABLE).scan == ScanTerms(answers=False)
    assert decide(two, make_request(method="PUT"), ABLE).scan == ScanTerms()
    assert decide(make_policy({"scan": True}), attempt).scan is None  # denied: nothing here could do it
    of_all = Policy(make_policy({"scan": True}).rules, scan=Scan(secret=WARN))
    assert (
        resolve_action(
            decide(of_all, attempt, ABLE).scan or ScanTerms(), Kind.SECRET, "any", BLOCK, outward=True
        )
        is WARN
    )


@pytest.mark.parametrize(
    "written",
    [
        True,
        {"secret": "warn", "hidden": "strip"},
        {"detectors": {"b": "off", "a": "block"}, "requests": True},
        {"answers": False, "whole": "1 KiB", "unreadable": "warn"},
    ],
)
def test_the_compiled_form_says_it_and_is_read_back(written: object) -> None:
    policy = make_policy({"scan": written})
    compiled = render_compiled(policy)
    again = parse_compiled(compiled)
    assert again.rules[0].terms == policy.rules[0].terms
    assert decide(again, make_request(), ABLE).scan == decide(policy, make_request(), ABLE).scan
    if written is True:
        assert b'"scan":true' in compiled


def test_what_means_the_same_has_one_hash_and_what_does_not_has_another() -> None:
    said = [
        True,
        {"secret": "warn"},
        {"exact": "warn"},
        {"secret": "off"},
        {"whole": 1024},
        {"requests": True},
    ]
    hashes = {policy_hash(make_policy({"scan": one})) for one in [False, *said]}
    assert len(hashes) == len(said) + 1
    one, other = {"whole": 1024, "secret": "warn"}, {"secret": "warn", "whole": "1 KiB"}
    assert policy_hash(make_policy({"scan": one})) == policy_hash(make_policy({"scan": other}))


def test_what_is_rendered_is_what_was_said() -> None:
    assert render_scan(NO_SCAN) is True
    assert json.loads(
        json.dumps(render_scan(make_terms(scan={"detectors": {"a": "off"}}).scan or NO_SCAN))
    ) == {"detectors": {"a": "off"}}


def test_every_table_of_words_can_be_held_in_a_set() -> None:
    words = [Scan(secret=one, detectors={"a": other}) for one, other in product(Action, Action)]
    assert len(set(words)) == 16


def merge(**said: object) -> ScanTerms:
    scan = make_terms(scan=said or True).scan
    assert scan is not None
    return merge_scan(scan, NO_SCAN)


@pytest.mark.parametrize(
    ("tight", "loose"),
    [
        (merge(), None),
        (merge(), merge(requests=False)),
        (merge(), merge(answers=False)),
        (merge(), merge(unreadable="warn")),
        (merge(secret="block"), merge(secret="strip")),
        (merge(secret="strip"), merge(secret="warn")),
        (merge(secret="warn"), merge(secret="off")),
        (merge(), merge(detectors={"a": "off"})),
        (merge(entropy="off", detectors={"a": "block"}), merge(entropy="off")),
        (merge(), merge_scan(NO_SCAN, NO_SCAN, {KNOWN.finding: KNOWN})),
    ],
)
def test_what_lets_something_more_by_is_looser_and_never_the_other_way_about(
    tight: ScanTerms, loose: ScanTerms | None
) -> None:
    assert is_looser(tight, loose)
    assert not is_looser(loose, tight)
    assert not is_looser(tight, tight)
    assert not is_looser(loose, loose)


def test_how_much_is_held_back_lets_nothing_by() -> None:
    assert not is_looser(merge(), merge(whole=0))
    assert not is_looser(merge(whole=0), merge())


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (merge(), "requests and answers: as the detectors have it"),
        (
            merge(answers=False, unreadable="warn"),
            "requests: as the detectors have it; what can't be looked into goes on",
        ),
        (
            merge_scan(Scan(secret=WARN), Scan(secret=BLOCK, hidden=STRIP, detectors={"jwt": OFF})),
            "requests and answers: secret warn, jwt off, hidden strip, else as the detectors have it",
        ),
    ],
)
def test_it_is_described_the_nearest_word_first(terms: ScanTerms, said: str) -> None:
    assert describe_scan(terms) == said
