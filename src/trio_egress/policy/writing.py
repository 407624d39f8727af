"""Policies as text: rules in, TOML out, for whatever writes one for people (import, learn, explain).

Knows the spelling of TOML and of a rule, and no more: what is written is loaded by whoever writes it.

Rule 1: any text is written so that it is read back as it was (TOML 1.0, basic strings).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trio_egress.values import frozen

LINE_CHARS = 100
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


@frozen(kw_only=True)
class RuleText:
    """What one `[[egress]]` table says. `comment` stands above it, line by line."""

    destination: str
    protocol: str = ""
    host_keys: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    git: tuple[tuple[str, str], ...] = ()
    """Pairs of `fetch` or `push` and a repository."""

    allow_private: bool = False
    deny: bool = False
    reason: str = ""
    comment: tuple[str, ...] = ()


def render_policy(
    rules: Iterable[RuleText], tables: Mapping[str, Mapping[str, Sequence[str]]], comment: Sequence[str] = ()
) -> str:
    """A whole policy. `tables`: further tables whose values are lists of texts, such as `files`."""
    head = [*[_comment(line) for line in comment], 'version = "1.0"', "default_deny = true"]
    parts = ["\n".join(head), *[render_rule(rule) for rule in rules]]
    for name, keys in tables.items():
        if any(keys.values()):
            parts.append(_render_table(name, keys))
    return "\n\n".join(parts) + "\n"


def render_rule(rule: RuleText) -> str:
    """One rule, without a line end behind it."""
    lines = [*[_comment(line) for line in rule.comment], "[[egress]]"]
    lines.append(f"destination = {quote(rule.destination)}")
    if rule.deny:
        lines.append("deny = true")
    if rule.protocol:
        lines.append(f"protocol = {quote(rule.protocol)}")
    for key, values in (("host_keys", rule.host_keys), ("methods", rule.methods), ("paths", rule.paths)):
        if values:
            lines.append(f"{key} = {_render_list(values)}")
    if rule.git:
        lines.append(f"git = {_render_git(rule.git)}")
    if rule.allow_private:
        lines.append("allow_private = true")
    if rule.reason:
        lines.append(f"reason = {quote(rule.reason)}")
    return "\n".join(lines)


def _render_git(named: Sequence[tuple[str, str]]) -> str:
    found = {key: [name for other, name in named if other == key] for key in ("fetch", "push")}
    return f"{{ {', '.join(f'{key} = {_render_list(names)}' for key, names in found.items() if names)} }}"


def quote(text: str) -> str:
    """A basic string of TOML."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < 0x20 or ord(character) == 0x7F:
        return f"\\u{ord(character):04X}"
    return character


def _comment(line: str) -> str:
    """Control characters are not allowed in a comment, and a line end would end it."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return f"# {shown}".rstrip()


def _render_table(name: str, keys: Mapping[str, Sequence[str]]) -> str:
    lines = [f"{key} = {_render_list(values)}" for key, values in keys.items() if values]
    return "\n".join([f"[{name}]", *lines])


def _render_list(values: Sequence[str]) -> str:
    quoted = [quote(value) for value in values]
    line = f"[{', '.join(quoted)}]"
    if len(line) <= LINE_CHARS:
        return line
    return "[\n" + "".join(f"    {value},\n" for value in quoted) + "]"
