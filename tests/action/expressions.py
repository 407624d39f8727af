"""Expressions of GitHub's workflows, as far as ours use them: contexts, literals, ==, !=, !, &&, ||, status.

Source: GitHub's documentation, "Evaluate expressions in workflows and actions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

EMBEDDED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
TOKEN = re.compile(r"\s*(==|!=|&&|\|\||!|\(|\)|'(?:[^']|'')*'|[A-Za-z_][\w.-]*|[0-9.]+)")

Contexts = Mapping[str, Any]


def fill(text: str, contexts: Contexts) -> str:
    """A text with each `${{ … }}` replaced by its value; what is not there is empty."""
    return EMBEDDED.sub(lambda match: render(evaluate(match[1], contexts)), text)


def is_due(condition: str | None, contexts: Contexts) -> bool:
    """Whether a step runs: with no status function in it a condition holds only where nothing has failed."""
    text = str(condition or "success()").strip()
    text = text[3:-2] if text.startswith("${{") and text.endswith("}}") else text
    if not re.search(r"\b(always|failure|success|cancelled)\(", text):
        text = f"success() && ({text})"
    return bool(evaluate(text, contexts))


def render(value: Any) -> str:
    return (
        {None: "", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, str)
        else value
    )


def evaluate(text: str, contexts: Contexts) -> Any:
    tokens, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        assert match, f"not an expression that this runner knows: {text!r}"
        tokens.append(match[1])
        at = match.end()
    value, rest = _read_or(tokens, contexts)
    assert not rest, f"not an expression that this runner knows: {text!r}"
    return value


Rest = tuple[Any, list[str]]


def _read_or(tokens: list[str], contexts: Contexts) -> Rest:
    return _read_chain(tokens, contexts, "||", _read_and, lambda one, two: one or two)


def _read_and(tokens: list[str], contexts: Contexts) -> Rest:
    return _read_chain(tokens, contexts, "&&", _read_equal, lambda one, two: one and two)


def _read_chain(
    tokens: list[str],
    contexts: Contexts,
    sign: str,
    read: Callable[[list[str], Contexts], Rest],
    join: Callable[[Any, Any], Any],
) -> Rest:
    value, tokens = read(tokens, contexts)
    while tokens[:1] == [sign]:
        other, tokens = read(tokens[1:], contexts)
        value = join(value, other)
    return value, tokens


def _read_equal(tokens: list[str], contexts: Contexts) -> Rest:
    value, tokens = _read_value(tokens, contexts)
    if tokens[:1] in (["=="], ["!="]):
        sign = tokens[0]
        other, tokens = _read_value(tokens[1:], contexts)
        same = render(value).lower() == render(other).lower()
        return same is (sign == "=="), tokens
    return value, tokens


def _read_value(tokens: list[str], contexts: Contexts) -> Rest:
    token, *rest = tokens
    if token == "!":
        value, rest = _read_value(rest, contexts)
        return not value, rest
    if token == "(":
        value, rest = _read_or(rest, contexts)
        assert rest[0] == ")"
        return value, rest[1:]
    if rest[:2] == ["(", ")"]:
        failed = bool(contexts.get("failed"))
        return {"always": True, "success": not failed, "failure": failed, "cancelled": False}[token], rest[2:]
    if token.startswith("'"):
        return token[1:-1].replace("''", "'"), rest
    if token in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[token], rest
    return _look_up(token, contexts), rest


def _look_up(name: str, contexts: Contexts) -> Any:
    value: Any = contexts
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
