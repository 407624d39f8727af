"""How each value of a `scan` table is read, in a rule and in `[scan]`.

Each reader takes what tomli gives; it raises ValueError, or Faults where several things can be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from trio_egress.model import Action
from trio_egress.policy.includes import Include
from trio_egress.policy.scan import KINDS, Scan
from trio_egress.policy.suppressed import Suppress
from trio_egress.policy.values import ITEMS_MAX, read_flag, read_size
from trio_egress.texts.faults import Fault, Faults, hint_nearest, show
from trio_egress.values import frozen

DETECTOR_CHARS = 100
WHOLE_MOST = 1 << 30
ACTIONS = {action.value: action for action in Action}
UNREADABLE = ("block", "warn")


@frozen(kw_only=True)
class ScanTable(Scan):
    """The table `[scan]`, a field for each key: what holds for all rules, and what a run looks for."""

    every_rule: bool | None = None
    detector_files: tuple[Include, ...] = ()
    env: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    guess: bool | None = None
    suppress: tuple[Suppress, ...] = ()


_DETECTOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def read_action(key: str) -> Callable[[object], Action]:
    def read(value: object) -> Action:
        if not isinstance(value, str) or value not in ACTIONS:
            hint = hint_nearest(value.lower(), ACTIONS) if isinstance(value, str) else ""
            raise ValueError(f"{key} must be one of {', '.join(ACTIONS)}, not {show(value)}{hint}")
        return ACTIONS[value]

    return read


def read_detectors(value: object) -> Mapping[str, Action]:
    example = '{ "github-token" = "warn" }'
    if not isinstance(value, dict):
        raise ValueError(f"detectors must be a table such as {example}, not {show(value)}")
    if not value or len(value) > ITEMS_MAX:
        raise ValueError(
            f"detectors names 1 to {ITEMS_MAX} detectors and what becomes of what they find: {example}"
        )
    found: dict[str, Action] = {}
    faults: list[Fault] = []
    for name in sorted(value):
        try:
            found[read_detector(name)] = read_action(name)(value[name])
        except ValueError as error:
            faults.append(Fault((name,), str(error)))
    if faults:
        raise Faults(faults)
    return MappingProxyType(found)


def read_detector(value: object) -> str:
    if not isinstance(value, str) or not _DETECTOR.fullmatch(value) or len(value) > DETECTOR_CHARS:
        raise ValueError(
            f'a detector is named as `trio-egress detectors list` does, as in "github-token", not {show(value)}'
        )
    return value


def read_whole(value: object) -> int:
    size = read_size("whole", value, 0)
    if size > WHOLE_MOST:
        raise ValueError(
            "whole must be at most 1 GiB: so much of a body is kept in memory until it may go on"
        )
    return size


def read_unreadable(value: object) -> Action:
    if value not in UNREADABLE:
        raise ValueError(f'unreadable must be "block" or "warn", not {show(value)}')
    return Action(value)


SCAN_READERS: Mapping[str, Callable[[object], object]] = {
    **{key: read_action(key) for key in KINDS},
    "detectors": read_detectors,
    "requests": read_flag("scan.requests"),
    "answers": read_flag("scan.answers"),
    "whole": read_whole,
    "unreadable": read_unreadable,
}
"""Of each key of a rule's `scan`, and of what `[scan]` says for all rules."""


def check_scan(scan: Scan) -> Scan:
    """Raises Faults for what can't be said together; paths are relative to the table."""
    if scan.requests is False and scan.answers is False:
        raise Faults(
            [
                Fault(
                    ("answers",),
                    "neither requests nor answers are looked through: write scan = false",
                    on_key=True,
                )
            ]
        )
    return scan
