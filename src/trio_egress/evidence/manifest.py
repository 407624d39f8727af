"""manifest.json: name, size and SHA-256 of every file of a packet, bound to its chain and signed by the run's key.

Pure: whoever calls has measured the files. The signature beside it is one of sshsig.py.

Rule 1: every file is listed but the manifest and its signature; whatever else stands in the directory is a finding.
Rule 2: one byte form (RFC 8785): sorted, compact, UTF-8. Names are plain: no path, no link, no two that differ in case.
Rule 3: packet.json, which is put in place last, always comes with a manifest, so that taking it away is found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

from trio_egress.evidence.archive import PLAIN_NAME
from trio_egress.evidence.canonical import parse_document
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.members import (
    TEXT,
    UINT64,
    Shape,
    Table,
    describe,
    filled,
    is_uint64,
    matching,
    present,
)
from trio_egress.evidence.packet_form import PACKET_NAME
from trio_egress.evidence.receipt_form import HEX_64
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.sign import PublicKey
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE, is_file_signed
from trio_egress.values import frozen

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
UNLISTED = frozenset({MANIFEST_NAME, SIGNATURE_NAME})
SCHEMA = "trio-egress.manifest.v1"

FILES_MAX = 20_000
"""Files of one packet: four thousand changes of the policy leave sixteen thousand."""

_VERSION = Shape(SCHEMA, lambda value: value == SCHEMA)
_FILES = Shape("a list of objects", lambda value: type(value) is list and len(value) <= FILES_MAX)
_HEAD = matching(re.compile(r"[0-9a-f]{64}|"), "64 lower-case hex digits, or nothing")
_SEQ = Shape(
    "a sequence number, or null where there is no receipt", lambda value: value is None or is_uint64(value)
)
_NAME = matching(PLAIN_NAME, "a plain file name of at most 128 letters, digits, dots, dashes and underscores")
_HEX = matching(HEX_64, "64 lower-case hex digits")

MANIFEST = Table(
    (
        *present(_FILES, "files"),
        *present(_SEQ, "final_seq"),
        *present(_HEAD, "head"),
        *present(TEXT, "run_id"),
        *filled(_VERSION, "schema"),
    )
)
ENTRY = Table((*filled(_NAME, "name"), *filled(_HEX, "sha256"), *present(UINT64, "size")))


@frozen(order=True)
class Entry:
    """A file as it was measured."""

    name: str
    sha256: str
    size: int


@frozen
class Missing:
    """A name without a plain file, and why."""

    name: str
    reason: str


def render_manifest(replay: Replay, entries: Iterable[Entry]) -> bytes:
    """The bytes of manifest.json for this chain and these files."""
    return _render(
        {
            "files": [attrs.asdict(entry) for entry in sorted(entries)],
            "final_seq": replay.final_seq if replay.head else None,
            "head": replay.head,
            "run_id": replay.opening.get("recorder_session", ""),
            "schema": SCHEMA,
        }
    )


def _render(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def read_manifest(raw: bytes, findings: Findings) -> Mapping[str, Entry] | None:
    """The files that it lists, by name; None where its form is not right, which is found."""
    manifest = _parse(raw, findings)
    if manifest is None:
        return None
    entries = [Entry(**entry) for entry in manifest["files"]]
    for place, found, expected in _find_disorder([entry.name for entry in entries]):
        findings.add("manifest.form", MANIFEST_NAME, 0, found, expected, place)
        return None
    return {entry.name: entry for entry in entries}


def _parse(raw: bytes, findings: Findings) -> dict[str, Any] | None:
    try:
        value, repeated = parse_document(raw)
    except ValueError as error:
        findings.add("manifest.form", MANIFEST_NAME, 0, str(error)[:120], "a JSON object without floats")
        return None
    misfits = MANIFEST.find_misfits(value)
    if not misfits:
        assert isinstance(value, dict)
        for number, entry in enumerate(value["files"]):
            misfits += ENTRY.find_misfits(entry, f"files[{number}].")
    for misfit in misfits[:8]:
        findings.add("manifest.form", MANIFEST_NAME, 0, misfit.found, misfit.expected, misfit.place)
    if misfits:
        return None
    if repeated is not None or _render(value) != raw:
        found = "other spaces or escapes" if repeated is None else f"{describe(repeated)} twice"
        findings.add("manifest.form", MANIFEST_NAME, 0, found, "sorted, compact JSON")
        return None
    assert isinstance(value, dict)
    return value


def _find_disorder(names: list[str]) -> Iterator[tuple[str, str, str]]:
    seen: dict[str, str] = {}
    for number, name in enumerate(names):
        place = f"files[{number}].name"
        if name in UNLISTED:
            yield place, describe(name), "every file but the manifest and its signature"
        if name.casefold() in seen:
            expected = f"a name that differs from {describe(seen[name.casefold()])} by more than case"
            yield place, describe(name), expected
        seen[name.casefold()] = name
    if names != sorted(names):
        yield "files", "another order", "files sorted by name"


def check_signature(
    raw: bytes, signature: bytes, replay: Replay, key: PublicKey | None, findings: Findings
) -> None:
    """The manifest is signed by the key that closed the chain, and tells of this chain. No key, no receipt: nothing."""
    if key is not None and not is_file_signed(signature, key, MANIFEST_NAMESPACE, raw):
        expected = f"the one signature of {MANIFEST_NAME} by {key}"
        findings.add("manifest.signature", SIGNATURE_NAME, 0, "none that verifies", expected)
    stated, _ = parse_document(raw)
    assert isinstance(stated, dict)
    for place, expected_value in (
        ("final_seq", replay.final_seq if replay.head else None),
        ("head", replay.head),
        ("run_id", replay.opening.get("recorder_session", "")),
    ):
        if stated[place] != expected_value:
            found, expected = describe(stated[place]), describe(expected_value)
            findings.add("manifest.chain", MANIFEST_NAME, 0, found, expected, place)


def check_files(
    listed: Mapping[str, Entry],
    names: Collection[str],
    measure: Callable[[Entry], Entry | Missing],
    *,
    whole: bool,
    findings: Findings,
) -> None:
    """Each file is the one that is listed, and there is no other among the `names` that stand there.

    `measure` looks no further than a file can be as it is listed. Not `whole`: packet.json was never put in place.
    """
    for entry in listed.values():
        match measure(entry):
            case Missing(name, reason):
                if whole or name != PACKET_NAME:
                    findings.add("manifest.file", name, 0, escape_text(reason), "a plain file of the packet")
            case found if found != entry:
                findings.add("manifest.changed", entry.name, 0, _tell_found(found, entry), _tell(entry))
    if not whole:
        return  # a file that was being made aside may stand there
    for name in sorted(set(names) - UNLISTED - listed.keys()):
        expected = "none of this name, as the manifest lists none"
        findings.add("manifest.extra", escape_text(name), 0, "a file", expected)


def _tell_found(found: Entry, entry: Entry) -> str:
    return _tell(found) if found.size <= entry.size else f"more than {entry.size} bytes"


def _tell(entry: Entry) -> str:
    return f"{entry.size} bytes, sha256 {entry.sha256}"
