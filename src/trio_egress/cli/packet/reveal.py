"""`trio-egress packet reveal`: shows that a value is the one behind a commitment, to whoever has value and key.

The value comes on standard input and never as an argument, which every process of the machine could read.

Rule 1: nothing of the value is printed, whatever it is.
Rule 2: what is found is what the receipts say; whether they hold together is `verify`'s to tell.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from trio_egress.content.fingerprint import fingerprint
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.attempts import Told, read_receipts
from trio_egress.evidence.container import open_plain
from trio_egress.evidence.facts import escape_text, walk
from trio_egress.evidence.receipt_form import COMMITMENT
from trio_egress.evidence.redact import KEY_BYTES, Redactor, commit

VALUE_BYTES = 1 << 20

_KEY = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * KEY_BYTES))


def main(options: argparse.Namespace) -> int:
    """0 found; 1 it is behind no commitment of this packet; 2 a file can't be read, or the key is another run's."""
    try:
        key = _read_key(options.commitment_key)
        value = _read_value()
        found, detectors = _find(Path(options.packet), key, value)
    except UsageError as error:
        print(f"trio-egress packet reveal: {error}", file=sys.stderr)
        return 64
    except EvidenceError as error:
        print(f"trio-egress packet reveal: {escape_text(str(error))}", file=sys.stderr)
        return 2
    marks = {name: fingerprint(name, value) for name in detectors}
    if options.json:
        shown = [{"commitment": told, "receipts": seqs} for told, seqs in found.items()]
        suppress = [{"finding": mark, "detector": name} for name, mark in marks.items()]
        print(json.dumps({"found": shown, **({"suppress": suppress} if suppress else {})}))
    elif not found:
        print("this value is behind no commitment in this packet")
    else:
        for told, seqs in found.items():
            print(f"{told} is this value, in receipts {', '.join(map(str, seqs))}")
        for name, mark in marks.items():
            print(
                *(
                    "",
                    f"{name} found it. If it is nothing secret, the policy can say so, with a reason and an end:",
                ),
                *("", "[[scan.suppress]]", f'finding = "{mark}"', f'detector = "{name}"'),
                *('reason = "..."', "expires = ..."),
                sep="\n",
            )
    return 0 if found else 1


def _read_key(path: str) -> bytes:
    with open_plain(path, follow=True) as file:
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
            raise EvidenceError(f"{path}: group or others may use the commitment key; run: chmod 600 {path}")
        raw = file.read(2 * KEY_BYTES + 2)
    if not _KEY.fullmatch(raw):
        raise EvidenceError(f"{path} is no commitment key: {2 * KEY_BYTES} hex digits are expected")
    return bytes.fromhex(raw.decode("ascii"))


def _read_value() -> bytes:
    if sys.stdin.isatty():
        value = getpass.getpass("The value (it is not shown): ").encode()
    else:
        value = sys.stdin.buffer.read(VALUE_BYTES + 1).removesuffix(b"\n").removesuffix(b"\r")
    if not value or len(value) > VALUE_BYTES:
        raise UsageError(f"the value is expected on standard input, with 1 to {VALUE_BYTES} bytes")
    return value


def _find(packet: Path, key: bytes, value: bytes) -> tuple[Mapping[str, list[int]], list[str]]:
    """The commitments to this value, each with the numbers of the receipts in which it stands, and the detectors that
    found it."""
    found: dict[str, list[int]] = {}
    detectors: dict[str, None] = {}
    expected: dict[str, str] = {}
    for told in read_receipts(packet):
        _check_key(told, key)
        for kind, digest in {
            match for text in walk((told.record, told.facts)) for match in COMMITMENT.findall(text)
        }:
            if kind not in expected:
                expected[kind] = commit(key, kind, value)
            if expected[kind] == f"[{kind}:{digest}]":
                found.setdefault(expected[kind], []).append(told.seq)
        detectors.update((each.detector, None) for each in told.findings if each.commitment in found)
    return found, list(detectors)


def _check_key(told: Told, key: bytes) -> None:
    said = told.facts.get("commitment_key_sha256")
    if told.seq == 0 and said != Redactor(key).key_sha256:
        raise EvidenceError(
            "this is not the commitment key of this run: its open receipt names another, or none"
        )
