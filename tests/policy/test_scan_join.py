"""`[scan]` of one file and of several."""

from __future__ import annotations

import pytest
from tests.policy.specimens import make_request

from trio_egress.errors import PolicyError
from trio_egress.model import Action, Kind, Need
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import Scan, resolve_action

TOP = 'version = "1.0"\ndefault_deny = true\n'
RULE = '[[egress]]\ndestination = "a.example"\nscan = true\n'


def load(text: str, **included: str) -> Policy:
    names = ", ".join(f'"{name}.toml"' for name in included)
    files = {f"{name}.toml": (TOP + body).encode() for name, body in included.items()}
    return load_policy(f"{TOP}include = [{names}]\n{text}", "f.toml", files.__getitem__)


def said_of(text: str, **included: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(text, **included)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def resolve(policy: Policy, kind: Kind, detector: str = "any") -> Action:
    terms = decide(policy, make_request(), Moment(now_us=0, able=frozenset(Need))).scan
    assert terms is not None
    return resolve_action(terms, kind, detector, Action.BLOCK, outward=False)


def test_what_the_table_says_holds_for_every_rule_that_scans() -> None:
    policy = load(RULE + '[scan]\nsecret = "warn"\ndetectors = { jwt = "off" }\nanswers = false\n')
    assert policy.scan == Scan(secret=Action.WARN, detectors={"jwt": Action.OFF}, answers=False)
    assert [
        resolve(policy, Kind.SECRET),
        resolve(policy, Kind.SECRET, "jwt"),
        resolve(policy, Kind.EXACT),
    ] == [
        Action.WARN,
        Action.OFF,
        Action.BLOCK,
    ]
    again = parse_compiled(render_compiled(policy))
    assert (again.scan, policy_hash(again)) == (policy.scan, policy_hash(policy))


def test_the_tables_of_several_files_are_one() -> None:
    one, other = '[scan]\nsecret = "warn"\n', '[scan]\nwhole = "1 KiB"\ndetectors = { jwt = "off" }\n'
    joined = load(RULE + one, b=other)
    assert policy_hash(joined) == policy_hash(load(RULE + other, b=one))
    assert policy_hash(joined) == policy_hash(load(RULE + one + other.removeprefix("[scan]\n")))
    lists = load(
        RULE + '[scan]\nenv = ["B"]\nfiles = ["b"]\n', b='[scan]\nenv = ["A", "B"]\nfiles = ["a", "b"]\n'
    )
    assert (lists.sought.env, [file.path for file in lists.sought.files]) == (("A", "B"), ["a", "b"])
    assert [file.place.file for file in lists.sought.files] == ["b.toml", "f.toml"]


def test_two_files_that_say_different_things_are_told_with_both_places() -> None:
    (problem,) = said_of(RULE + '[scan]\nsecret = "warn"\n', b='[scan]\nsecret = "block"\n')
    assert (
        problem
        == "b.toml:4:10: error: scan.secret is block here and warn at f.toml:8:10: it can have one value"
    )
    (problem,) = said_of(
        RULE + '[scan]\ndetectors = { jwt = "off" }\n', b='[scan]\ndetectors = { jwt = "warn" }\n'
    )
    assert "scan.detectors.jwt is warn here and off at f.toml:8:" in problem
    (problem,) = said_of(RULE + "[scan]\nguess = true\n", b="[scan]\nguess = false\n")
    assert "scan.guess is False here and True at f.toml:8:" in problem


def test_what_is_left_of_a_rule_must_be_something() -> None:
    rule = RULE.replace("scan = true", "scan = { requests = false }")
    assert said_of(rule + "[scan]\nanswers = false\n") == [
        "f.toml:6:8: error: with what [scan] says, neither requests nor answers are looked through"
    ]
    assert load(rule + "[scan]\nanswers = true\n").rules
    other = '[[egress]]\ndestination = "b.example"\n'
    assert len(said_of(other + rule + "[scan]\nanswers = false\n")) == 1
    assert said_of(RULE + "[scan]\nanswers = false\nrequests = false\n") == [
        "f.toml:8:1: error: neither requests nor answers are looked through: write scan = false"
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [('[scan]\nsecret = "warn"\n', "6:2"), ('[[canary]]\nname = "a"\nenv = "A"\n', "6:1")],
)
def test_a_table_that_does_nothing_is_warned_of(text: str, place: str) -> None:
    (warning,) = load(RULE.replace("scan = true\n", "") + text).warnings
    assert str(warning).startswith(f"f.toml:{place}: warning: no rule has `scan = true`, so [")
    assert load(RULE + text).warnings == ()


EVERY = "[scan]\nevery_rule = true\n"


def scanned(policy: Policy) -> list[bool]:
    return [rule.terms.scan is not None for rule in policy.rules]


@pytest.mark.parametrize(
    ("keys", "has"),
    [
        ("", True),
        ('methods = ["GET"]', True),
        ("ports = [80, 443]", True),
        ('protocol = ["http", "wss"]\nports = [8443]', True),
        ('protocol = ["http", "https", "ws", "wss"]', True),
        ("scan = false", False),
        ("deny = true", False),
        ('tls = "passthrough"', False),
        ('protocol = "ssh"', False),
        ('protocol = ["https", "ssh"]', False),
    ],
)
def test_every_rule_has_it_that_can_and_does_not_say_otherwise(keys: str, *, has: bool) -> None:
    rule = f'[[egress]]\ndestination = "b.example"\n{keys}\n'
    policy = load(RULE + rule + EVERY)
    assert (scanned(policy), policy.warnings) == ([True, has], ())
    assert scanned(load(RULE + rule)) == [True, False]
    assert scanned(load(RULE + EVERY, b=rule)) == [True, has], "in an included file, too"
    assert scanned(load(RULE + rule, b=EVERY)) == [True, has]


@pytest.mark.parametrize(
    "where", ['destination = "b.example:8443"', 'destination = "b.example"\nports = [22, 443]']
)
def test_a_rule_that_allows_other_streams_is_left_out_with_a_warning(where: str) -> None:
    policy = load(f"{RULE}[[egress]]\n{where}\n{EVERY}")
    assert scanned(policy) == [True, False]
    (warning,) = policy.warnings
    assert str(warning).startswith(
        "f.toml:7:1: warning: [scan] every_rule leaves this rule out, because it allows other"
    )
    for said in ("true", "false"):
        assert load(f"{RULE}[[egress]]\n{where}\nscan = {said}\n{EVERY}").warnings == ()


def test_every_rule_means_what_it_means_rule_by_rule() -> None:
    each = RULE.replace("scan = true\n", "")
    assert policy_hash(load(each + EVERY)) == policy_hash(load(RULE))
    assert policy_hash(load(each + EVERY + 'secret = "warn"\n')) == policy_hash(
        load(RULE + '[scan]\nsecret = "warn"\n')
    )
    (problem,) = said_of(RULE + EVERY, b="[scan]\nevery_rule = false\n")
    assert "scan.every_rule is False here and True at f.toml:8:" in problem


def test_presets_can_be_looked_through() -> None:
    policy = load_policy(f'{TOP}include = ["preset:github", "preset:anthropic"]\n{EVERY}', "f.toml")
    assert all(scanned(policy))
