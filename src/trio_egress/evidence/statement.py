"""The in-toto Statement of a run (predicate runtime-trace v0.2): what the log adds up to, for those who collect such.

Pure: files are measured elsewhere.

Rule 1: what it says of traffic and times follows from the log alone, so that a verifier makes it again and compares.
Rule 2: its network list tells what was connected to, and no more than ROWS of it; what is left out is counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from trio_egress.evidence.canonical import parse_document
from trio_egress.evidence.dsse import Envelope, parse_envelope, render_bundle
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.members import describe
from trio_egress.evidence.packet_form import RunFacts
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.sign import PublicKey

STATEMENT_NAME = "statement.dsse.json"
BUNDLE_NAME = "bundle.sigstore.json"

PAYLOAD_TYPE = "application/vnd.in-toto+json"


PREDICATE_TYPE = "https://in-toto.io/attestation/runtime-trace/v0.2"


class _Type:
    """The names of the forms."""

    STATEMENT = "https://in-toto.io/Statement/v1"
    PREDICATE = PREDICATE_TYPE


MONITOR_TYPE = "urn:trio-egress:monitor:v1"
"""Says how monitor, log and extensions are filled in. Another way of filling them in gets another name."""

STATEMENT_BYTES = 2 << 20
"""Of the envelope: ROWS rows of the longest names are some 700 KiB in base64."""

SUBJECTS = 16
"""Files of one statement."""

COMMAND_TYPE = "urn:trio-egress:command:v1"
WORKFLOW_TYPE = "https://actions.github.io/buildtypes/workflow/v1"


def render_statement(
    replay: Replay, run: RunFacts, server: str, digests: Mapping[str, str], config: str
) -> bytes:
    """The payload. `digests` are hex SHA-256 by file name; `config` is the one of the compiled policy.

    `server` is where a workflow of GitHub Actions ran.
    """
    statement = {
        "_type": _Type.STATEMENT,
        "subject": [{"digest": {"sha256": sha256}, "name": name} for name, sha256 in sorted(digests.items())],
        "predicateType": _Type.PREDICATE,
        "predicate": {
            **_describe_log(replay),
            "monitor": {
                "type": MONITOR_TYPE,
                "configSource": {"name": config, "digest": {"sha256": digests[config]}},
                "tracePolicy": _describe_policy(replay),
            },
            "monitoredProcess": _describe_process(replay, run, server),
        },
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def _describe_log(replay: Replay) -> dict[str, object]:
    tally = replay.tally
    return {
        "monitorLog": {"network": _list_network(replay)},
        "metadata": {"buildStartedOn": replay.started_at, "buildFinishedOn": replay.ended_at},
        "trioEgress": {
            "head": replay.head,
            "receipts": tally.receipt_count,
            "denied": tally.denied,
            **({"found": dict(tally.found)} if tally.found else {}),
            "networkLeftOut": tally.dials.left_out,
            "closeReason": str(replay.closing.get("close_reason", "")),
        },
    }


def _describe_policy(replay: Replay) -> dict[str, object]:
    return {
        "mode": "observe" if replay.observed else "enforce",
        "policyHash": str(replay.opening.get("policy_hash", "")),
        "changes": len(replay.changes),
    }


def _list_network(replay: Replay) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for (host, ip, port), sums in sorted(replay.tally.dials.rows.items()):
        own = {"attempts": sums.attempts, "bytesUp": sums.bytes_up, "bytesDown": sums.bytes_down}
        name = {} if host == ip else {"hostname": host}
        rows.append({"ip": ip, **name, "port": port, "protocol": "tcp", "trioEgress": own})
    return rows


def _describe_process(replay: Replay, run: RunFacts, server: str) -> dict[str, object]:
    run_id = str(replay.opening.get("recorder_session", ""))
    if run.provider == "github_actions" and server and run.repository and run.run_id:
        attempt = f"/attempts/{run.run_attempt}" if run.run_attempt else ""
        event = f"{server}/{run.repository}/actions/runs/{run.run_id}{attempt}"
        return {"hostID": server, "type": WORKFLOW_TYPE, "event": event, "trioEgressRun": run_id}
    host = f"urn:trio-egress:host:{run.provider}"
    event = f"urn:trio-egress:run:{run_id}"
    return {"hostID": host, "type": COMMAND_TYPE, "event": event, "trioEgressRun": run_id}


# checking


Measure = Callable[[str], "str | None"]
"""The hex SHA-256 of a file of the packet; None where there is none."""


def check_statement(
    raw: bytes, replay: Replay, key: PublicKey | None, measure: Measure, findings: Findings
) -> None:
    """The statement is signed by this key, about files of this packet and this log. No key, no receipt: nothing is."""
    try:
        if len(raw) > STATEMENT_BYTES:
            raise ValueError(f"more than {STATEMENT_BYTES} bytes")
        envelope = parse_envelope(raw)
        if key is not None and not envelope.is_signed(key):
            findings.add("statement.signature", STATEMENT_NAME, 0, "none that verifies", f"one by {key}")
            return
        statement = _parse_statement(envelope)
    except ValueError as error:
        findings.add("statement.form", STATEMENT_NAME, 0, str(error)[:120], "a signed in-toto Statement")
        return
    _check_subjects(statement["subject"], measure, findings)
    predicate = statement["predicate"]
    if predicate["monitor"]["type"] != MONITOR_TYPE:
        return  # a later release, which says more than this one knows
    for place, expected in _describe_log(replay).items():
        difference = _find_difference(predicate.get(place), expected, f"predicate.{place}")
        if difference is not None:
            at, found, wanted = difference
            findings.add("statement.claim", STATEMENT_NAME, 0, describe(found), describe(wanted), at)


def _parse_statement(envelope: Envelope) -> dict[str, Any]:
    """Raises ValueError."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError(f"a payload of the type {describe(envelope.payload_type)}")
    statement, repeated = parse_document(envelope.payload)
    if repeated is not None:
        raise ValueError(f"{describe(repeated)} twice in one object")
    match statement:
        case {
            "_type": _Type.STATEMENT,
            "predicateType": _Type.PREDICATE,
            "subject": list(),
            "predicate": {"monitor": {"type": str()}},
            **more,
        } if not more:
            assert isinstance(statement, dict)
            return statement
    raise ValueError("an object that is no Statement v1 with a runtime-trace v0.2")


