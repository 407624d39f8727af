"""run.json and counters.json: what was run where and how it ended, and what the kernel counted beside the receipts.

Pure: renders and checks bytes.

Rule 1: what the receipts or packet.json say too must be the same here; the rest is what the machine said of itself.
Rule 2: of the environment there are names, never values; of the command a digest, which whoever knows it can repeat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import attrs

from trio_egress.evidence.canonical import clean_text, parse_document
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.members import (
    TEXT,
    TEXTS,
    UINT64,
    Member,
    Presence,
    Shape,
    Table,
    describe,
    filled,
    free,
    matching,
    object_of,
    present,
)
from trio_egress.evidence.receipt_form import HEX_64
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import list_balance
from trio_egress.values import frozen

RUN_NAME = "run.json"
COUNTERS_NAME = "counters.json"
RUN_SCHEMA = "trio-egress.run.v1"
COUNTERS_SCHEMA = "trio-egress.counters.v1"

_TEXT_CHARS = 4096
_TEXTS_BY_NAME = Shape(
    "an object of texts",
    lambda value: type(value) is dict and all(type(item) is str for item in value.values()),
)
_SCHEMA = Shape(RUN_SCHEMA, lambda value: value == RUN_SCHEMA)
_CODE = Shape("an exit code, or null", lambda value: value is None or type(value) is int)

COMMAND = Table(
    (
        *present(UINT64, "arguments"),
        *present(TEXT, "program"),
        *filled(matching(HEX_64, "64 lower-case hex digits"), "sha256"),
    ),
    ordered=False,
)
RUN = Table(
    (
        *present(_TEXTS_BY_NAME, "ci", "versions"),
        Member("command", object_of(COMMAND), Presence.FILLED),
        *present(TEXT, "ended_by", "run_id"),
        *present(TEXTS, "environment"),
        *present(_CODE, "exit_code"),
        *filled(_SCHEMA, "schema"),
        *filled(TEXT, "started_at"),
        *free(TEXT, "completed_at"),
    ),
    ordered=False,
)


@frozen
class RunDetails:
    """What a run knows of itself and no receipt tells.

    `command_sha256` is over the arguments, each with a NUL after it, as /proc/PID/cmdline has them; `arguments` counts
    those after the program. `ci` are variables of the CI job by name, `environment` the names that the agent saw.
    """

    program: str
    arguments: int
    command_sha256: str
    environment: tuple[str, ...] = ()
    versions: Mapping[str, str] = attrs.field(factory=dict)
    ci: Mapping[str, str] = attrs.field(factory=dict)


def render_run(replay: Replay, details: RunDetails, run: Mapping[str, object]) -> bytes:
    """The bytes of run.json. `run` is that object of packet.json."""
    return _render(
        {
            "ci": {
                clean_text(name, 256): clean_text(value, _TEXT_CHARS) for name, value in details.ci.items()
            },
            "command": {
                "arguments": details.arguments,
                "program": clean_text(details.program, _TEXT_CHARS),
                "sha256": details.command_sha256,
            },
            "ended_by": replay.closing.get("close_reason", ""),
            "environment": sorted({clean_text(name, 256) for name in details.environment}),
            "exit_code": run.get("agent_exit_code"),
            "run_id": replay.opening.get("recorder_session", ""),
            "schema": RUN_SCHEMA,
            "versions": {name: clean_text(value, 256) for name, value in details.versions.items()},
            **{name: run[name] for name in ("started_at", "completed_at") if name in run},
        }
    )


def render_counters(replay: Replay) -> bytes:
    """The bytes of counters.json: what the close receipt signs, and each counter beside the receipts."""
    return _render(
        {
            "balance": list_balance(replay.balance),
            "counters": replay.close_facts.get("counters"),
            "schema": COUNTERS_SCHEMA,
        }
    )


def _render(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def check_run(raw: bytes, replay: Replay, run: Mapping[str, object], findings: Findings) -> None:
    """Find in what run.json is not of its form, or contradicts receipts or packet.json, whose `run` this is."""
    try:
        found, repeated = parse_document(raw)
    except ValueError as error:
        findings.add("run.form", RUN_NAME, 0, str(error)[:120], "a JSON object without floats")
        return
    if repeated is not None:
        findings.add("run.form", RUN_NAME, 0, f"{describe(repeated)} twice", "each member once")
    misfits = RUN.find_misfits(found)
    for misfit in misfits:
        findings.add("run.form", RUN_NAME, 0, misfit.found, misfit.expected, misfit.place)
    if misfits or not isinstance(found, dict):
        return
    for place, expected in _claims(replay, run):
        if found.get(place) != expected:
            findings.add("run.claim", RUN_NAME, 0, describe(found.get(place)), describe(expected), place)


def _claims(replay: Replay, run: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    yield "run_id", replay.opening.get("recorder_session", "")
    yield "ended_by", replay.closing.get("close_reason", "")
    yield "exit_code", run.get("agent_exit_code")  # which is held against the close receipt already
    yield "started_at", run.get("started_at")
    yield "completed_at", run.get("completed_at")


def check_counters(raw: bytes, replay: Replay, findings: Findings) -> None:
    """counters.json follows from the evidence alone, so there is one right form of it."""
    if raw != render_counters(replay):
        findings.add(
            "run.counters", COUNTERS_NAME, 0, "other counters or books", "those of the close receipt"
        )
