"""What may stand in `ext.trio_egress`: the facts of a receipt, each with one meaning and one unit.

Knows no receipt and no hash: mappings in, mappings that are safe to sign out.

Rule 1: text is printable ASCII, so that a verifier that decodes `ext` before hashing it gets the same bytes
as one that hashes it as stored (both exist). All else, and a backslash, stands as its Python escape.
Rule 2: no text raises, however long or strange; `ext` as a whole is bounded.
Rule 3: what the table of facts knows has its type; what it does not know may be anything that Rule 1 allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trio_egress.evidence.members import TEXT, TEXTS, UINT64, Misfit, Shape, describe
from trio_egress.evidence.scan_form import FINDINGS, FINDINGS_SHAPE, FOUND, FOUND_SHAPE, LEFT_OUT, UNSCANNED

EXT_NAME = "trio_egress"
EXT_VERSION = 1

FACT_CHARS = 2048
"""Longest text in `ext`; a URL that a browser would still send is about this long."""

FACT_BUDGET = 32_768
"""Characters, plus 8 an item, in one `ext`: even at 12 bytes each, a line stays under LINE_BYTES."""

SAFE_INTEGER = 2**53 - 1
"""RFC 8259 6: integers that every JSON reader keeps exact."""

_ITEM_COST = 8
PORT = Shape(
    "an integer from 0 to 65535",
    lambda value: type(value) is int and 0 <= value <= 65535,
    pattern="(0|[1-9][0-9]{0,3}|[1-5][0-9]{4})",
)
_VERSION = Shape("the integer 1", lambda value: type(value) is int and value == EXT_VERSION, pattern="1")

FACTS: Mapping[str, Shape] = {
    "v": _VERSION,
    "flow": UINT64,
    "connection": UINT64,
    "connections": UINT64,
    "mode": TEXT,
    "counter": TEXT,
    "lost": TEXT,
    "call": TEXT,
    "detail": TEXT,
    "errno": TEXT,
    "host": TEXT,
    "port": PORT,
    "proto": TEXT,
    "dialled": TEXT,
    "via": TEXT,
    "origin": TEXT,
    "sni": TEXT,
    "tls": TEXT,
    "tls_version": TEXT,
    "host_key": TEXT,
    "kex": TEXT,
    "service": TEXT,
    "command": TEXT,
    "http": TEXT,
    "reason": TEXT,
    "bytes_up": UINT64,
    "bytes_down": UINT64,
    "duration_us": UINT64,
    "status": UINT64,
    "count": UINT64,
    "frames_up": UINT64,
    "frames_down": UINT64,
    "messages_up": UINT64,
    "messages_down": UINT64,
    "message_bytes_up": UINT64,
    "message_bytes_down": UINT64,
    "close_up": UINT64,
    "close_down": UINT64,
    "method_overrides": TEXTS,
    "ws_origin": TEXT,
    "ws_protocols": TEXTS,
    "subprotocol": TEXT,
    "compressed": Shape("true", lambda value: value is True),
    "policy_from": TEXT,
    "policy_to": TEXT,
    "connections_kept": UINT64,
    "connections_ended": UINT64,
    "stopped": TEXT,
    "policy_sha256": TEXT,
    "policy_includes_sha256": TEXT,
    "commitment_key_sha256": TEXT,
    "query_values": TEXTS,
    "secrets_used": TEXTS,
    "secrets_refused": TEXTS,
    "recovers": TEXT,
    "abandoned_seq": UINT64,
    "abandoned_head": TEXT,
    "torn_bytes": UINT64,
    "torn_sha256": TEXT,
    "end": TEXT,
    "userinfo": TEXTS,
    "asked_of": TEXT,
    "answer": TEXT,
    "answered_by": TEXT,
    "answer_us": UINT64,
    FINDINGS: FINDINGS_SHAPE,
    LEFT_OUT: UINT64,
    FOUND: FOUND_SHAPE,
    UNSCANNED: TEXT,
    "from": TEXT,
    "tool": TEXT,
    "error": Shape("an integer", lambda value: type(value) is int),
    "events_dropped": UINT64,
    "commands": UINT64,
    "command_number": UINT64,
    "program": TEXT,
    "arguments": UINT64,
    "timed_out": Shape("true", lambda value: value is True),
    "agent_exit_code": Shape("an integer", lambda value: type(value) is int),
}


def render_ext(facts: Mapping[str, object]) -> dict[str, object]:
    """The `ext` of a receipt. A fact that is None is left out: it is not known.

    Raises TypeError for what has no place there (a float, bytes …) or is not what FACTS says, and ValueError
    for an integer beyond SAFE_INTEGER: both are bugs of the caller. No text raises.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    cleaned = {**_clean_facts({"v": EXT_VERSION, **known}), "v": EXT_VERSION}
    misfits = find_fact_misfits(cleaned)
    if misfits:
        raise TypeError(
            f"the fact {misfits[0].place!r} must be {misfits[0].expected}, got {misfits[0].found}"
        )
    return {EXT_NAME: cleaned}


