"""What the receipts tell of attempts, each once."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import SESSION, Scribe

from trio_egress.errors import EvidenceError
from trio_egress.evidence.attempts import Told, read_attempts

API = Told("api.example.com", 443, "tls", "", True, False, "a reason", 1)


def write(tmp_path: Path, raw: bytes) -> Path:
    (tmp_path / "evidence.jsonl").write_bytes(raw)
    return tmp_path


def test_an_attempt_is_told_once_whether_it_was_allowed_or_denied(tmp_path: Path) -> None:
    scribe = Scribe().open().allow().block().heartbeat().close()
    blocked = attrs.evolve(API, host="evil.example", allowed=False)
    assert list(read_attempts(write(tmp_path, scribe.raw))) == [API, blocked]
    assert list(read_attempts(tmp_path / "evidence.jsonl")) == [API, blocked]


def test_a_sum_counts_as_many(tmp_path: Path) -> None:
    scribe = Scribe().open()
    draft = scribe.draft(layer="observe")
    scribe.append(attrs.evolve(draft, facts={**draft.facts, "count": 7}))
    assert list(read_attempts(write(tmp_path, scribe.raw))) == [attrs.evolve(API, observed=True, count=7)]


def test_what_says_no_host_is_left_out(tmp_path: Path) -> None:
    scribe = Scribe(attrs.evolve(SESSION)).open()
    draft = scribe.draft()
    scribe.append(attrs.evolve(draft, facts={"reason": "a dropped packet", "connection": 1}))
    assert list(read_attempts(write(tmp_path, scribe.raw + b"no receipt\n"))) == []


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot read"):
        list(read_attempts(tmp_path / "nowhere"))
