"""A policy in YAML that is laid out says what it said before, comments and all, and is laid out once for all."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.format_yaml import format_yaml
from trio_egress.policy.load import load_policy
from trio_egress.policy.starter import starter_policy

PROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")

UNTIDY = """\ufeff

# head
version:   "1.0"    #v
default_deny: true   # it's


egress:
- destination: "api.github.com"   # one #1
  methods: ["GET",   'POST']
#note
  scan: true


# above the second
- destination:    'packages.example.com'   #it's here
  methods:
  - GET
  # in a list
  - HEAD
- {destination: a.example, websocket: { enabled: true, proxy_path: "/ws?url=" }}
- destination: b.example
  name: ab   #c
  reason: "LONG"
resolve:
     a.example:443: 127.0.0.1:8443
# end


""".replace("LONG", "long " * 30)

TIDY = """# head
version: "1.0"  # v
default_deny: true  # it's

egress:
  - destination: "api.github.com"  # one #1
    methods: ["GET", 'POST']
    # note
    scan: true

  # above the second
  - destination: 'packages.example.com'  # it's here
    methods:
      - GET
      # in a list
      - HEAD
  - {destination: a.example, websocket: {enabled: true, proxy_path: "/ws?url="}}
  - destination: b.example
    name: ab  # c
    reason: "LONG"
resolve:
  a.example:443: 127.0.0.1:8443
# end
""".replace("LONG", "long " * 30)


def test_the_usual_layout() -> None:
    assert format_yaml(UNTIDY, "x.yaml") == TIDY
    assert format_yaml(UNTIDY.replace("\n", "\r\n"), "x.yaml") == TIDY


@pytest.mark.parametrize("text", [TIDY, format_yaml(starter_policy(".yaml"), "x")])
def test_what_is_laid_out_stays_as_it_is(text: str) -> None:
    assert format_yaml(text, "x.yaml") == text


def test_it_means_the_same() -> None:
    assert policy_hash(load_policy(UNTIDY, "x.yaml")) == policy_hash(load_policy(TIDY, "x.yaml"))


def test_where_quotes_leave_a_doubt_a_comment_stays_where_it_is() -> None:
    text = "version: '1.0'\ndefault_deny: true\negress:\n  - reason: it's here #1 #c\n    destination: a.example\n"
    assert load_policy(text, "x.yaml").rules[0].terms.reason == "it's here"
    assert format_yaml(text, "x.yaml") == text
    sure = text.replace("it's", "it is")
    assert format_yaml(sure, "x.yaml") == sure.replace(" #1 #c", "  # 1 #c")


@pytest.mark.parametrize("block", ["|\n      a\n      #b\n        #c", ">-\n      a\n\n\n      b"])
def test_what_would_change_is_refused(block: str) -> None:
    text = f"version: '1.0'\ndefault_deny: true\nenv:\n  set:\n    A: {block}\n"
    load_policy(text, "x.yaml")
    with pytest.raises(
        PolicyError, match=r"^x\.yaml:1:1: error: this way of writing it can't be laid out; a folded"
    ):
        format_yaml(text, "x.yaml")


def test_who_has_not_the_library_is_told_which_extra_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any of it: not even the package is there that it is a part of."""
    monkeypatch.delitem(sys.modules, "ruamel.yaml", raising=False)
    monkeypatch.setitem(sys.modules, "ruamel", None)
    with pytest.raises(UsageError, match=r"^x\.yaml: laying out YAML needs a library: pip install") as told:
        format_yaml(TIDY, "x.yaml")
    _, extra, _ = re.split(r"trio-egress\[|\]'", str(told.value))
    assert any(line.startswith(f"{extra} = [") and "ruamel.yaml" in line for line in PROJECT.splitlines())