def _check_subjects(subjects: list[object], measure: Measure, findings: Findings) -> None:
    named = set()
    for number, subject in enumerate(subjects[:SUBJECTS]):
        match subject:
            case {"name": str(name), "digest": {"sha256": str(claimed)}}:
                named.add(name)
                found = measure(name)
                if found == claimed:
                    continue
                wanted = "no such file" if found is None else f"sha256 {found}"
                told = f"{describe(name)} with sha256 {describe(claimed)}"
            case _:
                told, wanted = describe(subject), "a file's name and sha256"
        findings.add("statement.claim", STATEMENT_NAME, 0, told, wanted, f"subject[{number}]")
    if len(subjects) > SUBJECTS:
        findings.add(
            "statement.claim", STATEMENT_NAME, 0, f"{len(subjects)}", f"at most {SUBJECTS}", "subject"
        )
    if EVIDENCE_NAME not in named:
        findings.add("statement.claim", STATEMENT_NAME, 0, "other files alone", EVIDENCE_NAME, "subject")


def _find_difference(found: object, expected: object, place: str) -> tuple[str, object, object] | None:
    """The first place where two values differ, and both of what stands there."""
    if found == expected:
        return None
    match found, expected:
        case {}, {}:
            assert isinstance(found, dict)
            assert isinstance(expected, dict)
            for name in sorted({*found, *expected}):
                if difference := _find_difference(
                    found.get(name), expected.get(name), f"{place}.{escape_text(name, 64)}"
                ):
                    return difference
        case [*_], [*_]:
            assert isinstance(found, list)
            assert isinstance(expected, list)
            for at, (one, other) in enumerate(zip(found, expected, strict=False)):
                if difference := _find_difference(one, other, f"{place}[{at}]"):
                    return difference
    return place, found, expected


def check_bundle(raw: bytes, statement: bytes, key: PublicKey | None, findings: Findings) -> None:
    """The bundle is the statement's envelope over again. Where that has no right form, nothing is said of this."""
    try:
        envelope = parse_envelope(statement[: STATEMENT_BYTES + 1])
    except ValueError:
        return
    if key is not None and raw != render_bundle(envelope, key):
        findings.add("statement.claim", BUNDLE_NAME, 0, "another bundle", f"{STATEMENT_NAME} as a bundle")
