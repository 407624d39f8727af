"""Values as OCSF's events have them: what is not known is left out, times are milliseconds, addresses are no names."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from trio_egress.evidence.receipt import parse_timestamp


def leave_out(members: Mapping[str, object]) -> dict[str, object]:
    """Without what is not known."""
    return {name: value for name, value in members.items() if value not in (None, "", {})}


def read_milliseconds(time: str) -> int | None:
    now_ns = parse_timestamp(time)
    return None if now_ns is None else now_ns // 1_000_000


def render_milliseconds(duration_us: int | None) -> int | None:
    return None if duration_us is None else duration_us // 1000


def find_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
