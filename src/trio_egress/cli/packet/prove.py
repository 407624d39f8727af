"""`trio-egress packet prove`: a proof that a receipt is in a log, or that a log extends what it was; and its check.

Rule 1: a proof is checked before it is given out, and nothing is ever written over.
Rule 2: nothing is called proven without a public key that the caller names.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from trio_egress.cli.packet.places import open_packet, write_new
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME, Checkpoint, SignedCheckpoint, parse_checkpoint
from trio_egress.evidence.container import Packet, read_file, read_plain
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.landmarks import split_lines
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.merkle import (
    find_consistency,
    find_inclusion,
    hash_leaf,
    hash_ranges,
    is_consistent,
    is_included,
)
from trio_egress.evidence.note import NOTE_BYTES, render_verifier_key
from trio_egress.evidence.packet import read_public_key
from trio_egress.evidence.proof import (
    PROOF_BYTES,
    Consistency,
    Inclusion,
    check_consistency,
    check_inclusion,
    parse_proof,
    render_consistency,
    render_inclusion,
)
from trio_egress.evidence.sign import PublicKey


class Unproven(Exception):
    """What was asked for is not so; the message says why."""


def main(options: argparse.Namespace) -> int:
    """0 proven; 1 not so; 2 a file could not be read or written; 64 usage."""
    try:
        return _check(options) if options.check else _prove(options)
    except UsageError as error:
        return _say(str(error), 64)
    except EvidenceError as error:
        return _say(escape_text(str(error)), 2)
    except Unproven as error:
        return _say(f"NOT PROVEN: {error}", 1)


def _say(text: str, code: int) -> int:
    print(f"trio-egress packet prove: {text}", file=sys.stderr)
    return code


# making


def _prove(options: argparse.Namespace) -> int:
    if options.packet is None or (options.seq is None) == (options.since is None):
        raise UsageError("name a PACKET, and either SEQ or --since CHECKPOINT; or --check PROOF")
    packet = open_packet(options.packet)
    raw = read_file(packet, CHECKPOINT_NAME)
    state = _parse_checkpoint(raw, CHECKPOINT_NAME).checkpoint
    if options.seq is not None:
        proof = _prove_inclusion(packet, options.seq, state, raw)
    else:
        older = _parse_checkpoint(read_plain(options.since, NOTE_BYTES), options.since).checkpoint
        proof = _prove_consistency(packet, older, state, raw)
    if options.output is None:
        sys.stdout.buffer.write(proof)  # UTF-8, whatever the terminal's encoding
    else:
        write_new(options.output, proof)
    return 0


def _prove_inclusion(packet: Packet, index: int, state: Checkpoint, raw: bytes) -> bytes:
    if index >= state.size:
        raise Unproven(
            f"the checkpoint is of {state.size} lines, and line {index} (from 0) is not among them"
        )
    found: list[bytes] = []

    def keep(lines: Iterator[bytes]) -> Iterator[bytes]:
        for at, line in enumerate(lines):
            if at == index:
                found.append(line)
            yield line

    with _open_lines(packet) as lines:
        path = hash_ranges(keep(lines), find_inclusion(index, state.size))
        line = found[0] if found else next(lines, None)  # a log of one line needs no hash to prove it
    if line is None or not is_included(hash_leaf(line), index, state.size, state.root, path):
        raise Unproven("the lines of the log are not those of its checkpoint")
    return render_inclusion(index, path, raw, line)


def _prove_consistency(packet: Packet, older: Checkpoint, state: Checkpoint, raw: bytes) -> bytes:
    if older.origin != state.origin:
        raise Unproven(f"the checkpoints are of different logs: {older.origin!a} and {state.origin!a}")
    if older.size > state.size:
        raise Unproven(f"the older checkpoint is of {older.size} lines, and the log has {state.size}")
    with _open_lines(packet) as lines:
        path = hash_ranges(lines, find_consistency(older.size, state.size))
    if not is_consistent(older.size, older.root, state.size, state.root, path):
        raise Unproven("the log does not begin with the lines of the older checkpoint")
    return render_consistency(older.size, path, raw)


@contextmanager
def _open_lines(packet: Packet) -> Iterator[Iterator[bytes]]:
    with packet.open(EVIDENCE_NAME) as stream:
        try:
            yield split_lines(stream)
        except ValueError:
            raise Unproven(f"{EVIDENCE_NAME} has fewer lines than the checkpoint says") from None
        except OSError as error:
            raise EvidenceError(f"cannot read {EVIDENCE_NAME}: {error.strerror or error}") from None


# checking


def _check(options: argparse.Namespace) -> int:
    if not options.public_key:
        raise UsageError("--check needs --public-key: a proof is worth what its key is worth")
    if options.packet is not None:
        raise UsageError("--check takes a proof and no PACKET: nothing of the log is needed")
    keys = [read_public_key(key) for key in options.public_key]
    try:
        proof = parse_proof(read_plain(options.check, PROOF_BYTES))
    except ValueError as error:
        raise Unproven(f"{options.check}: {error}") from None
    match proof:
        case Inclusion():
            facts = _check_inclusion(proof, options.line, keys)
        case Consistency():
            facts = _check_consistency(proof, options.since, keys)
    log = proof.signed.checkpoint
    key = next(filter(proof.signed.is_signed, keys))
    facts |= {"log": log.origin, "size": log.size, "root": log.root.hex(), "key": key}
    facts |= {"verifier_key": render_verifier_key(log.origin, key)}
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    print(f"PROVEN: {escape_text(str(facts['proven']))}")
    for name in ("log", "size", "root", "key"):
        print(f"  {name:<9}{escape_text(str(facts[name]))}")
    return 0


def _check_inclusion(proof: Inclusion, place: str | None, keys: list[PublicKey]) -> dict[str, object]:
    line = proof.extra if place is None else read_plain(place, LINE_BYTES).removesuffix(b"\n")
    if line is None:
        raise UsageError("the proof does not tell the line: give it with --line FILE")
    if reason := check_inclusion(proof, line, keys):
        raise Unproven(reason)
    if place is not None and proof.extra not in (None, line):
        raise Unproven("the proof tells another line than the one given")
    told = _tell_receipt(line)
    what = " ".join(str(told[name]) for name in ("verdict", "target") if name in told)
    return {"proven": f"line {proof.index} (from 0) of the log: {what}", "index": proof.index, **told}


def _tell_receipt(line: bytes) -> dict[str, object]:
    """What the receipt in the line says; the log's key has signed it twice then."""
    receipt = read_line(line)
    if not isinstance(receipt, Line):
        return {}
    names = ("timestamp", "verdict", "transport", "target", "chain_seq")
    told = {name: receipt.record[name] for name in names if name in receipt.record}
    return {**told, "receipt_hash": receipt.hash}


def _check_consistency(proof: Consistency, place: str | None, keys: list[PublicKey]) -> dict[str, object]:
    if place is None:
        raise UsageError("a consistency proof is checked with the older checkpoint: --since CHECKPOINT")
    older = _parse_checkpoint(read_plain(place, NOTE_BYTES), place)
    if reason := check_consistency(proof, older, keys):
        raise Unproven(reason)
    size = proof.signed.checkpoint.size
    return {
        "proven": f"the log of {size} lines begins with the {proof.old} that it had before",
        "old": proof.old,
    }


def _parse_checkpoint(raw: bytes, place: str) -> SignedCheckpoint:
    try:
        return parse_checkpoint(raw)
    except ValueError as error:
        raise EvidenceError(f"{place} is no checkpoint: {error}") from None
