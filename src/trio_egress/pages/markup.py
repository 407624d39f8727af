"""HTML built out of values, so that no text can become markup.

Rule 1: a `str` is text and is escaped, in content and in attributes; only what `tag` made is markup.
Rule 2: what an agent, a peer or a packet chose goes through `show` first: printable ASCII, and bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from trio_egress.evidence.facts import escape_text, is_portable
from trio_egress.values import frozen

SHOWN_CHARS = 240
"""Longest text of a packet on a page; a host name has 253 at most, and such a one is no host's."""
_COUNT_CHARS = 30
"""Room for how many characters more there are."""

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
"""Attributes always stand in double quotes, so a single one is only a character."""
_VOID = frozenset({"meta", "br", "wbr", "hr"})
_BLOCKS = frozenset(
    {"head", "meta", "title", "style", "body", "header", "main", "section", "footer", "nav"}
    | {"h1", "h2", "h3", "p", "div", "ol", "ul", "li", "dl", "dt", "dd", "table", "caption"}
    | {"thead", "tbody", "tfoot", "tr", "th", "td", "pre", "details", "summary", "svg", "path", "rect"}
)


@frozen
class Html:
    """Markup that `tag` or `raw_style` made."""

    text: str


Content = Union[Html, str, None, Iterable["Content"]]  # noqa: UP007  `|` can't stand beside a name in quotes


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Html:
    """An element. `class_` is `class`, `aria_label` is `aria-label`; None and False leave an attribute out."""
    rendered = "".join(_render_attribute(key, value) for key, value in attributes.items())
    end = "\n" if name in _BLOCKS else ""
    if name in _VOID:
        return Html(f"<{name}{rendered}>{end}")
    return Html(f"<{name}{rendered}>{render(content)}</{name}>{end}")


def render(content: Content) -> str:
    match content:
        case None:
            return ""
        case Html(text):
            return text
        case str():
            return content.translate(_ESCAPES)
    return "".join(map(render, content))


def raw_style(css: str) -> Html:
    """A style sheet of our own: the one text that is not escaped."""
    return Html(f"<style>{css}</style>\n")


def show(text: object, limit: int = SHOWN_CHARS) -> str:
    """A text of a packet as printable ASCII, not much longer than `limit`; '' for what is no text."""
    if not isinstance(text, str):
        return ""
    shown = text if is_portable(text) and len(text) <= limit else escape_text(text, limit)
    most = limit + _COUNT_CHARS  # one character beyond ASCII becomes up to ten
    return shown if len(shown) <= most else f"{shown[:most]}..."


def code(text: str, class_: str | None = None) -> Html:
    return tag("code", text, class_=class_)


def _render_attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{str(value).translate(_ESCAPES)}"'
