"""`trio-egress packet show`: the receipts of a packet for people, all attempts or one receipt in full."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from trio_egress.cli.paint import choose_paint
from trio_egress.errors import EvidenceError, PolicyError
from trio_egress.evidence.attempts import Attempt, Told, join_attempts, read_receipts
from trio_egress.evidence.container import find_packet
from trio_egress.evidence.facts import escape_text, is_portable
from trio_egress.views.lines import describe_attempt, render_attempt, render_receipt

NOT_VERIFIED = "read, not verified: `trio-egress verify` says what it is worth"


def main(options: argparse.Namespace) -> int:
    """0 shown; 1 there is none; 2 it can't be read."""
    path = Path(options.packet)
    try:
        shown = _show_receipts(path, options) if options.which else _show_attempts(path, options)
    except EvidenceError as error:
        print(f"trio-egress packet show: {escape_text(str(error))}", file=sys.stderr)
        return 2
    if not shown:
        print(f"trio-egress packet show: {_explain_nothing(options)}", file=sys.stderr)
        return 1
    if not options.json:
        print(NOT_VERIFIED, file=sys.stderr)
    return 0


def _show_receipts(path: Path, options: argparse.Namespace) -> int:
    """Those of this number or action, in full; of a denial also what would let it through."""
    shown, opening = 0, Told(0, {})
    for told in read_receipts(path):
        opening = told if told.step == "session_open" else opening
        if _is_meant(told, options.which):
            if options.json:
                members = {
                    "line": told.line,
                    "key": told.key,
                    "action_record": told.record,
                    "facts": told.facts,
                }
                print(json.dumps(members))
            else:
                print(
                    *([""] if shown else []), *render_receipt(told), *_advise(path, told, opening), sep="\n"
                )
            shown += 1
    return shown


def _advise(path: Path, told: Told, opening: Told) -> Iterator[str]:
    """The smallest rule that would have allowed it, or why there is none; nothing where the policy isn't at hand."""
    packet = find_packet(path)
    if told.allowed or not told.is_attempt or packet is None:
        return
    from trio_egress.pages.advice import advise
    from trio_egress.pages.story import Denial
    from trio_egress.review import read_policies

    try:
        policies = dict(read_policies(packet))
    except (EvidenceError, PolicyError):
        policies = {}
    advice = advise(Denial(told.record, told.facts, 0, told.observed), policies, opening.facts)
    said = [*advice.rule.splitlines(), *advice.words.splitlines()]
    if said:
        yield "what would allow it"
        yield from (f"  {line if is_portable(line) else escape_text(line)}" for line in said)


def _is_meant(told: Told, which: str) -> bool:
    # A later key's receipts are numbered from 0 again, so their numbers name them only with that key.
    return which in (told.name, f"{told.key}:{told.seq}", f"line:{told.line}", told.action_id)


def _show_attempts(path: Path, options: argparse.Namespace) -> int:
    """A line for each that the options select."""
    paint, shown = choose_paint(sys.stdout, os.environ), 0
    for attempt in _select(path, options):
        print(json.dumps(describe_attempt(attempt)) if options.json else render_attempt(attempt, paint))
        shown += 1
    return shown


def _select(path: Path, options: argparse.Namespace) -> Iterator[Attempt]:
    host = options.host.lower().rstrip(".") if options.host else ""
    for attempt in join_attempts(read_receipts(path)):
        named = attempt.first.host
        if options.denied and not (attempt.denied or attempt.last.observed):
            continue
        if options.found and not attempt.findings:
            continue
        if not host or named == host or named.endswith(f".{host}"):
            yield attempt


def _explain_nothing(options: argparse.Namespace) -> str:
    if options.which:
        return (
            f"there is no receipt {options.which}: give its number as it is listed, line:N, or its action_id"
        )
    wanted = (("denied", options.denied), ("with a find of a scan", options.found))
    selected = [*(word for word, given in wanted if given), *([f"at {options.host}"] if options.host else [])]
    return " ".join(["no attempt", *selected, "is recorded"])
