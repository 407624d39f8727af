"""TOML, YAML, laid-out and compiled forms of one policy are one policy: the same hash, and the same decisions."""

from __future__ import annotations

import json

import attrs
import yaml
from driver import fuzz, instrumented
from hypothesis import given
from hypothesis import strategies as st

with instrumented():
    from trio_egress.fuzzing import attempts_at, documents, moments, render_toml
    from trio_egress.fuzzing.policies import Document
    from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
    from trio_egress.policy.engine import decide
    from trio_egress.policy.format import format_policy
    from trio_egress.policy.load import load_policy
    from trio_egress.policy.moment import Moment
    from trio_egress.policy.rule import Policy


@given(documents(), st.data())
def search(document: Document, data: st.DataObject) -> None:
    text = render_toml(document)
    policy = load_policy(text, "f.toml")
    others = {
        "yaml": load_policy(yaml.safe_dump(document, allow_unicode=True), "f.yaml"),
        "flow": load_policy(json.dumps(document, ensure_ascii=False), "f.yaml"),
        "laid out": load_policy(format_policy(text, "f.toml"), "f.toml"),
        "compiled": parse_compiled(render_compiled(policy)),
    }
    attempt = data.draw(attempts_at(policy))
    now = data.draw(moments(policy))
    moment = Moment(now_us=now.now_us, able=now.able)
    for name, other in others.items():
        assert policy_hash(other) == policy_hash(policy), (name, text)
        assert judge(other, attempt, moment) == judge(policy, attempt, moment), (name, text, attempt)


def judge(policy: Policy, attempt: object, moment: Moment) -> object:
    """The decision without its words: those have lines."""
    return attrs.evolve(decide(policy, attempt, moment), reason="", rule=None)  # type: ignore[arg-type]


def check(raw: bytes) -> None:
    search.hypothesis.fuzz_one_input(raw)  # type: ignore[attr-defined]


if __name__ == "__main__":
    fuzz(check, "forms")
