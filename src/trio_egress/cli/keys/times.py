"""Times of day as the options of `keys` take them."""

from __future__ import annotations

from datetime import datetime, timezone

from trio_egress.errors import UsageError


def read_time(option: str, text: str | None) -> int | None:
    """Nanoseconds since 1970 of `2026-01-31`, or `2026-01-31T12:00:00Z` (or with another zone). Raises UsageError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(
            f"{option} {text}: not a day or time like 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        if len(text) > len("2026-01-31"):
            raise UsageError(f"{option} {text}: a time needs its zone: {text}Z is UTC")
        moment = moment.replace(tzinfo=timezone.utc)
    if moment.year < 1970:
        raise UsageError(f"{option} {text}: before 1970")
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000
