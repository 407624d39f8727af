"""A laid-out policy says what it said before, comments and all, and is laid out once for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.format import format_policy
from trio_egress.policy.load import load_policy
from trio_egress.policy.starter import starter_policy

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
