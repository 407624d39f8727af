"""What the verifier finds wrong: values with a stable code, never an exception.

Rule 1: a code never changes its meaning; a new meaning gets a new code.
Rule 2: however bad a file is, only KEPT findings are kept; the rest are counted.
Rule 3: every text of a finding is printable ASCII and bounded, whoever chose it: none steers a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trio_egress.evidence.facts import FACT_CHARS, escape_text, is_portable
from trio_egress.evidence.members import Misfit
from trio_egress.values import frozen

KEPT = 100
"""Findings kept of one packet: more than anybody reads, and a bound on memory."""

NOT_TRUSTED = "key.not_trusted"
"""The one that is about who reads the evidence, and not about the evidence."""

CODES: Mapping[str, str] = {
    "line.encoding": "a line holds bytes that are not ASCII",
    "line.length": "a line is longer than the format allows",
    "line.form": "a line is not one JSON object",
    "line.repeated": "an object has the same member twice",
    "line.bytes": "a line is not in the one byte form that its receipt has",
    "line.text": "a text is not valid Unicode, so it cannot have been signed",
    "member.unknown": "a member that the format does not have",
    "member.missing": "a member is missing",
    "member.order": "members stand in another than the canonical order",
    "member.type": "a member is not what it must be",
    "member.empty": "an empty member that must be filled or left out",
    "signature.wrong": "the signature does not belong to the receipt",
    "signature.key": "a receipt is signed by another key than the one in force",
    NOT_TRUSTED: "the chain is signed by a key that nobody pinned",
    "key.not_yet_valid": "the key was not valid yet, by the roster and the receipt's own time",
    "key.expired": "the key was not valid any more, by the roster and the receipt's own time",
    "key.revoked": "the key is revoked in the roster",
    "chain.link": "a receipt does not name the one before it",
    "chain.seq": "the sequence has a gap or a repetition",
    "chain.genesis": "the genesis hash is not that of the open receipt",
    "chain.rotation": "another key begins to sign without being endorsed for it",
    "time.form": "a time is not in the one form that the format allows",
    "time.order": "time runs backwards",
    "session.order": "a receipt stands where none of its kind may",
    "session.member": "a session's receipt contradicts the chain",
    "session.nonce": "a receipt belongs to another run",
    "session.policy": "a receipt was decided under another policy",
    "pair.no_intent": "an outcome without the intent that must come before it",
    "pair.no_outcome": "an intent without an outcome in a closed chain",
    "pair.reuse": "an action id that is already in use",
    "pair.differs": "an outcome that is about something else than its intent",
    "pair.verdict": "an intent for something that was not allowed",
    "pair.single": "something was allowed to leave without an intent before it",
    "pair.too_many": "more open intents than any run can have",
    "found.parent": "a receipt of findings is about no attempt that is under way",
    "found.verdict": "what was done about a finding and what its receipt says differ",
    "found.sum": "an outcome states other sums of findings than its attempt's receipts tell",
    "found.cut": "an attempt in which something was blocked did not end as blocked",
    "ext.form": "the ext of a receipt does not have its form",
    "ext.fact": "a recorded fact is not what it must be",
    "ext.text": "a text in ext is not printable ASCII",
    "ext.hash": "the ext of a receipt is not the one that was signed",
    "sum.bytes": "the close receipt states other sums than the outcomes add up to",
    "sum.commands": "the close receipt states another number of commands than have receipts",
    "balance.missing": "the close receipt lacks what the kernel counted",
    "balance.redirected": "connections to the outside and their receipts do not balance",
    "balance.proxy": "connections to the HTTP proxy and their receipts do not balance",
    "balance.dns_tcp": "DNS connections and their receipts do not balance",
    "balance.dns_udp": "DNS datagrams and their receipts do not balance",
    "balance.udp": "refused UDP datagrams and their receipts do not balance",
    "balance.icmp": "refused ICMP packets and their receipts do not balance",
    "balance.icmpv6": "refused ICMPv6 packets and their receipts do not balance",
    "balance.tcp": "refused TCP packets and their receipts do not balance",
    "balance.other": "other refused packets and their receipts do not balance",
    "balance.membership": "dropped group reports and their receipts do not balance",
    "balance.syscall": "refused system calls and their receipts do not balance",
    "balance.log_lost": "more or less is told in sums alone than the log had no room for",
    "balance.dns_lost": "more or less is recorded as lost by the DNS queue than it lost",
    "balance.way_lost": "more is recorded as lost inside the sandbox than was lost there",
    "expect.run": "this is the evidence of another run",
    "expect.head": "the chain does not end with the expected receipt",
    "expect.policy": "the run was decided under another policy than expected",
    "packet.form": "the packet file is not what Audit Packet v0 says",
    "packet.claim": "the packet file contradicts the evidence",
    "packet.file": "a file of the packet is missing or is not a plain file",
    "packet.policy": "the packaged policy is not the one that the receipts name",
    "packet.posture": "the measured posture is not the one that the open receipt binds",
    "checkpoint.form": "a checkpoint is not a signed note of the form that checkpoints have",
    "checkpoint.key": "a checkpoint is not this run's, or not signed by the key that signed the receipts",
    "checkpoint.lines": "the log was never in the state that a checkpoint or an anchor says",
    "run.form": "run.json does not have its form",
    "run.claim": "run.json contradicts the evidence or packet.json",
    "run.counters": "counters.json is not what the evidence tells",
    "manifest.missing": "the packet has no signed manifest",
    "manifest.form": "the manifest does not have its one form",
    "manifest.signature": "the manifest is not signed by the key that signed the receipts",
    "manifest.chain": "the manifest belongs to another chain",
    "manifest.file": "a file that the manifest lists is missing or is not a plain file",
    "manifest.changed": "a file is not the one that the manifest lists",
    "manifest.extra": "a file that the manifest does not list",
    "anchor.none": "a file of anchors says nothing of this log",
    "statement.form": "the in-toto Statement or its envelope does not have its form",
    "statement.signature": "the in-toto Statement is not signed by the key that signed the receipts",
    "statement.claim": "the in-toto Statement, or its bundle, contradicts the packet",
    "decide.differs": "the packaged policy decides otherwise than the receipt says",
    "recovery.differs": "the note that the log was abandoned is not about this log",
    "packet.key": "the packaged public key is not the one that signed",
}


@frozen
class Finding:
    """One thing wrong. `line` counts from 1, 0 where no line is meant; `place` is a member's path or ''."""

    code: str
    file: str
    line: int
    place: str
    found: str
    expected: str

    @property
    def message(self) -> str:
        """A sentence for people."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f" ({self.place})" if self.place else ""
        return f"{where}: {CODES[self.code]}{what}: found {self.found}; expected {self.expected}"


class Findings:
    """The findings of one verification, in the order in which they were met."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.count = 0

    def add(self, code: str, file: str, line: int, found: str, expected: str, place: str = "") -> None:
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(Finding(code, _show(file), line, _show(place), _show(found), _show(expected)))

    def add_misfits(self, misfits: Iterable[Misfit], file: str, line: int) -> None:
        for misfit in misfits:
            self.add(misfit.code, file, line, misfit.found, misfit.expected, misfit.place)


def _show(text: str) -> str:
    """As it stands where it may: most texts were made for people, and some hold escapes already."""
    return text if is_portable(text) and len(text) <= FACT_CHARS else escape_text(text)
