"""Values that several tables of a policy have in common: lists of texts, numbers, amounts of bytes.

Converts nothing: a number is a number and a text is a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from trio_egress.texts.faults import Fault, Faults, hint_nearest, show

ITEMS_MAX = 1000
NUMBER_MAX = 2**53 - 1
"""RFC 8259 6: the compiled form is JSON, and every reader of it keeps these integers exact."""

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

_SIZE = re.compile(r"([0-9]{1,16}) ?([A-Za-z]+)", re.ASCII)


def read_texts(key: str, value: object, example: str, read_text: Callable[[str], str]) -> tuple[str, ...]:
    """A list of texts, each read by `read_text` (ValueError); Faults with every wrong one."""
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list such as {example}, not {show(value)}")
    if len(value) > ITEMS_MAX:
        raise ValueError(f"{key} has at most {ITEMS_MAX} entries, and this has {len(value)}")
    found: dict[str, None] = {}
    faults: list[Fault] = []
    for place, item in enumerate(value):
        try:
            if not isinstance(item, str):
                raise ValueError(f"{key} must be a list such as {example}, and this is {show(item)}")
            found[read_text(item)] = None
        except ValueError as error:
            faults.append(Fault((place,), str(error)))
    if faults:
        raise Faults(faults)
    return tuple(found)


def read_number(key: str, value: object, least: int) -> int:
    """A whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key} must be a whole number such as {max(least, 100)}, not {show(value)}")
    return _bound(key, value, least, str(least))


def read_size(key: str, value: object, least: int) -> int:
    """Bytes, as a whole number or as a text with its unit."""
    if isinstance(value, str):
        return _bound(key, _parse_size(key, value), least, _render_size(least))
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f'{key} must be a size such as "2 GiB", or a number of bytes, not {show(value)}')
    return _bound(key, value, least, _render_size(least))


def _bound(key: str, number: int, least: int, shown: str) -> int:
    if number < least:
        raise ValueError(f"{key} must be at least {shown}; leave it out to set no limit")
    if number > NUMBER_MAX:
        raise ValueError(f"{key} must be at most {NUMBER_MAX}; leave it out to set no limit")
    return number


def _parse_size(key: str, text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'{key} must be a size such as "2 GiB", or a number of bytes, not {show(text)}')
    number, unit = match.groups()
    if unit in UNITS:
        return int(number) * UNITS[unit]
    # "GB" and "g" mean different things to different people, so a reviewer must not have to guess.
    meant = f"{unit[0].upper()}iB"
    hint = f"; did you mean {show(f'{number} {meant}')}?" if meant in UNITS else hint_nearest(unit, UNITS)
    raise ValueError(f"{key}: {show(unit)} is not one of the units {', '.join(UNITS)}{hint}")


def _render_size(number: int) -> str:
    if not number:
        return "0"
    unit = max((unit for unit in UNITS if number % UNITS[unit] == 0), key=UNITS.__getitem__)
    return f"{number // UNITS[unit]} {unit}"


def read_flag(key: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, not {show(value)}")
        return value

    return read
