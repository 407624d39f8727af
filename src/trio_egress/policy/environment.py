"""The `[env]` table: which variables the agent gets, and which are set for it.

Strings only: whose environment it is, and what is never passed, is the runtime's to know.

Rule 1: without `pass` everything goes through that the runtime does not close; with it, only what it names.
Rule 2: what is set stands in the policy, its compiled form and the audit packet: it is no place for a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from trio_egress.policy.values import ITEMS_MAX, read_texts
from trio_egress.texts.faults import Fault, Faults, show
from trio_egress.values import frozen

OWN = "TRIO_EGRESS_"
VALUE_CHARS = 65_536
"""Half of what one string of an environment may have (MAX_ARG_STRLEN, `man 2 execve`)."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9_*?]+", re.ASCII)


@frozen(kw_only=True)
class Env:
    """A field for each key. `pass_` is None where there is no allow-list; `set` has pairs of name and value."""

    pass_: tuple[str, ...] | None = None
    set: tuple[tuple[str, str], ...] = ()


def read_pass(value: object) -> tuple[str, ...]:
    return read_texts("pass", value, '["PATH", "LC_*"]', _parse_pattern)


def read_set(value: object) -> tuple[tuple[str, str], ...]:
    """Name and value, sorted by name. Raises Faults with everything that is wrong."""
    if not isinstance(value, dict):
        raise ValueError(f'set must be a table such as {{LANG = "C.UTF-8"}}, not {show(value)}')
    if len(value) > ITEMS_MAX:
        raise ValueError(f"set has at most {ITEMS_MAX} variables, and this has {len(value)}")
    faults = [*_find_wrong_names(value), *_find_wrong_values(value)]
    if faults:
        raise Faults(faults)
    return tuple(sorted(value.items()))


def _parse_pattern(raw: str) -> str:
    if not _PATTERN.fullmatch(raw):
        hint = f"; did you mean {show(raw.partition('=')[0])}?" if "=" in raw else ""
        raise ValueError(
            f'{show(raw)} is no variable\'s name: letters, digits and "_", with "*" and "?" as wildcards{hint}'
        )
    return raw


def _find_wrong_names(table: Mapping[str, object]) -> list[Fault]:
    faults = []
    for name in table:
        if not _NAME.fullmatch(name):
            message = f'{show(name)} is no variable\'s name: letters, digits and "_", no digit first'
            faults.append(Fault((name,), message, on_key=True))
        elif name.startswith(OWN):
            faults.append(Fault((name,), f"{show(name)} is set by trio-egress itself", on_key=True))
    return faults


def _find_wrong_values(table: Mapping[str, object]) -> list[Fault]:
    faults = []
    for name, value in table.items():
        if not isinstance(value, str):
            hint = f'; did you mean "{value}"?' if type(value) is int else ""
            faults.append(Fault((name,), f"a variable's value must be a string, not {show(value)}{hint}"))
        elif "\0" in value or len(value) > VALUE_CHARS:
            message = f"a variable's value has at most {VALUE_CHARS} characters, and no NUL among them"
            faults.append(Fault((name,), message))
    return faults
