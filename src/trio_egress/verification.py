"""`trio_egress.verify(path, keys=[…])`: what the command `verify` does, for programs.

Loads the verifier and, where a packet has a policy to decide by, the judgement of policies: nothing of what runs
agents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trio_egress.evidence.container import FilePath, find_packet
from trio_egress.evidence.packet import POLICY_NAME, YAML_POLICY_NAME
from trio_egress.evidence.report import Report
from trio_egress.evidence.stream import Checker
from trio_egress.evidence.verify import verify as verify_evidence


def verify(
    path: FilePath,
    keys: Sequence[str] = (),
    *,
    policy_hash: str | None = None,
    expect_run: str | None = None,
    expect_head: str | None = None,
    anchors: Sequence[FilePath] = (),
    decide: bool = True,
    quick: bool = False,
    checker: Checker | None = None,
) -> Report:
    """Check a packet (a directory, or the zip of `packet pack`) or a bare chain of receipts.

    `keys` are public keys that you trust, each as 64 hex digits or as the path of a file; without one nothing is ever
    `valid`. `policy_hash` is `sha256:…` or the path of a file with that. `anchors`: files that the run wrote outside,
    or checkpoints kept of it, that the log must agree with. `decide`: decide each attempt again by the packaged policy.
    `quick`: follow manifest, hashes and links alone, which is never `valid`. `checker` checks signatures by other means
    than one core (checkers.py); it changes no verdict.

    Gives a Report: `verdict`, `exit_code`, `findings`, `not_proven`. Raises UsageError for arguments that cannot be
    meant, and nothing else: a packet that is bad or can't be read is a Report too.
    """
    return _find_verifier(path, decide and not quick)(
        path,
        keys,
        policy_hash=policy_hash,
        expect_run=expect_run,
        expect_head=expect_head,
        anchors=anchors,
        checker=checker,
        quick=quick,
    )


def _find_verifier(path: FilePath, decide: bool) -> Callable[..., Report]:
    """The one that decides again as well, where there is a policy to decide by; only then is any of it loaded."""
    packet = find_packet(path) if decide else None
    if packet is None or not (POLICY_NAME in packet or YAML_POLICY_NAME in packet):
        return verify_evidence
    from trio_egress.review import review

    return review
