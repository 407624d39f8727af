"""Policies as strategies."""

from __future__ import annotations

import attrs
import tomli
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.fuzzing.policies import RULE_KEYS, Document, denials, documents, policies, render_toml
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy, Rule, Terms


@given(documents())
def test_every_document_is_a_policy_and_its_text_says_what_it_says(document: Document) -> None:
    text = render_toml(document)
    assert tomli.loads(text) == document
    assert len(load_policy(text, "f").rules) <= len(document.get("egress", []))


@given(policies(st.just({"destination": "a.example", "methods": ["PUT"]}), max_rules=2))
def test_the_rules_of_a_policy_can_be_chosen(policy: Policy) -> None:
    assert [rule.terms.methods for rule in policy.rules] == [frozenset({"PUT"})]


def test_every_key_of_a_rule_has_its_values() -> None:
    assert {"destination", *RULE_KEYS} == {field.name for field in attrs.fields(Terms)}


@given(denials(["a.example", "*.b.example"], 7))
def test_a_rule_to_be_added_denies_and_has_its_place(rule: Rule) -> None:
    assert rule.terms.deny
    assert (rule.ref.index, rule.rank) == (7, 7)


_SCALARS = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)
_TABLES = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _SCALARS | st.lists(_SCALARS))


@given(st.dictionaries(st.sampled_from("abc"), _SCALARS | _TABLES | st.lists(_TABLES)))
def test_any_document_is_rendered_as_what_it_is(document: Document) -> None:
    assert tomli.loads(render_toml(document)) == document
