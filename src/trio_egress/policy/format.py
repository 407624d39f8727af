"""A policy in TOML, laid out in the one usual way: what it says, its comments and their places stay.

Reads with tomlkit, which keeps what a TOML reader drops. YAML is `format_yaml`.

Rule 1: a text that is no policy is refused, and so is one whose meaning or comments would change.
Rule 2: what is laid out already stays as it is, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tomlkit
from tomlkit.items import AoT, Array, Comment, InlineTable, Item, Key, Table, Whitespace

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.writing import LINE_CHARS
from trio_egress.values import frozen

KEY_ORDER = ("name", "destination", "deny", "ports", "protocol", "methods", "paths")
"""The first keys of a rule; the others follow as they stand."""

_GAP = "\0"
"""Stands in the lines where a table begins; no TOML has one."""

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


@frozen
class _Entry:
    """A key with its value and the comments above it; a key of None is what stands below the last one."""

    key: Key | None
    item: Item | None
    above: tuple[str, ...]


def format_policy(text: str, file: str) -> str:
    """`text` must be a policy that loads. Raises PolicyError where it can't be laid out without a change."""
    plain = text.removeprefix(_BOM).replace("\r\n", "\n")
    lines = list(_render_body(tomlkit.parse(plain).body, ()))
    laid_out = "\n".join(_space(lines)) + "\n"
    if tomlkit.parse(laid_out).unwrap() != tomlkit.parse(plain).unwrap() or list_comments(
        laid_out
    ) != list_comments(plain):
        message = (
            "this way of writing it can't be laid out; dotted keys and inline arrays of tables may be why"
        )
        raise PolicyError((Problem(file, 1, 1, message),))
    return laid_out


def _render_body(body: Sequence[tuple[Key | None, Item]], prefix: tuple[str, ...]) -> Iterator[str]:
    entries = list(_attach(body))
    if prefix == ("egress",):
        entries.sort(key=_place)
    for entry in entries:
        yield from entry.above
        match entry.item:
            case AoT() as tables if entry.key is not None:
                for table in tables.body:
                    yield from _render_table(
                        f"[[{_name(prefix, entry.key)}]]", table, (*prefix, _text(entry.key))
                    )
            case Table() as table if entry.key is not None:
                yield from _render_table(f"[{_name(prefix, entry.key)}]", table, (*prefix, _text(entry.key)))
            case Item() as item if entry.key is not None:
                yield f"{_text(entry.key)} = {_render_value(item, len(_text(entry.key)) + 3)}{_comment_of(item)}"


def _render_table(header: str, table: Table, prefix: tuple[str, ...]) -> Iterator[str]:
    if not table.is_super_table():
        yield _GAP
        yield f"{header}{_comment_of(table)}"
    yield from _render_body(table.value.body, prefix)


def _attach(body: Sequence[tuple[Key | None, Item]]) -> Iterator[_Entry]:
    """Comments and blank lines go with what they stand above."""
    above: list[str] = []
    for key, item in body:
        match item:
            case Whitespace():
                above += [""] * item.s.count("\n")
            case Comment():
                above.append(f"{render_comment(item.trivia.comment)}")
            case _:
                yield _Entry(key, item, tuple(above))
                above = []
    yield _Entry(None, None, tuple(above))


def _place(entry: _Entry) -> int:
    if entry.key is None:
        return len(KEY_ORDER) + 2  # what stands below all keys
    if isinstance(entry.item, Table | AoT):  # a table of a rule's own ends it
        return len(KEY_ORDER) + 1
    name = entry.key.key
    return KEY_ORDER.index(name) if name in KEY_ORDER else len(KEY_ORDER)


def _text(key: Key) -> str:
    return key.as_string().strip()


def _name(prefix: tuple[str, ...], key: Key) -> str:
    return ".".join((*prefix, _text(key)))


def _render_value(item: Item, column: int) -> str:
    if not isinstance(item, Array):
        return item.as_string().strip()
    values = [_render_value(value, 4) for value in item]
    if "#" in item.as_string():
        return item.as_string()
    line = f"[{', '.join(values)}]"
    if column + len(line) <= LINE_CHARS or not values or isinstance(item[0], InlineTable):
        return line
    return "[\n" + "".join(f"    {value},\n" for value in values) + "]"


def _comment_of(item: Item) -> str:
    comment = item.trivia.comment
    return f"  {render_comment(comment)}" if comment else ""


def render_comment(comment: str) -> str:
    words = comment.rstrip()
    return words if len(words) == 1 or words[1] in " #!" else f"# {words[1:]}"


def _space(lines: Sequence[str]) -> list[str]:
    """A blank line above each table and the comments on it; none first or last, and never two together."""
    spaced: list[str] = []
    for line in lines:
        if line != _GAP:
            spaced += [part.rstrip() for part in line.split("\n")]
            continue
        at = len(spaced)
        while at and spaced[at - 1].startswith("#"):
            at -= 1
        spaced.insert(at, "")
    kept = [line for at, line in enumerate(spaced) if line or spaced[at - 1]]
    return "\n".join(kept).strip("\n").split("\n")


def list_comments(text: str) -> list[str]:
    """What all comments say, in any order; a "#" in a text is counted on both sides alike."""
    return sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)
