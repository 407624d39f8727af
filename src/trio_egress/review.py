"""Verifies a packet and decides every attempt in it again, by the policy that is packaged with it.

`evidence.verify` knows no policy; this puts the two together, and neither the run nor the network.

Rule 1: a receipt that the policy contradicts is a finding, and then the packet is not valid.
Rule 2: a policy that this release can't read, or reads as another than was compiled, is a note: nothing is decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from trio_egress.errors import EvidenceError, PolicyError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.container import FilePath, Packet, find_packet, read_file
from trio_egress.evidence.facts import EXT_NAME, escape_text
from trio_egress.evidence.findings import KEPT, Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.packet import (
    COMPILED_NAME,
    FIRST_CHANGE,
    INCLUDES_NAME,
    POLICY_NAME,
    YAML_POLICY_NAME,
    change_names,
)
from trio_egress.evidence.report import NOT_COMPILED, Report, Verdict
from trio_egress.evidence.verify import verify
from trio_egress.model import Need
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.packaged import load_packaged
from trio_egress.policy.recall import Difference, decide_again, read_able
from trio_egress.policy.rule import Policy

CHANGES_MAX = 10_000

Policies = Mapping[str, Policy]
"""By their hashes, as receipts name them."""


def review(path: FilePath, keys: Sequence[str] = (), **expected: Any) -> Report:
    """`verify`, and every attempt decided again. Raises UsageError for arguments that cannot be meant."""
    report = verify(path, keys, **expected)
    packet = find_packet(path)
    if report.verdict is Verdict.UNREADABLE or packet is None or not has_policy(packet):
        return report
    try:
        policies = dict(read_policies(packet))
    except (EvidenceError, PolicyError) as error:
        problem = error.problems[0] if isinstance(error, PolicyError) else error
        said = escape_text(str(problem).split("\n")[0])
        return attrs.evolve(report, notes=(*report.notes, f"no attempt was decided again: {said}"))
    findings = Findings()
    _decide_all(packet, policies, findings)
    return _add(report, findings)


def has_policy(packet: Packet) -> bool:
    return POLICY_NAME in packet or YAML_POLICY_NAME in packet


def _add(report: Report, findings: Findings) -> Report:
    proven = tuple(item for item in report.not_proven if item != NOT_COMPILED)
    if not findings.count:
        return attrs.evolve(report, not_proven=proven)
    kept = (*report.findings, *findings.kept)[:KEPT]
    count = report.finding_count + findings.count
    return attrs.evolve(
        report, verdict=Verdict.INVALID, findings=kept, finding_count=count, not_proven=proven
    )


def read_policies(packet: Packet) -> Iterator[tuple[str, Policy]]:
    """Those that the packet has, the first one and each that came into force later.

    Raises PolicyError or EvidenceError for one that this release can't read, or reads as another.
    """
    names: tuple[str, str, str, str] = (COMPILED_NAME, POLICY_NAME, YAML_POLICY_NAME, INCLUDES_NAME)
    for number in range(FIRST_CHANGE, CHANGES_MAX):
        text = next((name for name in names[1:3] if name in packet), None)
        if text is None:
            return
        includes = read_file(packet, names[3]) if names[3] in packet else b""
        policy = load_packaged(read_file(packet, text), text, includes)
        compiled = render_compiled(policy)
        if compiled != read_file(packet, names[0]):
            raise EvidenceError(f"{text} doesn't compile to {names[0]} with this release")
        yield f"sha256:{hashlib.sha256(compiled).hexdigest()}", policy
        names = change_names(number)


def _decide_all(packet: Packet, policies: Policies, findings: Findings) -> None:
    able: frozenset[Need] = frozenset()
    with packet.open(EVIDENCE_NAME) as stream:
        for number, line in _read_lines(stream):
            facts = (line.ext or {}).get(EXT_NAME)
            if not isinstance(facts, dict):
                continue
            if "session_control" in line.record:
                able = read_able(facts) or able
                continue
            difference = _decide(policies, line, facts, able)
            if difference is not None:
                findings.add("decide.differs", EVIDENCE_NAME, number, difference.found, difference.expected)


def _decide(
    policies: Policies, line: Line, facts: Mapping[str, object], able: frozenset[Need]
) -> Difference | None:
    policy = policies.get(str(line.record.get("policy_hash")))
    return None if policy is None else decide_again(policy, line.record, facts, able)


def _read_lines(stream: Any) -> Iterator[tuple[int, Line]]:
    number = 0
    while raw := stream.readline(LINE_BYTES):
        number += 1
        line = read_line(raw.rstrip(b"\n"))
        if isinstance(line, Line):
            yield number, line
