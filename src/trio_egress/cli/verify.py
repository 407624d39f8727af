"""`trio-egress verify`: one call of the verifier, its report on standard output, its verdict as the exit code.

Rule 1: a report is never written into the packet that it is of, nor over anything that was read for it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from trio_egress.checkers import count_jobs, open_checkers
from trio_egress.cli.fold import find_columns, fold
from trio_egress.cli.plain_file import open_output
from trio_egress.errors import UsageError
from trio_egress.evidence.container import find_packet
from trio_egress.evidence.report import Report, render_json, render_text
from trio_egress.verification import verify


def main(options: argparse.Namespace) -> int:
    """0 valid, 1 invalid, 2 could not run, 3 not proven, 64 usage."""
    try:
        path = _find_path(options)
        _refuse_output(options, path)
        with open_checkers(options.jobs or count_jobs()) as checker:
            report = verify(
                path,
                options.public_key,
                policy_hash=options.policy_hash,
                expect_run=options.expect_run,
                expect_head=options.expect_head,
                anchors=options.anchor,
                decide=not options.no_decide,
                checker=checker,
                quick=options.quick,
            )
    except UsageError as error:
        print(f"trio-egress verify: {error}", file=sys.stderr)
        return 64
    text = json.dumps(render_json(report), indent=2)
    print(text if options.json else fold(render_text(report).rstrip(), find_columns()))
    return _write(options.output, f"{text}\n", report)


def _find_path(options: argparse.Namespace) -> str:
    """What is to be checked: PACKET, or the chain that --receipt-chain names."""
    packet: str | None = options.packet
    chain: str | None = options.receipt_chain
    if packet is not None and chain is not None:
        raise UsageError("PACKET has a chain of its own: give it, or --receipt-chain for a bare one")
    if chain is not None:
        if find_packet(chain) is not None:
            raise UsageError(f"--receipt-chain {chain} is a packet and no bare chain: give it as PACKET")
        return chain
    if packet is None:
        raise UsageError("nothing to check: give PACKET, or --receipt-chain FILE for a bare chain")
    return packet


def _refuse_output(options: argparse.Namespace, path: str) -> None:
    if options.output is None:
        return
    folder = os.path.dirname(os.path.abspath(options.output))
    if os.path.isdir(path) and os.path.realpath(folder) == os.path.realpath(path):
        raise UsageError(
            f"--output {options.output} would be in the packet, which it would no longer be: name a place outside it"
        )
    for source in (path, options.policy_hash, *options.public_key, *options.anchor):
        if source and _is_same(source, options.output):
            raise UsageError(f"--output {options.output} would be written over what is checked")


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _write(output: str | None, text: str, report: Report) -> int:
    """The report as a file too; where that can't be, nobody should take it for written."""
    if output is None:
        return report.exit_code
    try:
        with open(open_output(output), "w", encoding="utf-8") as file:
            file.write(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"trio-egress verify: cannot write {output}: {reason}", file=sys.stderr)
        return 2
    return report.exit_code
