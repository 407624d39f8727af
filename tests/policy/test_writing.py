"""What is written is read back as it was."""

from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.load import load_policy
from trio_egress.policy.writing import LINE_CHARS, RuleText, quote, render_policy, render_rule


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


def test_a_text_is_quoted_by_the_short_escapes() -> None:
    assert quote('a"\\\b\t\n\f\r\x00\x1f \x7fü') == r'"a\"\\\b\t\n\f\r\u0000\u001F \u007Fü"'


def test_all_that_a_rule_says_is_written_a_line_each() -> None:
    rule = RuleText(
        destination="a.example",
        protocol="https",
        methods=("GET", "PUT"),
        paths=("/a",),
        allow_private=True,
        deny=True,
        reason="why",
        comment=("one", "t\two\x00"),
    )
    assert render_rule(rule).splitlines() == [
        "# one",
        "# t\N{REPLACEMENT CHARACTER}wo\N{REPLACEMENT CHARACTER}",
        "[[egress]]",
        'destination = "a.example"',
        "deny = true",
        'protocol = "https"',
        'methods = ["GET", "PUT"]',
        'paths = ["/a"]',
        "allow_private = true",
        'reason = "why"',
    ]
    assert render_policy([rule], {"files": {"write": []}}, ["head"]).startswith(
        '# head\nversion = "1.0"\ndefault_deny = true\n\n# one\n'
    )


def test_a_list_is_written_on_one_line_up_to_the_longest() -> None:
    fits = "m" * (LINE_CHARS - 4)
    assert LINE_CHARS == 100
    assert f'methods = ["{fits}"]' in render_rule(RuleText(destination="a.example", methods=(fits,)))
    longer = render_rule(RuleText(destination="a.example", methods=(f"{fits}m", "PUT")))
    assert longer.endswith(f'methods = [\n    "{fits}m",\n    "PUT",\n]')
