"""Packets verified, and decided again by their own policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.evidence.found import write_found
from tests.evidence.specimens import KEY as FOUND_KEY

from trio_egress.errors import UsageError
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.container import find_packet, measure_file
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.manifest import MANIFEST_NAME, SIGNATURE_NAME, render_manifest
from trio_egress.evidence.packet import change_names
from trio_egress.evidence.receipt import Draft, uuid7
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import NOT_COMPILED, Report
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE, sign_file
from trio_egress.policy.compiled import policy_hash, render_compiled
from trio_egress.policy.load import load_policy
from trio_egress.review import review

HEAD = 'version = "1.0"\ndefault_deny = true\n'
ONE = f'{HEAD}[[egress]]\ndestination = "a.example"\n'
OTHER = f'{HEAD}[[egress]]\ndestination = "b.example"\n'
RULE = "egress[0] 'a.example' (line 3)"
KEY = generate(bytes(32))


def draft(host: str, verdict: str, layer: str, rule: str | None, **more: Any) -> Draft:
    facts = {"host": host, "port": 443, "proto": "tls", "reason": "", **({"rule": rule} if rule else {})}
    return Draft(
        action_id=uuid7(1, os.urandom(10)),
        target=f"tls://{host}:443",
        verdict=verdict,
        transport="transparent",
        layer=layer,
        facts=facts,
        phase="intent" if verdict == "allow" else "",
        **more,
    )


def write(place: Path, text: str, *drafts: Draft, changed: str = "") -> Report:
    """A packet without its packet.json, with a change of the policy before the last attempt; and its review."""
    hashes = policy_hash(load_policy(text, "policy.toml"))
    chain = Chain(KEY, Session("run", "nonce", "open", hashes, 30, "p", "a", able=("meter",)))
    lines = [chain.open(1)]
    for at, one in enumerate(drafts):
        if changed and at == len(drafts) - 1:
            to = policy_hash(load_policy(changed, "policy.toml"))
            told = {"policy_from": hashes, "policy_to": to, "connections_kept": 0, "connections_ended": 0}
            lines.append(
                chain.change_policy(
                    Draft(uuid7(1, os.urandom(10)), "policy", "allow", "policy", layer="rule", facts=told),
                    to,
                    1,
                )
            )
        lines.append(chain.append(one, 1))
    (place / "evidence.jsonl").write_bytes(b"".join(lines))
    for names, policy in (((None, "policy.toml"), text), (change_names(2), changed)):
        if policy:
            (place / str(names[1])).write_text(policy)
            compiled = names[0] or "policy-compiled.json"
            (place / compiled).write_bytes(render_compiled(load_policy(policy, "policy.toml")))
    return review(place, [KEY.public_hex])


def codes(report: Report) -> list[tuple[str, int]]:
    return [(finding.code, finding.line) for finding in report.findings]


def test_receipts_that_the_policy_agrees_with_are_no_finding(tmp_path: Path) -> None:
    drafts = [draft("a.example", "allow", "rule", RULE), draft("x.example", "block", "default_deny", None)]
    report = write(tmp_path, ONE, *drafts)
    assert codes(report) == []
    assert NOT_COMPILED not in report.not_proven


def test_an_attempt_that_nobody_approved_makes_the_packet_invalid(tmp_path: Path) -> None:
    asking, told = f"{ONE}ask = true\n", {"asked_of": "terminal", "answer": "allow", "answered_by": "anna"}
    approved = draft("a.example", "allow", "rule", RULE)
    approved = attrs.evolve(approved, facts={**approved.facts, **told})
    refused = draft("a.example", "block", "approval", RULE)
    assert codes(write(tmp_path, asking, approved, refused)) == []
    for answer in (None, "deny", "timed_out"):
        forged = attrs.evolve(approved, facts={**approved.facts, "answer": answer})
        assert codes(write(tmp_path, asking, refused, forged)) == [("decide.differs", 3)]


def test_a_receipt_that_the_policy_contradicts_makes_the_packet_invalid(tmp_path: Path) -> None:
    drafts = [draft("a.example", "allow", "rule", RULE), draft("x.example", "allow", "rule", RULE)]
    report = write(tmp_path, ONE, *drafts)
    assert codes(report) == [("decide.differs", 3)]
    assert report.exit_code == 1
    (finding,) = report.findings
    assert (finding.found, finding.expected) == ("allow rule egress[0]", "block default_deny no rule")


def test_each_receipt_is_decided_by_the_policy_that_was_in_force(tmp_path: Path) -> None:
    rule = "egress[0] 'b.example' (line 3)"
    drafts = [draft("a.example", "allow", "rule", RULE), draft("b.example", "allow", "rule", rule)]
    assert codes(write(tmp_path, ONE, *drafts, changed=OTHER)) == []
    assert codes(write(tmp_path, ONE, *drafts[::-1], changed=OTHER)) == [
        ("decide.differs", 2),
        ("decide.differs", 4),
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("policy.toml", "version = 2\n", "policy.toml:1:1"),
        (
            "policy-compiled.json",
            "{}",
            "policy.toml doesn't compile to policy-compiled.json with this release",
        ),
    ],
)
def test_a_policy_that_cannot_be_read_is_a_note(tmp_path: Path, name: str, text: str, said: str) -> None:
    drafts = [draft("x.example", "allow", "rule", RULE)]
    write(tmp_path, ONE, *drafts)
    (tmp_path / name).write_text(text)
    report = review(tmp_path, [KEY.public_hex])
    assert codes(report) == []
    assert any(note.startswith("no attempt was decided again: ") and said in note for note in report.notes)
    assert NOT_COMPILED in report.not_proven


def sign_manifest(place: Path) -> None:
    names = ("evidence.jsonl", "policy.toml", "policy-compiled.json")
    found = find_packet(place)
    assert found is not None
    entries = [measure_file(found, name, 1 << 30) for name in names]
    raw = render_manifest(Replay(Findings(), "evidence.jsonl", None), entries)
    (place / MANIFEST_NAME).write_bytes(raw)
    (place / SIGNATURE_NAME).write_bytes(sign_file(KEY, MANIFEST_NAMESPACE, raw))


LONG = HEAD + "".join(f'[[egress]]\ndestination = "h{number}.example"\n' for number in range(8000))


def test_a_long_policy_is_decided_by_where_a_pinned_key_vouches_for_it(tmp_path: Path) -> None:
    rule = "egress[7999] 'h7999.example' (line 16001)"
    drafts = [draft("h7999.example", "allow", "rule", rule), draft("x.example", "allow", "rule", rule)]
    said = "the policy, with what it includes, has more than"
    assert any(said in note for note in write(tmp_path, LONG, *drafts).notes)
    sign_manifest(tmp_path)
    assert ("decide.differs", 3) in codes(review(tmp_path, [KEY.public_hex]))
    for keys in ([], [generate(bytes([1] * 32)).public_hex]):
        assert any(said in note for note in review(tmp_path, keys).notes)
    text = (tmp_path / "policy.toml").read_text()
    (tmp_path / "policy.toml").write_text(f"{text}#")
    assert any(said in note for note in review(tmp_path, [KEY.public_hex]).notes)


def test_without_a_policy_it_is_the_verifier_alone(tmp_path: Path) -> None:
    write(tmp_path, ONE, draft("x.example", "allow", "rule", RULE))
    evidence = tmp_path / "evidence.jsonl"
    assert codes(review(evidence, [KEY.public_hex])) == []
    (tmp_path / "policy.toml").unlink()
    assert codes(review(tmp_path, [KEY.public_hex])) == []
    assert review(tmp_path / "nowhere").exit_code == 2
    with pytest.raises(UsageError):
        review(evidence, [""])


SCANNED = f"""{HEAD}
[[egress]]
destination = "*.example.com"
scan = {{ canary = "block", secret = "block", instruction = "strip", entropy = "warn", hidden = "warn" }}
"""


def write_scanned(place: Path, text: str) -> Report:
    """A run in which something was found, beside a policy; and its review."""
    policy = load_policy(text, "policy.toml")
    able = ("meter", "scan", "tls")
    session = Session("run", "nonce", "open", policy_hash(policy), 30, "p", "a", able=able)
    (place / "evidence.jsonl").write_bytes(b"".join(write_found(session)))
    (place / "policy.toml").write_text(text)
    (place / "policy-compiled.json").write_bytes(render_compiled(policy))
    return review(place, [FOUND_KEY.public_hex])


def test_findings_that_the_policy_agrees_with_are_no_finding_but_one_that_it_does_not_suppress(
    tmp_path: Path,
) -> None:
    found = [finding for finding in write_scanned(tmp_path, SCANNED).findings if finding.line]
    assert [(finding.code, finding.line, finding.found) for finding in found] == [
        ("decide.differs", 7, "acme-token in body suppressed")
    ]


def test_findings_that_the_policy_would_have_treated_otherwise_are_found(tmp_path: Path) -> None:
    text = SCANNED.replace('secret = "block"', 'secret = "warn"').replace('"strip"', '"block"')
    found = [finding for finding in write_scanned(tmp_path, text).findings if finding.line]
    assert [(finding.code, finding.line) for finding in found] == [
        ("decide.differs", line) for line in (2, 4, 7, 12)
    ]


def test_findings_of_a_rule_that_asks_for_no_scan_are_found(tmp_path: Path) -> None:
    text = f'{HEAD}\n[[egress]]\ndestination = "*.example.com"\n'
    found = [finding for finding in write_scanned(tmp_path, text).findings if finding.line]
    assert {finding.expected for finding in found} == {"none: it asks for no scan"}
    assert len(found) == 7
