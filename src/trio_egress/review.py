"""Verifies a packet and decides every attempt in it again, by the policy that is packaged with it.

`evidence.verify` knows no policy; this puts the two together, and neither the run nor the network.

Rule 1: a receipt that the policy contradicts is a finding, and then the packet is not valid.
Rule 2: a policy that this release can't read, or reads as another than was compiled, is a note: nothing is decided.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from trio_egress.errors import EvidenceError, PolicyError
from trio_egress.evidence.container import FilePath, Packet, find_packet, hash_file, measure_file, read_file
from trio_egress.evidence.facts import EXT_NAME, escape_text
from trio_egress.evidence.line import Line
from trio_egress.evidence.manifest import Entry
from trio_egress.evidence.packet import (
    COMPILED_NAME,
    FIRST_CHANGE,
    INCLUDES_NAME,
    POLICY_NAME,
    YAML_POLICY_NAME,
    change_names,
)
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.report import NOT_COMPILED, Report
from trio_egress.evidence.trust import read_trust
from trio_egress.evidence.verify import verify
from trio_egress.evidence.vouched import find_vouched
from trio_egress.model import Need, Transport
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.packaged import load_packaged
from trio_egress.policy.recall import Difference, decide_again, read_able
from trio_egress.policy.recall_message import hold_message
from trio_egress.policy.recall_scan import hold_findings
from trio_egress.policy.rule import Policy

TEXT_BYTES, TEXT_SIGNS = 300_000, 12_000
"""Of all texts of the policy together that nobody vouches for, with what they include: so many bytes, and so many of
`[` `{` `-`, with which lists and tables begin. That is some three thousand rules; to read a hostile text of this size
takes 60 MB. A text that a pinned key vouches for is the run's own, which has read it before."""

Members = Mapping[str, object]
Policies = Mapping[str, Policy]
"""By their hashes, as receipts name them."""


def review(path: FilePath, keys: Sequence[str] = (), **expected: Any) -> Report:
    """`verify`, and every attempt decided again. Raises UsageError for arguments that cannot be meant."""
    packet = find_packet(path)
    if packet is None or not has_policy(packet):
        return verify(path, keys, **expected)
    try:
        vouched = find_vouched(packet, read_trust(keys))
    except EvidenceError:  # which `verify` tells of
        vouched = {}
    try:
        judge = _Judge(dict(read_policies(packet, vouched)))
    except (EvidenceError, PolicyError) as error:
        problem = error.problems[0] if isinstance(error, PolicyError) else error
        said = escape_text(str(problem).split("\n")[0])
        report = verify(path, keys, **expected)
        return attrs.evolve(report, notes=(*report.notes, f"no attempt was decided again: {said}"))
    report = verify(path, keys, judge=judge, **expected)
    proven = tuple(item for item in report.not_proven if item != NOT_COMPILED)
    return attrs.evolve(report, not_proven=proven)


def has_policy(packet: Packet) -> bool:
    return POLICY_NAME in packet or YAML_POLICY_NAME in packet


def read_policies(packet: Packet, vouched: Mapping[str, Entry] | None = None) -> Iterator[tuple[str, Policy]]:
    """Those that the packet has, the first one and each that came into force later.

    `vouched`: files that are read whatever they cost. Raises PolicyError or EvidenceError for one that this release
    can't read, or reads as another.
    """
    names: tuple[str, str, str, str] = (COMPILED_NAME, POLICY_NAME, YAML_POLICY_NAME, INCLUDES_NAME)
    bounds = _Bounds(packet, vouched or {})
    for number in itertools.count(FIRST_CHANGE):
        text = next((name for name in names[1:3] if name in packet), None)
        if text is None:
            return
        raw = bounds.read(text)
        includes = bounds.read(names[3]) if names[3] in packet else b""
        policy = load_packaged(raw, text, includes)
        digest = hashlib.sha256(render_compiled(policy)).hexdigest()
        if digest != hash_file(packet, names[0]):
            raise EvidenceError(f"{text} doesn't compile to {names[0]} with this release")
        yield f"sha256:{digest}", policy
        names = change_names(number)


class _Bounds:
    """What may still be read of texts that nobody vouches for."""

    def __init__(self, packet: Packet, vouched: Mapping[str, Entry]) -> None:
        self._packet = packet
        self._vouched = vouched
        self._bytes, self._signs = TEXT_BYTES, TEXT_SIGNS

    def read(self, name: str) -> bytes:
        """Raises EvidenceError."""
        entry = self._vouched.get(name)
        if entry is not None and measure_file(self._packet, name, entry.size) == entry:
            return read_file(self._packet, name, entry.size)
        if measure_file(self._packet, name, self._bytes).size > self._bytes:
            raise EvidenceError(
                f"the policy, with what it includes, has more than {TEXT_BYTES} bytes, up to {name}"
            )
        raw = read_file(self._packet, name)
        self._bytes -= len(raw)
        self._signs -= sum(map(raw.count, (b"[", b"{", b"-")))
        if self._signs < 0:
            raise EvidenceError(
                f"the policy has more than {TEXT_SIGNS} lists, tables and dashes, up to {name}"
            )
        return raw


class _Judge:
    """Fed each receipt of one pass, in order."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._able: frozenset[Need] = frozenset()
        self._since_us = 0
        self._observing = False

    def __call__(self, line: Line) -> tuple[str, str] | None:
        """What the receipt says and what the policy says, where they differ."""
        facts = (line.ext or {}).get(EXT_NAME)
        if not isinstance(facts, dict):
            return None
        if "session_control" in line.record:
            self._able = read_able(facts) or self._able
            self._since_us = (
                self._since_us or (parse_timestamp(str(line.record.get("timestamp"))) or 0) // 1000
            )
            self._observing = self._observing or facts.get("mode") is not None
            return None
        policy = self._policies.get(str(line.record.get("policy_hash")))
        difference = None if policy is None else _decide_again(policy, line.record, facts, self._able)
        if policy is not None and difference is None and not self._observing:
            difference = hold_findings(policy, line.record, facts, self._since_us)
        return None if difference is None else (difference.found, difference.expected)


def _decide_again(
    policy: Policy, record: Members, facts: Members, able: frozenset[Need]
) -> Difference | None:
    """An attempt, or a message over the standard streams of an MCP server."""
    if record.get("transport") == Transport.MCP_STDIO.value:
        return hold_message(policy, record, facts)
    return decide_again(policy, record, facts, able)
