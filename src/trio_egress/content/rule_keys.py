"""The keys of a rule file, each with what reads its value.

Rule 1: ValueError or Faults, and nothing else, says what is wrong with a value.
Rule 2: names of keys are as gitleaks has them, in any case; here they are in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

from trio_egress.content.checks import CHECKS
from trio_egress.content.detector import Severity, Way
from trio_egress.content.pattern import compile_pattern
from trio_egress.errors import PolicyError
from trio_egress.model import Action, Kind
from trio_egress.texts.faults import Fault, Faults, hint_nearest, show

Reader = Callable[[object], object]

GROUPS_MAX = 100

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HOME = re.compile(r"\*|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]{1,5})?")
_KINDS = tuple(kind for kind in Kind if kind not in (Kind.EXACT, Kind.CANARY))
_WAYS = MappingProxyType({"out": Way.OUT, "in": Way.IN, "both": Way.BOTH})
_TARGETS = ("secret", "match", "line")
_CONDITIONS = MappingProxyType({"or": False, "||": False, "and": True, "&&": True})

_Member = TypeVar("_Member", bound=Enum)


def _compile(pattern: str) -> Any:
    """Raises ValueError with what RE2 says of it."""
    try:
        return compile_pattern(pattern, "")
    except PolicyError as error:
        raise ValueError(error.problems[0].message + _hint_look_around(pattern)) from None


def check_pattern(pattern: str) -> None:
    """Raises ValueError for one that can't be a rule's."""
    if _compile(pattern).search(b"") is not None:
        raise ValueError("this regex finds what is empty, and so everything")


def count_groups(pattern: str) -> int:
    """Of a pattern that has been checked."""
    groups: int = _compile(pattern).groups
    return groups


def _hint_look_around(pattern: str) -> str:
    if any(group in pattern for group in ("(?=", "(?!", "(?<=", "(?<!")):
        return "; there is no look-ahead and no look-behind in it"
    return ""


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"it must be a text, not {show(value)}")
    return value


def _read_name(value: object) -> str:
    text = _read_text(value)
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            f"{show(text)} is no id: letters, digits, and . _ - after the first, at most 80 in all"
        )
    return text


def _read_pattern(value: object) -> str:
    text = _read_text(value)
    if not text:
        raise ValueError("an empty regex finds everything")
    return text


def _read_path(value: object) -> str:
    text = _read_text(value)
    _compile(text)
    return text


def _read_group(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= GROUPS_MAX:
        raise ValueError(f"it must be the number of a group, not {show(value)}")
    return value


def _read_entropy(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 8:
        raise ValueError(f"it must be a number of bits for each byte, from 0 to 8, not {show(value)}")
    return float(value) or None


def _read_check(value: object) -> str:
    text = _read_text(value)
    if text not in CHECKS:
        hint = hint_nearest(text, CHECKS) or f"; the checks are {', '.join(CHECKS)}"
        raise ValueError(f"there is no check {show(text)}{hint}")
    return text


def _read_home(value: object) -> str:
    text = _read_text(value)
    if _HOME.fullmatch(text) is None:
        raise ValueError(f'{show(text)} is no host: write "api.example.com", "*.example.com", or "*" for all')
    return text


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"it must be true or false, not {show(value)}")
    return value


def _read_member(kind: type[_Member], members: tuple[_Member, ...]) -> Callable[[object], _Member]:
    words = [str(member.value) for member in members]

    def read(value: object) -> _Member:
        text = _read_text(value)
        if text not in words:
            raise ValueError(f"{show(text)} is none of {', '.join(words)}{hint_nearest(text, words)}")
        return kind(text)

    return read


def _read_ways(value: object) -> Way:
    text = _read_text(value)
    if text not in _WAYS:
        raise ValueError(f"{show(text)} is none of {', '.join(_WAYS)}")
    return _WAYS[text]


def _read_target(value: object) -> str:
    text = _read_text(value) or "secret"
    if text not in _TARGETS:
        raise ValueError(f"{show(text)} is none of {', '.join(_TARGETS)}")
    return text


def _read_condition(value: object) -> bool:
    text = _read_text(value)
    if text.lower() not in _CONDITIONS:
        raise ValueError(f"{show(text)} is none of OR, AND")
    return _CONDITIONS[text.lower()]


def _read_lower(value: object) -> str:
    text = _read_text(value)
    if not text:
        raise ValueError("an empty word stands everywhere")
    return text.lower()


def _read_each(read: Reader) -> Callable[[object], tuple[object, ...]]:
    def read_all(value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise ValueError(f"it must be a list, not {show(value)}")
        found, faults = [], []
        for place, item in enumerate(value):
            try:
                found.append(read(item))
            except ValueError as error:
                faults.append(Fault((place,), str(error)))
        if faults:
            raise Faults(faults)
        return tuple(found)

    return read_all


def _pass(value: object) -> object:
    """Of what is read elsewhere, or says nothing here."""
    return value


TOP_KEYS: Mapping[str, Reader] = MappingProxyType(
    dict.fromkeys(("title", "description", "minversion", "rules", "allowlist", "allowlists"), _pass)
)

RULE_KEYS: Mapping[str, Reader] = MappingProxyType(
    {
        "id": _read_name,
        "description": _read_text,
        "regex": _read_pattern,
        "secretgroup": _read_group,
        "entropy": _read_entropy,
        "keywords": _read_each(_read_lower),
        "path": _read_path,
        "tags": _read_each(_read_text),
        "allowlist": _pass,
        "allowlists": _pass,
        "check": _read_check,
        "home": _read_each(_read_home),
        "ways": _read_ways,
        "action": _read_member(Action, tuple(Action)),
        "loose": _read_flag,
        "severity": _read_member(Severity, tuple(Severity)),
        "kind": _read_member(Kind, _KINDS),
    }
)

LIST_KEYS: Mapping[str, Reader] = MappingProxyType(
    {
        "description": _read_text,
        "condition": _read_condition,
        "paths": _read_each(_read_path),
        "regextarget": _read_target,
        "regexes": _read_each(_read_path),
        "stopwords": _read_each(_read_lower),
    }
)

SHARED_LIST_KEYS: Mapping[str, Reader] = MappingProxyType(
    {**LIST_KEYS, "targetrules": _read_each(_read_text)}
)

UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        "extend": "a file has all its rules, and several files may be given",
        "commits": "what passes has no commit; suppress a value by its fingerprint",
        "required": "a rule looks for one thing, by itself",
        "skipreport": "a rule looks for one thing, by itself",
        "reportgroup": "it was called secretGroup since gitleaks 8",
    }
)
"""Keys that gitleaks reads and we don't, each with what there is instead."""

SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "minversion": "minVersion",
        "secretgroup": "secretGroup",
        "regextarget": "regexTarget",
        "targetrules": "targetRules",
        "skipreport": "skipReport",
        "reportgroup": "reportGroup",
    }
)
"""How messages write the keys that are not all lower case."""
