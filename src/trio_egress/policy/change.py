"""One difference between two policies, as people read it (`diff`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trio_egress.values import frozen

OPENS, CLOSES, CHANGES = "opens", "closes", "changes"

Document = Mapping[str, Any]
"""A policy or a part of one, in its compiled form."""


@frozen
class Change:
    """`effect` is OPENS, CLOSES or CHANGES (neither, or nothing that an example shows)."""

    effect: str
    text: str


def show_value(value: object) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(str, value)) or "none"
        case str():
            return value
        case _:
            return json.dumps(value, sort_keys=True)