def find_ext_misfits(ext: object, stored: bytes) -> list[Misfit]:
    """In what a receipt's `ext` (and its stored bytes) is not of the form that `render_ext` gives."""
    if type(ext) is not dict or list(ext) != [EXT_NAME]:
        return [Misfit("ext.form", "ext", describe(ext), f"an object with {EXT_NAME} alone")]
    facts = ext[EXT_NAME]
    if type(facts) is not dict or "v" not in facts:
        return [Misfit("ext.form", f"ext.{EXT_NAME}", describe(facts), "an object with the version v")]
    # Where stored bytes hold no escape at all, every text in them is printable ASCII.
    if b"\\" in stored and not _has_portable_text(facts):
        return [Misfit("ext.text", f"ext.{EXT_NAME}", "a character that is not", "printable ASCII alone")]
    return find_fact_misfits(facts)


def find_fact_misfits(facts: Mapping[str, object]) -> list[Misfit]:
    for name, value in facts.items():
        shape = FACTS.get(name)
        if shape is not None and not shape.fits(value):
            return [Misfit("ext.fact", f"ext.{EXT_NAME}.{name}", describe(value), shape.expected)]
    return []


def _has_portable_text(value: object) -> bool:
    if type(value) is str:
        return is_portable(value)
    if type(value) is list:
        return all(map(_has_portable_text, value))
    if type(value) is dict:
        return all(map(is_portable, value)) and all(map(_has_portable_text, value.values()))
    return True


def is_portable(text: str) -> bool:
    """Whether `text` is printable ASCII."""
    return text.isascii() and text.isprintable()


def escape_text(text: str, limit: int = FACT_CHARS) -> str:
    """`text` as it may stand in `ext`: printable ASCII; all else, and a backslash, as its Python escape."""
    if len(text) > limit:
        text = f"{text[:limit]}...({len(text) - limit} more)"
    if is_portable(text) and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode("ascii")


def walk(value: object) -> Iterator[str]:
    """Every text in a value."""
    match value:
        case str():
            yield value
        case Mapping():
            for name, item in value.items():
                yield from walk(name)
                yield from walk(item)
        case list() | tuple():
            for item in value:
                yield from walk(item)


def _clean_facts(facts: Mapping[str, object]) -> dict[str, object]:
    """Within FACT_BUDGET; where that isn't enough, numbers and sums go before texts, and texts before lists."""
    budget = [FACT_BUDGET]
    cleaned = _clean_members(facts, budget)
    if budget[0] > 0:
        return cleaned
    first = sorted(facts, key=lambda name: _find_rank(name, facts[name]))
    kept = _clean_members({name: facts[name] for name in first}, [FACT_BUDGET])
    return {name: kept[name] for name in facts if name in kept}


def _find_rank(name: str, value: object) -> int:
    match value:
        case None | bool() | int():
            return 0
        case str():
            return 2
    return {FOUND: 1, FINDINGS: 3}.get(name, 4)


def _clean_members(members: Mapping[str, object], budget: list[int]) -> dict[str, object]:
    cleaned: dict[str, object] = {}
    for name, value in members.items():
        if budget[0] <= len(name):
            break
        shown = _spend_text(name, budget)  # first: what it names may take all that is left
        cleaned[shown] = _clean_fact(value, budget)
    return cleaned


def _clean_fact(value: object, budget: list[int]) -> object:
    budget[0] -= _ITEM_COST
    match value:
        case None | bool():
            return value
        case str():
            return _spend_text(value, budget)
        case int():
            if abs(value) > SAFE_INTEGER:
                raise ValueError(f"an integer in ext must stay within ±{SAFE_INTEGER}, got {value}")
            return int(value)
        case list() | tuple():
            items: list[object] = []
            for item in value:
                if budget[0] <= 0:
                    break
                items.append(_clean_fact(item, budget))
            return items
        case Mapping():
            return _clean_members(value, budget)
    raise TypeError(
        f"ext holds integers, text, lists, mappings, booleans and None, not {type(value).__name__}"
    )


def _spend_text(text: str, budget: list[int]) -> str:
    text = escape_text(text, max(0, min(FACT_CHARS, budget[0])))
    budget[0] -= len(text)
    return text


def find_miss(facts: Mapping[str, object]) -> str:
    """Why nothing was reached, of the outcome of an allowed attempt; empty where something was.

    Without a fault the reason is the one for which it was allowed, and begins with the rule.
    """
    reason, rule = facts.get("reason"), facts.get("rule")
    if not isinstance(reason, str) or "dialled" in facts:
        return ""
    return "" if isinstance(rule, str) and reason.startswith(rule) else reason
