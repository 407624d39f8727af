"""packet.json, Audit Packet v0: rendered from facts and evidence, and checked against the evidence.

Pure: reads and writes no file.

Rule 1: every count and hash in it comes from one pass over the evidence, never from what the run believed.
Rule 2: what it claims beyond the evidence is checked for its form alone, and a report says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import attrs

from trio_egress.evidence.canonical import clean_text, parse_document
from trio_egress.evidence.findings import NOT_TRUSTED, Findings
from trio_egress.evidence.members import describe
from trio_egress.evidence.packet_form import PACKET, SCHEMA_VERSION, TOTALS, Posture, RunFacts
from trio_egress.evidence.receipt import parse_timestamp, render_timestamp
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.session import SessionState

PACKET_NAME = "packet.json"
EVIDENCE_NAME = "evidence.jsonl"
SUMMARY_NAME = "summary.md"
VERIFIER_NAME = "verifier.txt"

_TEXT_CHARS = 4096
_TOLD_CHARS = 160


def render_packet(
    replay: Replay,
    verdict: str,
    run: RunFacts,
    posture: Posture,
    policy: Mapping[str, object],
    now_ns: int,
    *,
    summary: bool,
) -> bytes:
    """The bytes of packet.json: sorted, compact, UTF-8 (RFC 8785). `policy` are members besides the hashes.

    `summary`: there is a summary.md.
    """
    tally = replay.tally
    packet: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": render_timestamp(now_ns),
        "packet_id": replay.opening.get("recorder_session"),
        "run": render_run_claims(replay, run),
        "policy": {"policy_hashes": tally.policy_hashes, **policy},
        "summary": {
            "receipt_count": tally.receipt_count,
            "totals": {name: tally.totals[name] for name in TOTALS},
            "transports": dict(tally.transports),
            "layers": tally.layers,
            "domains_touched": tally.domains_touched,
        },
        "verifier": {
            "verdict": verdict,
            "trusted": verdict == "valid",
            "receipt_count": tally.receipt_count,
            "root_hash": replay.head or None,
            "final_seq": replay.final_seq if replay.head else None,
            "signer_key": replay.signer_key or None,
            "output_file": VERIFIER_NAME,
        },
        "posture": _drop_unknown(attrs.asdict(posture)),
        "artifacts": {
            "packet": PACKET_NAME,
            "evidence": EVIDENCE_NAME,
            "verifier": VERIFIER_NAME,
            "summary": SUMMARY_NAME if summary else None,
        },
    }
    return json.dumps(_clean(packet), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def render_run_claims(replay: Replay, run: RunFacts) -> dict[str, object]:
    """The object `run` of packet.json; members that are None are left out of it."""
    members = _drop_unknown(attrs.asdict(run))
    started_ns, completed_ns = members.pop("started_ns"), members.pop("completed_ns", None)
    assert isinstance(started_ns, int)
    return {
        **members,
        # What the receipts say goes before what the run says.
        "agent_identity": replay.actor or run.agent_identity,
        "started_at": render_timestamp(started_ns),
        "completed_at": render_timestamp(completed_ns) if isinstance(completed_ns, int) else None,
    }


def _drop_unknown(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None and value != ""}


def _clean(value: object) -> object:
    """`value` without None members, tuples as lists, and every text valid and bounded."""
    match value:
        case str():
            return clean_text(value, _TEXT_CHARS)
        case Mapping():
            return {str(_clean(name)): _clean(item) for name, item in value.items() if item is not None}
        case list() | tuple():
            return [_clean(item) for item in value]
    return value


def check_packet(raw: bytes, replay: Replay, findings: Findings) -> Mapping[str, Mapping[str, object]] | None:
    """Find what is wrong with the bytes of packet.json beside this replayed evidence.

    Gives its objects by name where its form is right, so that files can be checked against them.
    """
    # Whose key is pinned is the reader's affair: the evidence may be sound all the same.
    sound = findings.count == sum(finding.code == NOT_TRUSTED for finding in findings.kept)
    try:
        packet, repeated = parse_document(raw)
    except ValueError as error:
        findings.add("packet.form", PACKET_NAME, 0, str(error)[:120], "a JSON object without floats")
        return None
    if repeated is not None:
        findings.add("packet.form", PACKET_NAME, 0, f"{describe(repeated)} twice", "each member once")
    misfits = PACKET.find_misfits(packet)
    for misfit in misfits:
        findings.add("packet.form", PACKET_NAME, 0, misfit.found, misfit.expected, misfit.place)
    if misfits or not isinstance(packet, dict):
        return None
    objects = {name: value for name, value in packet.items() if isinstance(value, dict)}
    for place, found, expected in _claims(packet.get("packet_id"), objects, replay):
        if found is not None and found != expected:
            findings.add("packet.claim", PACKET_NAME, 0, _tell(found), _tell(expected), place)
    _check_verdict(objects["verifier"], replay, sound, findings)
    _check_run(objects["run"], replay, findings)
    return objects


def _claims(
    packet_id: object, packet: Mapping[str, Mapping[str, object]], replay: Replay
) -> Iterator[tuple[str, object, object]]:
    """Each member that the evidence determines: where it stands, what it says, and what it must say."""
    summary, verifier, artifacts = packet["summary"], packet["verifier"], packet["artifacts"]
    tally = replay.tally
    yield "packet_id", packet_id, replay.opening.get("recorder_session")
    yield "policy.policy_hashes", packet["policy"]["policy_hashes"], tally.policy_hashes
    yield "summary.receipt_count", summary["receipt_count"], tally.receipt_count
    totals = summary["totals"]
    assert isinstance(totals, Mapping)
    yield "summary.totals", sum(totals.values()), summary["receipt_count"]
    for name in TOTALS:
        yield f"summary.totals.{name}", totals[name], tally.totals[name]
    yield "summary.transports", summary.get("transports"), dict(tally.transports)
    yield "summary.layers", summary.get("layers"), tally.layers
    yield "summary.domains_touched", summary.get("domains_touched"), tally.domains_touched
    yield "verifier.receipt_count", verifier.get("receipt_count"), tally.receipt_count
    yield "verifier.root_hash", verifier.get("root_hash"), replay.head
    yield "verifier.final_seq", verifier.get("final_seq"), replay.final_seq
    yield "verifier.signer_key", verifier.get("signer_key"), replay.signer_key
    yield "verifier.output_file", verifier.get("output_file"), artifacts["verifier"]
    yield "artifacts.packet", artifacts["packet"], PACKET_NAME
    yield "artifacts.evidence", artifacts["evidence"], EVIDENCE_NAME


def _tell(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _TOLD_CHARS else f"{text[:_TOLD_CHARS]}..."


def _check_verdict(verifier: Mapping[str, object], replay: Replay, sound: bool, findings: Findings) -> None:
    verdict = verifier["verdict"]
    if verifier["trusted"] is not (verdict == "valid"):
        expected = "true with the verdict valid, and only then"
        findings.add(
            "packet.claim", PACKET_NAME, 0, describe(verifier["trusted"]), expected, "verifier.trusted"
        )
    if verdict == "valid" and "signer_key" not in verifier:
        findings.add(
            "packet.claim", PACKET_NAME, 0, "nothing", "the key, as it is valid", "verifier.signer_key"
        )
    if not sound:
        possible = {"invalid", "error", "not_run"}
    elif replay.state is SessionState.CLOSED:
        possible = {"self_consistent_only", "not_run"} | ({"valid"} if not replay.observed else set())
    else:
        possible = {"self_consistent_only", "error", "not_run"}
    if verdict not in possible:
        expected = "one of " + " ".join(sorted(possible))
        findings.add("packet.claim", PACKET_NAME, 0, describe(verdict), expected, "verifier.verdict")


def _check_run(run: Mapping[str, object], replay: Replay, findings: Findings) -> None:
    identity, exit_code = run["agent_identity"], run.get("agent_exit_code")
    if replay.actor and identity != replay.actor:
        findings.add(
            "packet.claim", PACKET_NAME, 0, describe(identity), describe(replay.actor), "run.agent_identity"
        )
    signed = replay.close_facts.get("agent_exit_code")
    if (signed is not None or "commands" in replay.close_facts) and exit_code != signed:
        findings.add(
            "packet.claim", PACKET_NAME, 0, describe(exit_code), describe(signed), "run.agent_exit_code"
        )
    started_ns = parse_timestamp(str(run["started_at"]))
    completed_ns = parse_timestamp(str(run.get("completed_at", run["started_at"])))
    if started_ns is not None and completed_ns is not None and completed_ns < started_ns:
        found, expected = describe(run["completed_at"]), f"{run['started_at']} or later"
        findings.add("packet.claim", PACKET_NAME, 0, found, expected, "run.completed_at")
