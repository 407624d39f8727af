"""Bytes are a policy with one compiled form, or a PolicyError whose places are in the text; nothing else is raised."""

from __future__ import annotations

from driver import fuzz, instrumented

from trio_egress.errors import PolicyError, Problem

with instrumented():
    from trio_egress.policy.compiled import policy_hash, render_compiled
    from trio_egress.policy.load import load_policy
    from trio_egress.policy.part import PROBLEMS_MAX, decode_policy


def check(raw: bytes) -> None:
    try:
        policy = load_policy(decode_policy(raw, "f"), "f")
    except PolicyError as error:
        check_problems(error.problems, raw.decode("utf-8", "replace").split("\n"))
        return
    assert policy_hash(policy) == policy_hash(load_policy(raw.decode(), "g"))
    assert render_compiled(policy).isascii()
    places = [rule.ref.index for rule in policy.rules]
    assert places == sorted(set(places))


def check_problems(problems: tuple[Problem, ...], lines: list[str]) -> None:
    assert 1 <= len(problems) <= PROBLEMS_MAX + 1
    for problem in problems:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert all(c.isprintable() or c in "\t\n" for c in str(problem)), problem


if __name__ == "__main__":
    fuzz(check, "policy")
