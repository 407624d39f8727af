"""A suppression is of one finding, says why, and ends."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest
from tests.policy.specimens import make_request

from trio_egress.errors import PolicyError
from trio_egress.model import Need, ScanTerms
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import find_suppression
from trio_egress.policy.suppressed import DAY_US, find_expired, read_expires

HEAD = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "a.example"\nscan = true\n'
FINDING = f"sha256:{'ab' * 32}"
DAY = 1_806_451_200_000_000 - DAY_US
"""2027-03-30, and the next day is the last one."""


def table(**changed: str) -> str:
    keys = {
        "finding": f'"{FINDING}"',
        "detector": '"jwt"',
        "reason": '"an example"',
        "expires": "2027-03-31",
        **changed,
    }
    return "[[scan.suppress]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value)


def load(text: str, file: str = "f.toml", **included: str) -> Policy:
    files = {f"{name}.toml": (HEAD + body).encode() for name, body in included.items()}
    return load_policy(text, file, files.__getitem__)


def said_of(text: str, **included: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(text, **included)
    return [f"{problem.line}:{problem.column}: {problem.message}" for problem in caught.value.problems]


def find_terms(policy: Policy) -> ScanTerms:
    terms = decide(policy, make_request(), Moment(now_us=0, able=frozenset(Need))).scan
    assert terms is not None
    return terms


def test_the_day_that_is_tested_with_is_the_day_before() -> None:
    assert datetime.fromtimestamp(DAY // 1_000_000, timezone.utc).isoformat() == "2027-03-30T00:00:00+00:00"


def test_it_holds_through_its_last_day_and_is_warned_of_from_then_on() -> None:
    policy = load(HEAD + table())
    terms = find_terms(policy)
    for now_us, holds in ((0, True), (DAY, True), (DAY + 2 * DAY_US - 1, True), (DAY + 2 * DAY_US, False)):
        assert (find_suppression(terms, "jwt", FINDING, now_us) is not None) == holds
        assert (policy.find_warnings(now_us) == ()) == holds
    (warning,) = find_expired(policy.suppressions, DAY + 2 * DAY_US)
    assert str(warning).splitlines()[0] == (
        "f.toml:6:1: warning: this suppressed a finding of jwt until 2027-03-31, and has no effect any more: remove "
        "it, or look at the finding again and give it another date"
    )


@pytest.mark.parametrize("written", [date(2027, 3, 31), "2027-03-31"])
def test_a_date_is_one_of_toml_or_a_text(written: object) -> None:
    assert read_expires(written) == date(2027, 3, 31)


@pytest.mark.parametrize(
    "written",
    [
        datetime(2027, 3, 31, tzinfo=timezone.utc),
        "2027-3-31",
        "20270331",
        "2027-W13-3",
        "2027-02-30",
        "soon",
        2027,
        True,
    ],
)
def test_what_is_no_day_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="expires must be a date such as 2027-03-31, not"):
        read_expires(written)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"finding": ""},
            '6:1: the key "finding" is missing in a [[scan.suppress]] table; write finding = "sha256:…"',
        ),
        ({"reason": ""}, 'the key "reason" is missing in a [[scan.suppress]] table'),
        (
            {"expires": ""},
            'the key "expires" is missing in a [[scan.suppress]] table; write expires = "2027-03-31"',
        ),
        ({"detector": ""}, 'the key "detector" is missing in a [[scan.suppress]] table'),
        ({"finding": '"sha256:AB"'}, "7:11: finding must be the fingerprint of a finding"),
        ({"finding": "1"}, "and 64 lower-case hex digits, not 1"),
        (
            {"expires": "2027-03-31T00:00:00Z"},
            "10:11: expires must be a date such as 2027-03-31, not a date or time",
        ),
        ({"reason": '" "'}, "9:10: reason must be one line"),
        ({"detector": '"a b"'}, "8:12: a detector is named as"),
        ({"until": "1"}, 'unknown key "until" in a [[scan.suppress]] table'),
    ],
)
def test_what_is_not_said_or_not_so_is_told(changed: dict[str, str], said: str) -> None:
    (problem,) = said_of(HEAD + table(**changed))
    assert said in problem


def test_it_is_in_the_compiled_form_and_is_read_back() -> None:
    one, other = table(), table(finding=f'"sha256:{"cd" * 32}"')
    policy = load(HEAD + one + other)
    assert render_compiled(policy) == render_compiled(load(HEAD + other + one))
    assert policy_hash(policy) != policy_hash(load(HEAD + one))
    assert policy_hash(policy) != policy_hash(
        load(HEAD + one + table(finding=f'"sha256:{"cd" * 32}"', reason='"why"'))
    )
    again = parse_compiled(render_compiled(policy))
    assert find_terms(again) == find_terms(policy)
    assert [placed.table for placed in again.suppressions] == [placed.table for placed in policy.suppressions]


def test_files_add_up_and_do_not_contradict_each_other() -> None:
    include = HEAD.replace("[[egress]]", 'include = ["b.toml"]\n[[egress]]')
    assert len(load(include + table(), b=table()).suppressions) == 1
    assert len(load(include + table(), b=table(finding=f'"sha256:{"cd" * 32}"')).suppressions) == 2
    (problem,) = said_of(include + table(), b=table(expires="2028-01-01"))
    assert problem.startswith(
        "6:1: the suppression of sha256:ababababab… is 'jwt until 2028-01-01: an example' here and "
        "'jwt until 2027-03-31: an example' at f.toml:7:1: it can have one value"
    )


def test_in_yaml_a_date_has_its_quotes() -> None:
    pytest.importorskip("yaml")
    text = (
        'version: "1.0"\ndefault_deny: true\negress:\n  - destination: "a.example"\n    scan: true\n'
        "scan:\n  suppress:\n"
        f'    - finding: "{FINDING}"\n      detector: "jwt"\n      reason: "an example"\n      expires: "2027-03-31"\n'
    )
    assert policy_hash(load(text, "f.yaml")) == policy_hash(load(HEAD + table()))
