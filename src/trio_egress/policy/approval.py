"""What a rule says of asking somebody first: `ask = true`, or how long an answer is waited for.

Asks nobody: who is asked, and what becomes of the answer, is the proxy's (`proxy/approval.py`).

Rule 1: an answer only narrows: what a rule does not allow is never asked about.
"""

from __future__ import annotations

from trio_egress.texts.faults import show
from trio_egress.values import frozen

ASK_SECONDS = 60
"""For an answer, where nothing else is said."""

LONGEST_SECONDS = 3600


@frozen
class Ask:
    """An approver is asked before anything goes on, and has so many seconds."""

    seconds: int = ASK_SECONDS


def read_seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"ask.seconds must be a whole number such as {ASK_SECONDS}, not {show(value)}")
    if not 1 <= value <= LONGEST_SECONDS:
        raise ValueError(f"ask.seconds must be from 1 to {LONGEST_SECONDS}, not {value}")
    return value


def render_ask(ask: Ask) -> object:
    return True if ask == Ask() else {"seconds": ask.seconds}


def describe_ask(seconds: int) -> str:
    return f"an approver is asked first, and has {seconds} s"
