"""To ask a run that lives for something by a signal, and to find its answer, which is a receipt."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from trio_egress.cli.packet.places import AUDIT_DIRECTORY
from trio_egress.errors import UsageError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.facts import EXT_NAME
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.line import Line, read_line
from trio_egress.runtime.presence import PRESENCE_NAME, send_signal

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.02


def find_run(given: str | None) -> Path:
    """The evidence directory that was given, or that of the one run below ./trio-egress-audit that lives."""
    if given:
        return Path(given)
    living = [path.parent for path in Path(AUDIT_DIRECTORY).glob(f"*/{PRESENCE_NAME}")]
    if len(living) != 1:
        found = "no run" if not living else f"{len(living)} runs"
        raise UsageError(f"{found} in ./{AUDIT_DIRECTORY}: name the evidence directory of one")
    return living[0]


def ask_run(evidence: Path, number: signal.Signals, transport: str) -> tuple[bool, Mapping[str, object]]:
    """Whether it was done, and the facts of the receipt that says so: the first of this transport after the question.

    Raises UsageError.
    """
    try:
        stream = (evidence / EVIDENCE_NAME).open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {evidence / EVIDENCE_NAME}: {error.strerror}") from None
    with stream:
        stream.seek(0, 2)
        send_signal(evidence, number)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for line in _read_lines(stream):
                if line.record.get("transport") == transport:
                    facts = (line.ext or {}).get(EXT_NAME)
                    return line.record.get("verdict") == "allow", facts if isinstance(facts, dict) else {}
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
