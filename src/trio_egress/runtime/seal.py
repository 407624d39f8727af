"""The evidence directory of a run: made before anything else, turned into an Audit Packet at the end.

Works through descriptors that were opened with the caller's rights, because the supervisor has given root up by the
time the packet is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import attrs

from trio_egress.errors import RecorderError, SandboxError
from trio_egress.evidence.journal import Journal, open_journal
from trio_egress.runtime.spec import RunSpec


@attrs.frozen
class Evidence:
    """The open directory, its journal, and when it was opened."""

    directory: int
    journal: Journal
    started_at: datetime


@contextmanager
def open_evidence(spec: RunSpec) -> Iterator[Evidence]:
    """Make the evidence directory (or take an empty one) and its journal; raises SandboxError."""
    try:
        spec.evidence.mkdir(parents=True, exist_ok=True)
        directory = os.open(spec.evidence, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"cannot use {spec.evidence} for evidence: {error.strerror}") from None
    try:
        if os.listdir(directory):
            raise SandboxError(f"the evidence directory {spec.evidence} is not empty: name a new one")
        journal = _open_journal(directory, spec)
        try:
            yield Evidence(directory, journal, datetime.now(timezone.utc))
        finally:
            journal.close()
    finally:
        os.close(directory)


def _open_journal(directory: int, spec: RunSpec) -> Journal:
    try:
        journal = open_journal(directory)
        if spec.identities.root:
            owner = spec.identities.supervisor
            os.fchown(directory, owner.uid, owner.gid)
            os.chown("evidence.jsonl", owner.uid, owner.gid, dir_fd=directory, follow_symlinks=False)
    except (OSError, RecorderError) as error:
        raise SandboxError(f"cannot write evidence in {spec.evidence}: {error}") from None
    return journal
