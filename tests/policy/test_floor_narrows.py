"""Whatever is taken under a floor allows nothing that the floor denies, and on no easier terms: for any rules."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.fuzzing.attempts import attempts_at
from trio_egress.fuzzing.moments import ALL_ABLE, find_times
from trio_egress.fuzzing.policies import RULE_KEYS, Document, destinations, make_document, render_toml, rules
from trio_egress.model import Decision
from trio_egress.policy.engine import decide
from trio_egress.policy.floor import find_wider
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import is_looser


def read(egress: list[Document]) -> Policy | None:
    try:
        return load_policy(render_toml(make_document(egress)), "fuzz.toml")
    except PolicyError:
        return None


@st.composite
def changed(draw: st.DrawFn, floor: list[Document]) -> list[Document]:
    """The floor's rules, some of them left out, twice there or otherwise than they were."""
    found = []
    for rule in draw(st.lists(st.sampled_from(floor), min_size=1, max_size=4)):
        other = copy.deepcopy(rule)
        for key in draw(st.lists(st.sampled_from(("destination", *RULE_KEYS)), max_size=2)):
            if key == "destination":
                other[key] = draw(destinations())
            elif draw(st.booleans()):
                other[key] = draw(RULE_KEYS[key])
            else:
                other.pop(key, None)
        found.append(other)
    return [*found, *(rule for rule in floor if rule.get("deny"))]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Policy, Policy] | None:
    floor = draw(st.lists(rules(), min_size=1, max_size=3))
    under, over = read(floor), read(draw(changed(floor)))
    return None if under is None or over is None else (under, over)


def find_easier(narrow: Decision, floor: Decision) -> str:
    """What a decision allows on terms that the floor's are stricter than."""
    if not narrow.allowed:
        return ""
    if not floor.allowed:
        return "allowed"
    if is_looser(floor.scan, narrow.scan):
        return "scan"
    if floor.ask is not None and narrow.ask is None:
        return "ask"
    if floor.limits is not None and narrow.limits is None:
        return "limits"
    if not floor.needs <= narrow.needs:
        return "needs"
    private = [each.upstream is not None and each.upstream.allow_private for each in (floor, narrow)]
    return "private" if private == [False, True] else ""


@given(pairs().filter(bool), st.data())
def test_what_is_taken_is_narrower_for_every_attempt(
    pair: tuple[Policy, Policy], data: st.DataObject
) -> None:
    floor, policy = pair
    if find_wider(floor, policy):
        return
    for asked in (floor, policy):
        moment = Moment(now_us=data.draw(st.sampled_from(find_times(floor))), able=ALL_ABLE)
        attempt = data.draw(attempts_at(asked))
        easier = find_easier(decide(policy, attempt, moment), decide(floor, attempt, moment))
        assert easier == "", (easier, attempt)
