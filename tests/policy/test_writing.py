"""What is written is read back as it was."""

from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.load import load_policy
from trio_egress.policy.writing import RuleText, quote, render_policy, render_rule


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_is_quoted_so_that_it_is_read_back(text: str) -> None:
    assert tomli.loads(f"key = {quote(text)}")["key"] == text


@given(st.text())
def test_a_comment_is_one_comment(text: str) -> None:
    rule = RuleText(destination="example.com", comment=(text.encode("utf-8", "replace").decode(),))
    assert tomli.loads(render_rule(rule)) == {"egress": [{"destination": "example.com"}]}


def test_a_policy_with_tables_loads() -> None:
    rules = [
        RuleText(destination="example.com", methods=("GET",)),
        RuleText(destination="10.0.0.1:5432", allow_private=True),
    ]
    text = render_policy(
        rules, {"files": {"write": [f"dir{n}" for n in range(30)], "hide": []}}, ["made here"]
    )
    policy = load_policy(text, "made.toml")
    assert text.startswith("# made here\n")
    assert [str(rule.terms.destination) for rule in policy.rules] == ["example.com", "10.0.0.1:5432"]
    assert len(policy.files.write) == 30
    assert max(map(len, text.splitlines())) <= 100
