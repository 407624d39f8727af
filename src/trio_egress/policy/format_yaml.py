"""A policy in YAML, laid out in the one usual way: what it says, its comments and the order of its keys stay.

Reads with ruamel.yaml, which keeps what other readers drop; it is an extra, imported when it is needed.

Rule 1: a text whose meaning or comments would change is refused, and so is one that would not stay as it is laid out.
Rule 2: what is laid out already stays as it is, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

from trio_egress.errors import PolicyError, Problem, UsageError
from trio_egress.policy.format import list_comments, render_comment
from trio_egress.policy.yaml_text import parse_yaml

NOT_INSTALLED = "laying out YAML needs a library: pip install 'trio-egress[fmt]'"

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_ANY_WIDTH = 1 << 20
"""Lines stay as long as they are."""

_WITH_COMMENT = re.compile(r"""((?:[^"'#]|"(?:[^"\\]|\\.)*"|'[^']*')+?) +(#.*)""")
"""A line that ends in a comment, where its quotes leave no doubt about that."""


def format_yaml(text: str, file: str) -> str:
    """`text` must be a policy that loads. Raises PolicyError, and UsageError without the library."""
    try:
        import ruamel.yaml  # noqa: F401
    except ImportError:
        raise UsageError(f"{file}: {NOT_INSTALLED}") from None
    plain = text.removeprefix(_BOM).replace("\r\n", "\n")
    laid_out = _lay_out(plain)
    if (
        parse_yaml(laid_out).data != parse_yaml(plain).data
        or list_comments(laid_out) != list_comments(plain)
        or _lay_out(laid_out) != laid_out
    ):
        raise PolicyError(
            (Problem(file, 1, 1, "this way of writing it can't be laid out; a folded text may be why"),)
        )
    return laid_out


def _lay_out(text: str) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _ANY_WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    written: list[bytes] = []
    yaml.dump(yaml.load(text), SimpleNamespace(write=written.append))
    lines = [line.rstrip() for line in b"".join(written).decode("utf-8").split("\n")]
    return "\n".join(_space([*_place_comments(lines)][::-1])) + "\n"


def _place_comments(lines: Sequence[str]) -> Iterator[str]:
    """From the last line up: a comment alone stands as far in as what is below it, another two spaces behind."""
    indent = ""
    for line in reversed(lines):
        bare = line.lstrip()
        if bare.startswith("#"):
            yield f"{indent}{render_comment(bare)}"
            continue
        if bare:
            indent = line[: len(line) - len(bare)]
        found = _WITH_COMMENT.fullmatch(line)
        yield f"{found[1]}  {render_comment(found[2])}" if found else line


def _space(lines: Sequence[str]) -> list[str]:
    """No blank line first or last, and never two together."""
    kept = [line for at, line in enumerate(lines) if line or lines[at - 1]]
    return "\n".join(kept).strip("\n").split("\n")
