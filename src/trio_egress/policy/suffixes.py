"""Public suffixes: names below which anybody can have one, such as `com`, `co.uk` or `github.io`.

The list stands beside this module (`public_suffixes.txt`, whose first lines say of which version it is), so that what a
policy is warned of does not hang on the machine.

Rule 1: as publicsuffix.org has it: a line is a suffix, `*.x` makes one of every name right below x, `!y.x` takes one
off. But a name of one label that is not in the list is nobody's registry: it is a network's own (`internal`, `corp`).
"""

from __future__ import annotations

import functools
from importlib.resources import files

from trio_egress.model import Name

LIST_FILE = "public_suffixes.txt"


def is_public_suffix(name: Name) -> bool:
    suffixes = _read_list()
    if name in suffixes:
        return True
    parent = name.partition(".")[2]
    return f"*.{parent}" in suffixes and f"!{name}" not in suffixes


@functools.cache
def _read_list() -> frozenset[str]:
    text = files("trio_egress.policy").joinpath(LIST_FILE).read_text(encoding="ascii")
    return frozenset(text.split("\n"))
