"""A laid-out policy says what it said before, comments and all, and is laid out once for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.format import format_policy, list_comments
from trio_egress.policy.load import load_policy
from trio_egress.policy.starter import starter_policy
from trio_egress.policy.writing import LINE_CHARS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))

UNTIDY = """\ufeff# head
version="1.0"   #v
default_deny=true


[[egress]]
methods=["GET",
"HEAD"]
#note
destination   = "a.example.com" # trailing


# above the second
[[egress]]
destination = "b.example.com"
[resolve]
"a.example.com:443"="127.0.0.1:8443"
[files]
write = [ # these
"a" ]
hide = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccc"]
[env]
pass=["PATH"]
[env.set]
A="1"
# end


"""

TIDY = """# head
version = "1.0"  # v
default_deny = true

[[egress]]
# note
destination = "a.example.com"  # trailing
methods = ["GET", "HEAD"]

# above the second
[[egress]]
destination = "b.example.com"

[resolve]
"a.example.com:443" = "127.0.0.1:8443"

[files]
write = [ # these
"a" ]
hide = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "cccccccccccccccccccccccc",
]

[env]
pass = ["PATH"]

[env.set]
A = "1"
# end
"""


def test_the_usual_layout() -> None:
    assert format_policy(UNTIDY, "x.toml") == TIDY
    assert format_policy(UNTIDY.replace("\n", "\r\n"), "x.toml") == TIDY


@pytest.mark.parametrize("text", [TIDY, *[path.read_text() for path in EXAMPLES], starter_policy()])
def test_what_is_laid_out_stays_as_it_is(text: str) -> None:
    assert format_policy(text, "x.toml") == text


def test_it_means_the_same() -> None:
    assert policy_hash(load_policy(UNTIDY, "x.toml")) == policy_hash(load_policy(TIDY, "x.toml"))


def test_what_would_change_is_refused() -> None:
    text = 'version = "1.0"\ndefault_deny = true\nlimits.processes = 5\nlimits.open_files = 70\n'
    load_policy(text, "x.toml")
    with pytest.raises(PolicyError, match=r"x\.toml:1:1: error: this way of writing it can't be laid out"):
        format_policy(text, "x.toml")


def test_a_table_of_a_rules_own_ends_the_rule() -> None:
    rule = '[[egress]]\nmethods = ["GET"]\ndestination = "a.example"\n[egress.limits]\nconnections = 1\n'
    assert format_policy(f'version = "1.0"\ndefault_deny = true\n{rule}', "f") == (
        'version = "1.0"\ndefault_deny = true\n\n[[egress]]\ndestination = "a.example"\nmethods = ["GET"]\n\n'
        "[egress.limits]\nconnections = 1\n"
    )


def lay_out(body: str) -> str:
    head = 'version = "1.0"\ndefault_deny = true\n\n'
    return format_policy(f"{head}{body}", "f").removeprefix(head)


def test_the_keys_of_a_rule_have_their_order_and_others_follow_as_they_stand() -> None:
    lines = ['tls = "intercept"', 'reason = "r"']
    known = [
        *('name = "n"', 'destination = "a.example"', "deny = true", "ports = [1]", 'protocol = "http"'),
        *('methods = ["GET"]', 'paths = ["/a"]'),
    ]
    shuffled = [*lines, *reversed(known), "# below", "[egress.limits]", "connections = 1"]
    assert lay_out("\n".join(["[[egress]]", *shuffled]) + "\n").splitlines() == [
        *("[[egress]]", *known, *lines),
        *("", "# below", "[egress.limits]", "connections = 1"),
    ]
    assert lay_out("[[egress]]\ntls = 'intercept'\n# kept\ndestination = 'a'\n\n# below\n") == (
        "[[egress]]\n# kept\ndestination = 'a'\ntls = 'intercept'\n\n# below\n"
    )


def test_a_list_stays_on_its_line_up_to_the_longest_line() -> None:
    fits = f'pass = ["{"A" * (LINE_CHARS - 11)}"]'
    assert len(fits) == LINE_CHARS
    assert lay_out(f"[env]\n{fits}\n") == f"[env]\n{fits}\n"
    longer = fits.replace('"]', 'A"]')
    assert lay_out(f"[env]\n{longer}\n") == f"[env]\npass = [\n    {longer[8:-1]},\n]\n"
    assert lay_out("[env]\npass = []\n") == "[env]\npass = []\n"


def test_blank_lines_are_one_and_none_stands_first_or_last() -> None:
    assert lay_out('\n\n\n[env]\n\n\npass = ["A"]\n\n\n\n[files]\n\n') == '[env]\n\npass = ["A"]\n\n[files]\n'
    assert format_policy('\n\nversion = "1.0"\n', "f") == 'version = "1.0"\n'


def test_a_comment_in_a_list_keeps_the_list_as_it_is() -> None:
    kept = '[env]\npass = [ "A",\n"B" # b\n]\n'
    assert lay_out(kept) == kept


def test_comments_are_held_against_each_other_by_what_they_say() -> None:
    assert list_comments("a = 1 # b\n\n#  a\nc = 2\n") == ["a", "b"]
    assert list_comments("a = 1\n") == []
