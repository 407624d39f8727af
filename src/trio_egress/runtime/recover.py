"""Closes a log that its run has abandoned: with a signed note beside it (evidence/recovery.py).

Rule 1: refused while the run lives, and where nothing is to be recovered: a closed log, a sealed packet, a second time.
Rule 2: nothing is signed about a log that does not hold together.
Rule 3: the start of a line that a crash cut off is set aside, durably, before it is taken off the log.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trio_egress.errors import EvidenceError, TrioEgressError
from trio_egress.evidence.audit_packet import PACKET_NAME
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.journal import EVIDENCE_NAME, lock_log, put_file
from trio_egress.evidence.manifest import MANIFEST_NAME
from trio_egress.evidence.receipt import uuid7
from trio_egress.evidence.recovery import RECOVERY_NAME, TORN_NAME, Abandoned, write_recovery
from trio_egress.evidence.report import Report, Verdict
from trio_egress.evidence.sign import Signer
from trio_egress.evidence.verify import verify
from trio_egress.runtime.presence import PRESENCE_NAME, is_kept

RECORDER_SECONDS = 2.0
"""What a group of receipts may take that was on its way to disk when the supervisor was killed."""


class NotAbandoned(TrioEgressError):
    """This log is not one that may be closed as abandoned."""


def recover(directory: Path, key: Signer) -> Abandoned:
    """Set the torn line aside and write the note. Raises NotAbandoned and EvidenceError."""
    with _open_log(directory) as (folder, log):
        report = _judge(directory)
        torn = _set_aside(folder, log)
        abandoned = Abandoned(report.run_id, report.policy_hash, report.final_seq, report.head, torn)
        now = time.time_ns()
        session, nonce = uuid7(now, os.urandom(10)), os.urandom(32).hex()
        try:
            put_file(folder, RECOVERY_NAME, write_recovery(key, abandoned, session, nonce, _who(), now))
        except OSError as error:
            raise EvidenceError(f"cannot write {RECOVERY_NAME}: {error.strerror}") from None
        with suppress(OSError):
            os.unlink(PRESENCE_NAME, dir_fd=folder)
    return abandoned


@contextmanager
def _open_log(directory: Path) -> Iterator[tuple[int, int]]:
    """The directory and its log, which is locked: nobody writes it, and nobody else recovers it."""
    opened: list[int] = []
    try:
        opened.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        opened.append(os.open(EVIDENCE_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=opened[0]))
        if not _lock(opened[1], directory):
            raise NotAbandoned(f"the run of {directory} lives: its log is being written")
        yield opened[0], opened[1]
    except OSError as error:
        raise EvidenceError(f"cannot open {directory / EVIDENCE_NAME}: {error.strerror}") from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _lock(log: int, directory: Path) -> bool:
    """False where the run lives. Where its supervisor was killed, whoever writes its receipts ends a moment later."""
    deadline = time.monotonic() + RECORDER_SECONDS
    while not lock_log(log):
        if is_kept(directory) or time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return not is_kept(directory)


def _judge(directory: Path) -> Report:
    """What the verifier says of the log, if it is one to be recovered."""
    for name, what in (
        (RECOVERY_NAME, "it was recovered before"),
        (PACKET_NAME, "its packet was sealed"),
        (MANIFEST_NAME, "its packet was sealed"),
    ):
        if os.path.lexists(directory / name):
            raise NotAbandoned(f"there is nothing to recover in {directory}: {what} ({name} is there)")
    report = verify(directory)
    if report.close_reason:
        raise NotAbandoned(
            f"there is nothing to recover in {directory}: the log is closed ({report.close_reason})"
        )
    if report.verdict is not Verdict.PREFIX:
        said = report.error or (report.findings[0].message if report.findings else report.verdict.value)
        raise NotAbandoned(
            f"the log in {directory} does not hold together, so nothing is signed about it: {said}"
        )
    return report


def _set_aside(folder: int, log: int) -> bytes:
    """What stands behind the last whole line: kept in a file of its own, then taken off the log."""
    try:
        size = os.fstat(log).st_size
        start = max(0, size - LINE_BYTES)
        torn = os.pread(log, LINE_BYTES, start).rpartition(b"\n")[2]
        if not torn:
            return _read_aside(folder)
        put_file(folder, TORN_NAME, torn)
        os.ftruncate(log, size - len(torn))
        os.fsync(log)
    except OSError as error:
        raise EvidenceError(f"cannot set the torn line aside: {error.strerror}") from None
    return torn


def _read_aside(folder: int) -> bytes:
    """What was set aside when a recovery was itself cut off."""
    try:
        descriptor = os.open(TORN_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return b""
    with open(descriptor, "rb") as file:
        return file.read(LINE_BYTES)


def _who() -> str:
    with suppress(KeyError, OSError):
        return f"{getpass.getuser()} (uid {os.getuid()})"
    return f"uid:{os.getuid()}"
