"""Bytes are a policy (TOML, YAML or compiled) or a PolicyError whose places are in the text; nothing else is raised."""

from __future__ import annotations

from driver import fuzz, instrumented

from trio_egress.errors import PolicyError, Problem

with instrumented():
    from trio_egress.policy.compiled import parse_compiled, render_compiled
    from trio_egress.policy.load import load_policy
    from trio_egress.policy.part import decode_policy
from trio_egress.texts.faults import PROBLEMS_MAX


def check(raw: bytes) -> None:
    check_as(raw, "f.toml")
    check_as(raw, "f.yaml")
    check_compiled(raw)


def check_compiled(raw: bytes) -> None:
    """What is read is rendered as it was."""
    try:
        policy = parse_compiled(raw)
    except PolicyError:
        return
    assert render_compiled(policy) == raw


def check_as(raw: bytes, name: str) -> None:
    try:
        policy = load_policy(decode_policy(raw, name), name)
    except PolicyError as error:
        check_problems(error.problems, raw.decode("utf-8", "replace").split("\n"))
        return
    compiled = render_compiled(policy)
    assert compiled == render_compiled(parse_compiled(compiled))
    assert compiled == render_compiled(load_policy(raw.decode(), name))
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
