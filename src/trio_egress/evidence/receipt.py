"""One receipt: what a caller knows of it, and the record and line that it becomes.

Makes no time, no randomness and no signature: those are arguments. Writes nothing.

Rule 1: no text that an agent or a peer chose can make it raise, or make a line of LINE_BYTES.
Rule 2: `ext` is covered by the signature through its hash in `precedent_refs`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime, timezone

import attrs

from trio_egress.evidence.canonical import clean_text
from trio_egress.evidence.receipt_form import (
    ACTION_ID,
    ACTION_TYPES,
    PHASES,
    RECORD,
    REVERSIBILITIES,
    SIDE_EFFECTS,
    TRANSPORTS,
    VERDICTS,
)
from trio_egress.evidence.sign import SIGNATURE_PREFIX
from trio_egress.values import frozen

EXT_REF_PREFIX = "trio-egress/ext:sha256:"

TARGET_CHARS = 4096
"""Longest target kept; the proxy already bounds a request line."""

WORD_CHARS = 256
"""Longest method, layer, pattern and severity kept."""

_WORDS: Mapping[str, Collection[str]] = {
    "verdict": VERDICTS,
    "transport": TRANSPORTS,
    "phase": {"", *PHASES},
    "action_type": ACTION_TYPES,
    "side_effect_class": SIDE_EFFECTS,
    "reversibility": REVERSIBILITIES,
}


@functools.lru_cache(maxsize=256)
def _check_words(*words: str) -> None:
    """Raises ValueError. A run has some thirty sets of them, and each receipt has one."""
    for (member, known), word in zip(_WORDS.items(), words, strict=True):
        if word not in known:
            raise ValueError(f"{member} must be one of {sorted(known)}, got {word!r}")


@frozen
class Draft:
    """What a caller knows of one receipt. `facts` become `ext.trio_egress`.

    `parent_id`: the attempt that it tells more of. `replaced`: how often which class of secret was replaced already.
    """

    action_id: str
    target: str
    verdict: str
    transport: str
    phase: str = ""
    action_type: str = "unclassified"
    side_effect_class: str = "none"
    reversibility: str = "unknown"
    method: str = ""
    layer: str = ""
    pattern: str = ""
    severity: str = ""
    facts: Mapping[str, object] = attrs.field(factory=dict)
    parent_id: str = attrs.field(default="", kw_only=True)
    replaced: Mapping[str, int] = attrs.field(factory=dict, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if ACTION_ID.fullmatch(self.action_id) is None:
            raise ValueError(f"action_id must be a UUID of version 7 in lower case, got {self.action_id!r}")
        _check_words(
            self.verdict,
            self.transport,
            self.phase,
            self.action_type,
            self.side_effect_class,
            self.reversibility,
        )


def render_record(draft: Draft, fixed: Mapping[str, object], stored_ext: bytes) -> dict[str, object]:
    """The `action_record` in canonical order; `fixed` are the members that the chain knows."""
    return RECORD.order(
        {
            "version": 1,
            "action_id": draft.action_id,
            "parent_action_id": draft.parent_id,
            "action_type": draft.action_type,
            "delegation_chain": [],
            "target": clean_text(draft.target, TARGET_CHARS) or "(empty)",
            "side_effect_class": draft.side_effect_class,
            "reversibility": draft.reversibility,
            "verdict": draft.verdict,
            "decision_phase": draft.phase,
            "transport": draft.transport,
            "method": clean_text(draft.method, WORD_CHARS),
            "layer": clean_text(draft.layer, WORD_CHARS),
            "pattern": clean_text(draft.pattern, WORD_CHARS),
            "severity": clean_text(draft.severity, WORD_CHARS),
            "precedent_refs": [render_ext_ref(stored_ext)],
            **fixed,
        }
    )


def add_counts(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    """How often which class was replaced, by one and the other; sorted."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})} if other else one


def render_redaction(by_class: Mapping[str, int]) -> dict[str, object]:
    """The member that says how often which secret was replaced; none where none was. `by_class` is sorted."""
    if not by_class:
        return {}
    return {"redaction": {"total_redactions": sum(by_class.values()), "by_class": dict(by_class)}}


def render_ext_ref(stored_ext: bytes) -> str:
    """The reference by which a record covers its `ext`."""
    return EXT_REF_PREFIX + hashlib.sha256(stored_ext).hexdigest()


def digest_record(canonical_record: bytes) -> bytes:
    """The 32 bytes that are signed."""
    return hashlib.sha256(canonical_record).digest()


def assemble(record: bytes, signature: bytes, signer_key: str, ext: bytes | None) -> bytes:
    """A whole receipt around a rendered record (canonical or stored) and a rendered ext."""
    tail = b"" if ext is None else b',"ext":' + ext
    return b'{"version":1,"action_record":%b,"signature":"%b%b","signer_key":"%b"%b}' % (
        record,
        SIGNATURE_PREFIX.encode(),
        signature.hex().encode(),
        signer_key.encode(),
        tail,
    )


def hash_receipt(canonical_receipt: bytes) -> str:
    """The hash that the next receipt names as `chain_prev_hash`."""
    return hashlib.sha256(canonical_receipt).hexdigest()


def render_timestamp(now_ns: int) -> str:
    """RFC 3339 in UTC, up to nine fraction digits and no trailing zeros."""
    second, fraction = divmod(now_ns, 1_000_000_000)
    if not fraction:
        return _render_second(second) + "Z"
    return f"{_render_second(second)}.{fraction:09d}".rstrip("0") + "Z"


@functools.lru_cache(maxsize=64)
def _render_second(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def parse_timestamp(text: str) -> int | None:
    """Nanoseconds since 1970 of exactly the form that `render_timestamp` writes, or None."""
    if not text.isascii() or len(text) < 20 or text[-1] != "Z":
        return None
    second = _parse_second(text[:19])
    if second is None:
        return None
    if len(text) == 20:
        return second * 1_000_000_000
    digits = text[20:-1]
    if text[19] != "." or not digits.isdecimal() or len(digits) > 9 or digits[-1] == "0":
        return None
    return second * 1_000_000_000 + int(digits.ljust(9, "0"))


@functools.lru_cache(maxsize=64)
def _parse_second(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    second = int(moment.timestamp())
    # fromisoformat takes other forms too: only the one that is written counts.
    return second if second >= 0 and _render_second(second) == text else None


def uuid7(now_ns: int, random: bytes) -> str:
    """A UUID of version 7 (RFC 9562 5.7) from Unix time and ten random bytes."""
    head = (now_ns // 1_000_000) & (2**48 - 1)
    noise = int.from_bytes(random[:10].rjust(10, b"\0"), "big")
    value = head << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (2**62 - 1)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
