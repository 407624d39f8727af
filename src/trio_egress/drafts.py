"""Receipts in the words of the model: an attempt and its decision, what came of it, what was found in it.

Writes and signs nothing; every draft has an id of its own, but for an outcome, which has its intent's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import attrs

from trio_egress.evidence.receipt import Draft, uuid7
from trio_egress.evidence.scan_facts import Found
from trio_egress.evidence.scan_form import FINDINGS, SCAN, find_verdict
from trio_egress.evidence.session import COMMAND_TRANSPORT, KEY_TRANSPORT, POLICY_TRANSPORT
from trio_egress.model import MCP, Attempt, Call, Decision, Protocol, StdioMessage, render_authority

Facts = Mapping[str, object]

_ABOUT = ("flow", "connection", "host", "port", "proto", "rule", "websocket")
"""Facts of an attempt by which a receipt of what was found in it is about it."""


def make_action_id() -> str:
    return uuid7(time.time_ns(), os.urandom(10))


def draft_key_change(verdict: str, reason: str) -> Draft:
    return Draft(
        action_id=make_action_id(),
        target="key:rotation",
        verdict=verdict,
        transport=KEY_TRANSPORT,
        facts={"reason": reason},
    )


def draft_command(facts: Facts) -> Draft:
    return Draft(
        action_id=make_action_id(),
        target=f"command:{facts['command_number']}",
        verdict="allow",
        transport=COMMAND_TRANSPORT,
        facts=facts,
    )


def draft_policy_change(verdict: str, reason: str, facts: Facts) -> Draft:
    return Draft(
        action_id=make_action_id(),
        target="policy:stop" if facts.get("stopped") else "policy:reload",
        verdict=verdict,
        transport=POLICY_TRANSPORT,
        facts={"reason": reason, **facts},
    )


def draft_attempt(
    attempt: Attempt | StdioMessage, decision: Decision, facts: Facts, phase: str = ""
) -> Draft:
    """The receipt of a decision, in the words of the receipt format."""
    if isinstance(attempt, StdioMessage):
        return _draft_message(attempt, decision, facts, phase)
    reads = attempt.protocol is Protocol.DNS or attempt.method in ("GET", "HEAD", "OPTIONS")
    known = reads or attempt.method is not None
    told: dict[str, object] = {
        "host": str(attempt.host),
        "port": attempt.port,
        "proto": attempt.protocol.value,
        "reason": decision.reason,
    }
    if decision.rule is not None:
        told["rule"] = str(decision.rule)
    told.update(facts)
    return Draft(
        make_action_id(),
        render_target(attempt),
        "allow" if decision.allowed else "block",
        attempt.transport.value,
        phase,
        "read" if reads else "write" if known else "unclassified",
        _side_effect(attempt, decision, reads),
        "full" if reads else "unknown",
        attempt.method or "",
        decision.layer.value,
        facts=told,
    )


def _draft_message(message: StdioMessage, decision: Decision, facts: Facts, phase: str) -> Draft:
    """It goes to another process of this machine; what a tool does then is told by nobody."""
    call = message.call
    return Draft(
        action_id=make_action_id(),
        target=render_message_target(call),
        verdict="allow" if decision.allowed else "block",
        transport=message.transport.value,
        phase=phase,
        action_type="unclassified",
        side_effect_class="none",
        reversibility="unknown",
        method=call.method,
        layer=decision.layer.value,
        facts={
            "proto": MCP,
            "from": message.side.value,
            **({"tool": call.name} if call.name is not None else {}),
            "reason": decision.reason,
            **facts,
        },
    )


def render_message_target(call: Call) -> str:
    """`mcp:tools/call:read_file`; without a method, what is no message."""
    words = [MCP, call.method or "message", *([call.name] if call.name is not None else [])]
    return ":".join(words)


def _side_effect(attempt: Attempt, decision: Decision, reads: bool) -> str:
    if not decision.allowed or attempt.protocol is Protocol.DNS:
        return "none"
    return "external_read" if reads else "external_write"


def render_target(attempt: Attempt) -> str:
    """The receipt's `target`: a URL without query or userinfo, both of which may carry secrets."""
    if attempt.protocol is Protocol.DNS:
        return f"dns:{attempt.host}"
    scheme = "https" if attempt.secure else attempt.protocol.value
    return f"{scheme}://{render_authority(attempt.host, attempt.port)}{attempt.path or ''}"


def draft_outcome(
    intent: Draft, verdict: str, layer: str, facts: Facts, gravest: tuple[str, str] = ("", "")
) -> Draft:
    """What came of an attempt. What was found before it began stands in the intent, and here in the sums alone.

    `gravest`: detector and severity of what ended it, where a finding did.
    """
    pattern, severity = gravest if layer == SCAN else ("", "")
    if FINDINGS in facts:
        facts = {name: value for name, value in facts.items() if name != FINDINGS}
    # Not attrs.evolve, which takes three times as long: there is one of these for every request.
    return Draft(
        intent.action_id,
        intent.target,
        verdict,
        intent.transport,
        "outcome",
        intent.action_type,
        intent.side_effect_class,
        intent.reversibility,
        intent.method,
        layer,
        pattern,
        severity,
        facts,
        parent_id=intent.parent_id,
        replaced=intent.replaced,
    )


def draft_finding(intent: Draft, tell: Callable[[Draft], Draft], found: Found) -> Draft:
    """What was found in what an attempt carries, when its intent was on disk already."""
    draft = tell(attrs.evolve(intent, action_id=make_action_id(), facts={FINDINGS: found}))
    about = {name: intent.facts[name] for name in _ABOUT if name in intent.facts}
    return attrs.evolve(
        draft,
        target=intent.target,  # as it stands on disk already
        parent_id=intent.action_id,
        phase="",
        layer=SCAN,
        verdict=find_verdict(each.action for each in found.findings),
        facts={**about, **draft.facts},
        replaced=intent.replaced,
    )
