"""One stored line read strictly: the receipt in it, and the two hashes that sign and link it.

Judges a line by itself: nothing of keys, order or session.

Rule 1: only one spelling of a receipt is accepted; what its bytes are must follow from its values.
Rule 2: no bytes raise: what is wrong comes back as misfits.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from trio_egress.evidence.canonical import (
    NESTING,
    find_repeated,
    is_nested,
    is_plain,
    parse_json,
    render_canonical,
    render_stored,
)
from trio_egress.evidence.facts import EXT_NAME, find_ext_misfits
from trio_egress.evidence.members import Member, Misfit, Presence, Shape, Table, describe, matching
from trio_egress.evidence.receipt import EXT_REF_PREFIX, assemble, digest_record, hash_receipt, render_ext_ref
from trio_egress.evidence.receipt_form import HEX_64, ONE, RECORD
from trio_egress.evidence.sign import SIGNATURE_FORM, SIGNATURE_PREFIX
from trio_egress.evidence.usual import Form, UsualForms

_OBJECT = Shape("an object", lambda value: type(value) is dict)
ENVELOPE = Table(
    (
        Member("version", ONE, Presence.PRESENT),
        Member("action_record", _OBJECT, Presence.FILLED),
        Member(
            "signature", matching(SIGNATURE_FORM, "ed25519: and 128 lower-case hex digits"), Presence.FILLED
        ),
        Member("signer_key", matching(HEX_64, "64 lower-case hex digits"), Presence.FILLED),
        Member("ext", _OBJECT, Presence.OPTIONAL),
    )
)

_usual = UsualForms()

# Where a record begins in a line, how far before the digits of the signature it ends, and how far after their first one
# the ext begins.
_RECORD_AT = len(b'{"version":1,"action_record":')
_RECORD_BEFORE = len(b',"signature":"' + SIGNATURE_PREFIX.encode())
_EXT_AFTER = 128 + len(b'","signer_key":"') + 64 + len(b'","ext":')


class Line(NamedTuple):
    """A receipt as stored. `fit` says that its record and ext are what the tables say."""

    record: dict[str, object]
    ext: dict[str, object] | None
    signature: bytes
    signer_key: str
    digest: bytes
    hash: str
    misfits: tuple[Misfit, ...]


def read_line(raw: bytes) -> Line | tuple[Misfit, ...]:
    """The receipt of one line (without its LF), or, where there is none to speak of, why."""
    usual = _usual.find(raw)
    if usual is not None:
        return _read_usual(raw, *usual)
    line = read_in_full(raw)
    if isinstance(line, Line) and line.ext is not None and not line.misfits:
        _usual.learn(raw, line.record, line.ext[EXT_NAME], line.signer_key)
    return line


def _read_usual(raw: bytes, form: Form, found: re.Match[str]) -> Line:
    """A line without escapes is its own canonical form, so every hash is one of its bytes as they stand."""
    _, end, signer_key, record, names, reads, facts, fact_names, fact_reads = form
    groups = found.groups()
    record, facts = record.copy(), facts.copy()
    record.update(zip(names, groups))  # noqa: B905 (more groups follow)
    for name, read in reads:
        record[name] = read(record[name])  # type: ignore[arg-type]
    facts.update(zip(fact_names, groups[end + 1 :]))  # noqa: B905
    for name, read in fact_reads:
        facts[name] = read(facts[name])  # type: ignore[arg-type]
    ext: dict[str, object] = {EXT_NAME: facts}
    at = found.start(end + 1)
    stored_ext = raw[at + _EXT_AFTER : -1]
    bound = record.get("precedent_refs") == [render_ext_ref(stored_ext)]
    return Line(
        record,
        ext,
        bytes.fromhex(groups[end]),
        signer_key,
        digest_record(raw[_RECORD_AT : at - _RECORD_BEFORE]),
        hash_receipt(raw),
        () if bound else tuple(_find_unbound(record, ext, stored_ext)),
    )


def read_in_full(raw: bytes) -> Line | tuple[Misfit, ...]:
    """What `read_line` gives, without a short cut."""
    try:
        receipt = parse_json(raw)
    except UnicodeDecodeError as error:
        return (Misfit("line.encoding", "", f"byte {raw[error.start]:#04x} at {error.start}", "ASCII"),)
    except ValueError as error:
        return (Misfit("line.form", "", str(error)[:120], "a JSON object without floats"),)
    misfits = ENVELOPE.find_misfits(receipt)
    if misfits:
        return tuple(misfits + _find_spelling(raw))
    assert isinstance(receipt, dict)  # the envelope says so, and the same of its members
    return _read_receipt(raw, receipt)


def _read_receipt(raw: bytes, receipt: dict[str, Any]) -> Line | tuple[Misfit, ...]:
    record: dict[str, object] = receipt["action_record"]
    ext: dict[str, object] | None = receipt.get("ext")
    signature, signer_key = (
        bytes.fromhex(receipt["signature"][len(SIGNATURE_PREFIX) :]),
        receipt["signer_key"],
    )
    misfits = RECORD.find_misfits(record, "action_record.")
    # A record that fits is shallow.
    if is_nested(ext, NESTING - 1) or (misfits and is_nested(record, NESTING - 1)):
        return (Misfit("line.form", "", f"deeper than {NESTING}", f"nesting up to {NESTING}"),)
    stored_ext = None if ext is None else render_stored(ext)
    stored = canonical = render_stored(record)
    if not is_plain(stored):
        try:
            canonical = render_canonical(record)
        except UnicodeEncodeError:
            return (Misfit("line.text", "action_record", "half of a surrogate pair", "valid Unicode"),)
    whole = assemble(canonical, signature, signer_key, stored_ext)
    if raw != (whole if stored is canonical else assemble(stored, signature, signer_key, stored_ext)):
        misfits += _find_spelling(raw) or [
            Misfit("line.bytes", "", "other spaces, escapes or order", "the stored form")
        ]
    misfits += _find_unbound(record, ext, stored_ext)
    return Line(
        record, ext, signature, signer_key, digest_record(canonical), hash_receipt(whole), tuple(misfits)
    )


def _find_spelling(raw: bytes) -> list[Misfit]:
    repeated = find_repeated(raw)
    if repeated is None:
        return []
    return [Misfit("line.repeated", "", f"{describe(repeated)} twice", "each member once")]


def _find_unbound(
    record: dict[str, object], ext: dict[str, object] | None, stored: bytes | None
) -> list[Misfit]:
    """In what `ext` and the reference to it in the signed record do not belong together."""
    refs = record.get("precedent_refs")
    bound = [ref for ref in refs if str(ref).startswith(EXT_REF_PREFIX)] if isinstance(refs, list) else []
    expected = [] if stored is None else [render_ext_ref(stored)]
    if bound != expected:
        found = describe(bound[0]) if bound else "no reference to an ext"
        return [
            Misfit("ext.hash", "ext", found, describe(expected[0]) if expected else "the ext that was signed")
        ]
    return [] if stored is None else find_ext_misfits(ext, stored)
