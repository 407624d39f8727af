"""`trio-egress policy reload`: have a run that lives read its policy again, and say what came of it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trio_egress.errors import UsageError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.facts import EXT_NAME
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.session import POLICY_TRANSPORT
from trio_egress.runtime.presence import PRESENCE_NAME, send_signal

AUDIT_DIRECTORY = "trio-egress-audit"
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.02


def main(options: argparse.Namespace) -> int:
    """0 changed; 1 refused, and the old policy stays in force; 2 there is no such run, or it did not answer."""
    try:
        evidence = Path(options.evidence) if options.evidence else _find_run()
        answer = _ask(evidence)
    except UsageError as error:
        print(f"trio-egress policy reload: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(answer, indent=2))
    elif answer["changed"]:
        print(f"{evidence}: {answer['from']} -> {answer['to']}")
        print(f"open connections: {answer['kept']} kept, {answer['ended']} ended")
    else:
        print(answer["reason"], file=sys.stderr)
    return 0 if answer["changed"] else 1


def _find_run() -> Path:
    """The one run below ./trio-egress-audit that lives."""
    living = [path.parent for path in Path(AUDIT_DIRECTORY).glob(f"*/{PRESENCE_NAME}")]
    if len(living) != 1:
        found = "no run" if not living else f"{len(living)} runs"
        raise UsageError(f"{found} in ./{AUDIT_DIRECTORY}: name the evidence directory of one")
    return living[0]


def _ask(evidence: Path) -> dict[str, object]:
    """What the receipt of it says. It is looked for among those that come after the question."""
    try:
        stream = (evidence / EVIDENCE_NAME).open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {evidence / EVIDENCE_NAME}: {error.strerror}") from None
    with stream:
        stream.seek(0, 2)
        send_signal(evidence, signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for line in _read_lines(stream):
                if line.record.get("transport") == POLICY_TRANSPORT:
                    return _render(line)
            time.sleep(PAUSE_SECONDS)
    raise UsageError(f"the run of {evidence} did not answer within {PATIENCE_SECONDS:g} s")


def _read_lines(stream: BinaryIO) -> Iterator[Line]:
    """The whole lines that are there by now."""
    while True:
        at = stream.tell()
        raw = stream.readline(LINE_BYTES)
        if not raw.endswith(b"\n"):
            stream.seek(at)
            return
        line = read_line(raw[:-1])
        if isinstance(line, Line):
            yield line


def _render(line: Line) -> dict[str, object]:
    facts = (line.ext or {}).get(EXT_NAME)
    known = facts if isinstance(facts, dict) else {}
    return {
        "changed": line.record.get("verdict") == "allow",
        "reason": known.get("reason", ""),
        "from": known.get("policy_from"),
        "to": known.get("policy_to"),
        "kept": known.get("connections_kept"),
        "ended": known.get("connections_ended"),
    }
