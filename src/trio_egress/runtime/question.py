"""One question about an attempt, as it is put to a person at a terminal: what is shown, and what a key means.

Knows no terminal: columns in, bytes out; keys in, a word out.

Rule 1: whatever the agent chose (host, path, names of parameters) stands behind a label of ours, in one line, as
        printable ASCII, no longer than the line.
Rule 2: what the agent wrote before is made harmless first: a sequence that it began is ended, its colours and margins
        are taken back.
Rule 3: an answer is one key by itself. What comes in one go with others was not typed as an answer.
"""

from __future__ import annotations

import enum

from trio_egress.evidence.facts import escape_text
from trio_egress.model import Attempt, Protocol
from trio_egress.proxy.approval import Question

COLUMNS, COLUMNS_LEAST = 80, 40
VALUE_CHARS = 1000

CLEAN = b"\x18\x1b\\\x1b[!p\x1b[0m\x1b(B\x0f"
"""CAN and ST end what the agent may have begun; then a soft reset (DECSTR), plain letters, the usual characters."""

_MARK = "=== trio-egress asks "


class Key(enum.Enum):
    ONCE = "y"
    REST = "a"
    NO = "n"


_KEYS = {
    b"y": Key.ONCE,
    b"Y": Key.ONCE,
    b"a": Key.REST,
    b"A": Key.REST,
    b"n": Key.NO,
    b"N": Key.NO,
    b"\x03": Key.NO,
}


def read_key(keys: bytes) -> Key | None:
    return _KEYS.get(keys)


def render_question(question: Question, columns: int, seconds: float, waiting: int = 0) -> bytes:
    """`seconds`: how long is left. `waiting`: questions behind this one."""
    columns = max(COLUMNS_LEAST, columns or COLUMNS)
    attempt, rule = question.attempt, question.rule
    lines = [
        _MARK + "=" * (columns - 1 - len(_MARK)),
        "May the agent do this?",
        *_show("where", f"{attempt.host}, port {attempt.port}", columns),
        *_show("what", _describe(attempt), columns),
        *_show("query", ", ".join(sorted(attempt.query)) if attempt.query else "", columns),
        *_show("rule", str(rule) if rule is not None else "", columns),
        *_show("reason", question.why, columns),
        "y  allow it, this once",
        "a  allow it, and whatever else this rule allows to this host, until the run ends",
        "n  deny it",
        f"Without an answer it is denied in {seconds:.0f} s." + (f" {waiting} more wait." if waiting else ""),
    ]
    return CLEAN + b"\r\n\a" + b"".join(line.encode("ascii") + b"\r\n" for line in lines)


def render_answer(text: str) -> bytes:
    return f"-> {text}\r\n".encode("ascii")


def _show(label: str, text: str, columns: int) -> list[str]:
    """One line, cut in its middle: what a path ends with matters as much as what it begins with."""
    if not text:
        return []
    room = columns - 1 - 8
    shown = escape_text(text, VALUE_CHARS)
    if len(shown) > room:
        cut = f"[{len(shown) - room + 12} more]"
        left = (room - len(cut)) // 2
        shown = shown[:left] + cut + shown[len(shown) - (room - len(cut) - left) :]
    return [f"{label:<8}{shown}"]


def _describe(attempt: Attempt) -> str:
    match attempt.protocol:
        case Protocol.HTTP:
            inside = "inside TLS: " if attempt.secure else "in the clear: "
            kind = "WebSocket " if attempt.websocket else ""
            return f"{inside}{kind}{attempt.method} {attempt.path or '/'}"
        case Protocol.TLS:
            return "a TLS connection that nobody looks into"
        case Protocol.SSH if attempt.service is not None:
            return f"git over SSH: {attempt.service} {attempt.path}"
        case Protocol.SSH:
            return "an SSH connection"
        case _:
            return "a connection of bytes that nobody can read"
