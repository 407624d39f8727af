"""In whatever order files are included they are one policy, which allows what each alone allows, but for denials."""

from __future__ import annotations

from collections.abc import Sequence

from driver import fuzz, instrumented
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PolicyError

with instrumented():
    from trio_egress.fuzzing import attempts_at, documents, moments, render_toml
    from trio_egress.fuzzing.claims import reach
    from trio_egress.fuzzing.policies import Document
    from trio_egress.policy.compiled import policy_hash
    from trio_egress.policy.engine import decide
    from trio_egress.policy.load import load_policy
    from trio_egress.policy.rule import Policy


@given(st.lists(documents(max_rules=2), min_size=1, max_size=3), st.data())
def search(parts: list[Document], data: st.DataObject) -> None:
    texts = {f"{place}.toml": render_toml(part) for place, part in enumerate(parts)}
    names = list(texts)
    order = data.draw(st.permutations(names))
    nested = {**texts, names[0]: render_toml({"include": names[1:], **parts[0]})}
    together = read(texts, names)
    others = [read(texts, order), read(texts, [*order, names[0]]), read(nested, names[:1])]
    assert all(hash_of(other) == hash_of(together) for other in others), (texts, order)
    if together is None:
        return
    attempt = data.draw(attempts_at(together))
    moment = data.draw(moments(together))
    whole = reach(decide(together, attempt, moment))
    if together.denials is None and not moment.state.usages:
        alone = [reach(decide(load_policy(text, name), attempt, moment)) for name, text in texts.items()]
        pinned = together.resolve.pins
        assert pinned or whole == tuple(map(max, zip(*alone, strict=True))), (texts, attempt)


def read(texts: dict[str, str], included: Sequence[str]) -> Policy | None:
    """None where they contradict each other."""
    main = render_toml({"version": "1.0", "default_deny": True, "include": list(included)})
    try:
        return load_policy(main, "main.toml", lambda name: texts[name].encode())
    except PolicyError:
        return None


def hash_of(policy: Policy | None) -> str | None:
    return None if policy is None else policy_hash(policy)


def check(raw: bytes) -> None:
    search.hypothesis.fuzz_one_input(raw)  # type: ignore[attr-defined]


if __name__ == "__main__":
    fuzz(check, "include")
