"""`trio-egress policy import`: another tool's policy as one of ours, and what it could not say."""

from __future__ import annotations

import argparse
import json
import sys

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.foreign.convert import Converted, convert
from trio_egress.policy.load import load_policy

FILE_BYTES = 16 << 20
"""The most that is read of the other tool's file."""


def main(options: argparse.Namespace) -> int:
    """0 converted; 1 the file is none of that tool's; 2 it could not be read, or the policy not written."""
    name = "standard input" if options.file == "-" else options.file
    try:
        converted = convert(options.tool, _read(options.file), name)
        load_policy(converted.text, options.output or "the converted policy")
        _write(converted, options)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"trio-egress policy import: {error}", file=sys.stderr)
        return 2
    if not options.json:
        for note in converted.notes:
            print(f"trio-egress: not said here: {note}", file=sys.stderr)
    return 0


def _write(converted: Converted, options: argparse.Namespace) -> None:
    if options.json:
        document = {"policy": converted.text, "rules": converted.rules, "notes": converted.notes}
        print(json.dumps(document, indent=2))
    if options.output is None:
        if not options.json:
            sys.stdout.write(converted.text)
        return
    try:
        with open(options.output, "x", encoding="utf-8") as file:
            file.write(converted.text)
    except FileExistsError:
        raise UsageError(f"{options.output} exists already and is left as it is") from None
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error.strerror}") from None
    count = converted.rules
    print(f"trio-egress: wrote {options.output}: {count} rule{'' if count == 1 else 's'}", file=sys.stderr)


def _read(path: str) -> str:
    """Standard input for `-`. Raises UsageError."""
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(FILE_BYTES + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > FILE_BYTES:
        raise UsageError(f"{path} is larger than {FILE_BYTES >> 20} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
