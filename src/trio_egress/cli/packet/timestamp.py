"""`trio-egress packet timestamp`: the request for an RFC 3161 timestamp of a checkpoint, and the check of its answer.

Rule 1: nothing is sent anywhere; whoever wants the timestamp sends the request.
Rule 2: only the authorities that the caller names are believed.
"""

from __future__ import annotations

import argparse
import json
import sys

import attrs

from trio_egress.cli.packet.places import open_packet, write_new
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME, Checkpoint, parse_checkpoint
from trio_egress.evidence.container import read_file, read_plain
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.timestamp import TOKEN_BYTES, Stamped, check_timestamp, render_request

CERTIFICATES_BYTES = 1 << 20


def main(options: argparse.Namespace) -> int:
    """0 done; 1 the answer proves nothing; 2 a file could not be read or written; 64 usage."""
    try:
        if (options.check is None) != (options.authority is None):
            raise UsageError(
                "--check and --authority go together: an answer is worth what its authority is worth"
            )
        if (options.check is None) == (options.output is None):
            raise UsageError("name where the request goes with --output FILE, or an answer with --check FILE")
        raw = read_file(open_packet(options.packet), CHECKPOINT_NAME)
        state = parse_checkpoint(raw).checkpoint
        if options.check is None:
            write_new(options.output, render_request(raw))
            return 0
        answer = read_plain(options.check, TOKEN_BYTES)
        return _tell(options, check_timestamp(answer, raw, _read_authority(options.authority)), state)
    except UsageError as error:
        return _say(str(error), 64)
    except EvidenceError as error:
        return _say(escape_text(str(error)), 2)
    except ValueError as error:
        return _say(f"{CHECKPOINT_NAME} is no checkpoint: {error}", 2)


def _read_authority(path: str) -> bytes:
    return read_plain(path, CERTIFICATES_BYTES)


def _tell(options: argparse.Namespace, found: Stamped | str, state: Checkpoint) -> int:
    if isinstance(found, str):
        return _say(f"NOT PROVEN: {found}", 1)
    origin = escape_text(state.origin, 512)
    if options.json:
        log = {"log": origin, "size": state.size, "root": state.root.hex()}
        print(json.dumps({**attrs.asdict(found), **log}, indent=2))
        return 0
    print(f"STAMPED: the checkpoint was there at {found.time}, says the authority")
    print(f"  log      {origin}\n  size     {state.size}\n  root     {state.root.hex()}")
    print(f"  policy   {found.policy}\n  serial   {found.serial}")
    print("Whose log it is, and whether its lines are these, says `trio-egress verify`.")
    return 0


def _say(text: str, code: int) -> int:
    print(f"trio-egress packet timestamp: {text}", file=sys.stderr)
    return code
