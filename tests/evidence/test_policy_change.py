"""Another policy in the middle of a chain: taken up where a receipt says so, and nowhere else."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import (
    KEY,
    OTHER_HASH,
    OTHER_POLICY,
    POLICY_HASH,
    Scribe,
    replay,
    rewrite,
    seal_again,
    setting,
)
from tests.evidence.test_packet import FACTS, make_packet

from trio_egress.evidence.packet import PolicyFiles
from trio_egress.evidence.replay import CHANGES_MAX, Replay
from trio_egress.evidence.verify import verify

TEXT = 'version = "1.0"\n# another\n'
OTHER = PolicyFiles("policy.toml", TEXT, b"", OTHER_POLICY)


def chain() -> Scribe:
    return (
        Scribe().open().allow().change_policy(policy_sha256=sha256(TEXT.encode()).hexdigest()).allow().close()
    )


def codes(played: Replay) -> set[str]:
    return {finding.code for finding in played.findings.kept}


def test_what_follows_is_signed_under_the_other_policy() -> None:
    played = replay(chain().lines)
    assert played.findings.kept == []
    assert [change["policy_to"] for change in played.changes] == [OTHER_HASH]
    assert played.tally.policy_hashes == sorted([POLICY_HASH, OTHER_HASH])


def test_without_the_receipt_another_policy_is_a_finding() -> None:
    lines = rewrite(chain().lines, {3: setting("verdict", "block")})
    assert codes(replay(lines)) == {"session.policy"}


def test_a_change_from_another_policy_is_a_finding() -> None:
    lines = Scribe().open().change_policy(policy_from=OTHER_HASH).close().lines
    assert codes(replay(lines)) == {"session.policy"}


def test_a_change_to_nothing_is_a_finding() -> None:
    scribe = Scribe().open()
    draft = scribe.draft(target="policy:reload", transport="policy", facts={"policy_from": POLICY_HASH})
    scribe.append(draft)
    assert codes(replay(scribe.close().lines)) == {"session.policy"}


def test_endless_changes_are_bounded() -> None:
    scribe = Scribe().open()
    for _ in range(CHANGES_MAX + 1):
        scribe.change_policy(policy_from=OTHER_HASH if len(scribe.lines) > 1 else POLICY_HASH)
    played = replay(scribe.close().lines)
    assert len(played.changes) == CHANGES_MAX
    assert codes(played) == {"session.policy"}


def packet(tmp_path: Path, *changes: PolicyFiles) -> Path:
    make_packet(tmp_path, chain().lines, attrs.evolve(FACTS, policy_changes=changes))
    return tmp_path


def test_the_packet_has_every_policy_that_was_in_force(tmp_path: Path) -> None:
    report = verify(packet(tmp_path, OTHER), [KEY.public_hex])
    assert (report.exit_code, report.findings) == (0, ())
    assert (tmp_path / "policy-2-compiled.json").read_bytes() == OTHER_POLICY
    assert (tmp_path / "policy-2.toml").read_text() == TEXT


@pytest.mark.parametrize("name", ["policy-2-compiled.json", "policy-2.toml"])
def test_a_policy_that_was_changed_or_is_missing_is_a_finding(tmp_path: Path, name: str) -> None:
    path = packet(tmp_path, OTHER) / name
    path.write_bytes(path.read_bytes() + b" ")
    assert verify(tmp_path, [KEY.public_hex]).exit_code == 1
    seal_again(tmp_path)
    assert {finding.code for finding in verify(tmp_path, [KEY.public_hex]).findings} == {"packet.policy"}
    path.unlink()
    assert verify(tmp_path, [KEY.public_hex]).exit_code == 1


def test_one_expected_policy_is_not_two(tmp_path: Path) -> None:
    report = verify(packet(tmp_path, OTHER), [KEY.public_hex], policy_hash=POLICY_HASH)
    assert {finding.code for finding in report.findings} == {"expect.policy"}
