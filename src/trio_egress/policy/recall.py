"""Decides an attempt again, from what its receipt says of it: the record and the facts, as plain values.

Reads no file and checks no signature; what it gives is a finding for who does.

Rule 1: what is compared is whether it was allowed, the layer, and the place of the rule; not the words, which change.
Rule 2: what the boundary denied without asking the policy is not decided again, nor is what a receipt tells in part.
Rule 3: how much of a rule was used is not known from receipts, nor what a tool was called with: a denial by its
        `limits`, or for arguments, stands if the rule has any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from trio_egress.model import (
    INTERCEPTED,
    Attempt,
    Decision,
    Layer,
    Need,
    Protocol,
    Transport,
    render_authority,
)
from trio_egress.policy.engine import decide, decide_some
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.moment import Moment
from trio_egress.policy.recall_calls import recall_calls, unescape
from trio_egress.policy.rule import Policy
from trio_egress.values import frozen

Members = Mapping[str, object]

UNTOLD = "?"
"""Stands for an origin or a subprotocol that no rule names: programs put credentials there. It is neither of them."""

NAMES_LEFT_OUT = "names_left_out"
"""The fact that says that a request had more names of fields and parameters than a receipt holds."""

ASKED_OF, ANSWER, ANSWERED_BY = "asked_of", "answer", "answered_by"
"""Facts: what kind of approver was asked about an attempt, what it said, and who it says that it is."""

APPROVED = "allow"
"""The only answer with which anything goes on."""

CHANGED = "the policy was changed"
"""How the reason begins of what ended because another policy came into force."""

NAMES_CHARS = 1500
"""As many characters of them a receipt tells; `ext` has room for them whatever they are (evidence.facts)."""

_TRANSPORTS = {transport.value: transport for transport in Transport}
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}
_NEEDS = {need.value: need for need in Need}
RULE_PLACE = re.compile(r"egress\[([0-9]{1,9})\]")
"""With which the fact `rule` begins."""

_CUT = re.compile(r"\.\.\.\([0-9]+ more\)\Z")


@frozen
class Difference:
    """What a receipt says, and what the policy says."""

    found: str
    expected: str


def read_able(facts: Members) -> frozenset[Need]:
    """What the boundary of a run could do, as its open receipt says."""
    able = facts.get("able")
    words = able if isinstance(able, list) else ()
    return frozenset(_NEEDS[word] for word in words if isinstance(word, str) and word in _NEEDS)


def decide_again(policy: Policy, record: Members, facts: Members, able: frozenset[Need]) -> Difference | None:
    """None where the policy says the same, or can't be asked."""
    if "parent_action_id" in record:  # of findings alone: its attempt was decided by its own receipts
        return None
    if "dialled" in facts and record.get("decision_phase") == "outcome":
        return _hold_way(policy, record, facts) or _hold_host_key(policy, record, facts, able)
    attempt = recall_attempt(record, facts)
    if attempt is None or not _was_asked(record, facts):
        return None
    moment = _recall_moment(facts, able)
    decision = decide(policy, attempt, moment)
    if not decision.allowed and attempt.protocol is Protocol.HTTP and attempt.method is None:
        decision = decide_some(policy, attempt, moment)
    found, expected = _read_answer(record, facts), _render_answer(decision)
    if (
        found == expected
        or _is_of_use(found, decision, policy)
        or _is_of_scan(found, decision)
        or _is_of_arguments(found, decision, policy)
        or _is_of_approval(found, decision)
    ):
        return _hold_approval(decision, record, facts) or _hold_secrets(policy, attempt, facts)
    return Difference(" ".join(found), " ".join(expected))


def _hold_way(policy: Policy, record: Members, facts: Members) -> Difference | None:
    """Whether what was dialled went out by the proxy that the policy names, or by none."""
    told = facts.get("via")
    if policy.upstream is None and told is None:  # which costs nothing
        return None
    attempt = recall_attempt(record, facts)
    via = None if attempt is None else policy.find_via(attempt)
    if attempt is None or told == (None if via is None else str(via)):
        return None
    return Difference(*(f"dialled by {'no proxy' if one is None else one}" for one in (told, via)))


def _hold_host_key(
    policy: Policy, record: Members, facts: Members, able: frozenset[Need]
) -> Difference | None:
    """Whether a server was let through by its key, or refused, as the policy pins it."""
    told = facts.get("host_key")
    if told is None or str(facts.get("reason")).startswith(
        CHANGED
    ):  # that one was judged under another policy
        return None
    attempt = recall_attempt(record, facts)
    upstream = None if attempt is None else decide(policy, attempt, _recall_moment(facts, able)).upstream
    if upstream is None or upstream.host_keys is None:
        return None
    refused = record.get("layer") == Layer.HOST_KEY.value
    if (told in upstream.host_keys) is not refused:
        return None
    words = [f"a server with the host key {str(told)[:64]} {word}" for word in ("refused", "let through")]
    return Difference(*(words if refused else words[::-1]))


def _recall_moment(facts: Members, able: frozenset[Need]) -> Moment:
    judged_us = facts.get("judged_us")
    return Moment(now_us=judged_us if type(judged_us) is int else None, able=able)


def _hold_secrets(policy: Policy, attempt: Attempt, facts: Members) -> Difference | None:
    """Whether each secret that the boundary put in goes there by the policy."""
    told = facts.get("secrets_used")
    sent = {
        placed.secret.name for placed in policy.secrets if placed.secret.goes_to(attempt.host, attempt.port)
    }
    for each in told if isinstance(told, list) else ():
        name = str(each).removeprefix("[").partition(":")[0]
        if name not in sent:
            return Difference(f"the secret {name[:64]} put in", "a secret that goes there, or none")
    return None


def recall_attempt(record: Members, facts: Members) -> Attempt | None:
    """The attempt of a receipt; None where it is of none, or tells it in part."""
    transport = _TRANSPORTS.get(str(record.get("transport")))
    protocol = _PROTOCOLS.get(str(facts.get("proto")))
    host, port, target = facts.get("host"), facts.get("port"), record.get("target")
    if transport is None or protocol is None or type(port) is not int:
        return None
    if not isinstance(host, str) or not isinstance(target, str) or _CUT.search(target):
        return None
    if facts.get(NAMES_LEFT_OUT) is not None or record.get("redaction") is not None:
        return None
    try:
        name = parse_host(host)
    except ValueError:
        return None
    method = record.get("method")
    secure = protocol is Protocol.HTTP and target.startswith("https://")
    scheme = "https" if secure else protocol.value
    body_bytes, service = facts.get("body_bytes"), facts.get("service")
    return Attempt(
        transport,
        protocol,
        name,
        port,
        method if isinstance(method, str) and method else None,
        target.removeprefix(f"{scheme}://{render_authority(name, port)}") or None,
        secure=secure,
        websocket=facts.get("websocket") is True,
        query=_read_names(facts.get("query")),
        headers=_read_names(facts.get("headers")),
        origin=unescape(origin) if isinstance(origin := facts.get("ws_origin"), str) else None,
        subprotocols=_read_names(facts.get("ws_protocols")),
        service=service if isinstance(service, str) else None,
        body_bytes=body_bytes if type(body_bytes) is int else None,
        calls=recall_calls(facts),
        overrides=_read_names(facts.get("method_overrides")) or frozenset(),
    )


def _read_names(value: object) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    return frozenset(unescape(name) for name in value if isinstance(name, str))


def _was_asked(record: Members, facts: Members) -> bool:
    """Whether the policy decided this: what was allowed, or a denial that names a rule or says that there is none."""
    if record.get("decision_phase", "") not in ("", "intent"):
        return False
    if record.get("layer") == Layer.OBSERVE.value:
        return False
    if record.get("verdict") != "block":
        return True
    return "rule" in facts or record.get("layer") == Layer.DEFAULT_DENY.value


def _read_answer(record: Members, facts: Members) -> tuple[str, str, str]:
    rule = RULE_PLACE.match(str(facts.get("rule")))
    return str(record.get("verdict")), str(record.get("layer")), rule[0] if rule else "no rule"


def _render_answer(decision: Decision) -> tuple[str, str, str]:
    verdict = "allow" if decision.allowed else "block"
    rule = "no rule" if decision.rule is None else f"egress[{decision.rule.index}]"
    return verdict, decision.layer.value, rule


def _is_of_scan(found: tuple[str, str, str], decision: Decision) -> bool:
    """Whether it differs only by what was found in it, or by what could not be looked into."""
    allowed = _render_answer(decision)
    stopped = ("block", Layer.SCAN.value, allowed[2])
    return found == stopped and decision.allowed


def _is_of_arguments(found: tuple[str, str, str], decision: Decision, policy: Policy) -> bool:
    """Whether it differs only by what a tool was called with, which is never told."""
    about = {
        f"egress[{rule.ref.index}]"
        for rule in policy.rules
        if rule.terms.mcp is not None and rule.terms.mcp.arguments is not None
    }
    verdict, layer, rule = found
    if not decision.allowed or not about & {rule, _render_answer(decision)[2]}:
        return False
    return verdict == "allow" or layer in (Layer.OPERATION.value, Layer.DENY_RULE.value)


def _is_of_approval(found: tuple[str, str, str], decision: Decision) -> bool:
    """Whether it differs only by what somebody said who was asked, or didn't say: that only ever narrows."""
    return decision.allowed and found == ("block", Layer.APPROVAL.value, _render_answer(decision)[2])


def _hold_approval(decision: Decision, record: Members, facts: Members) -> Difference | None:
    """Whether what went on under a rule that asks was approved, and nothing did that was not."""
    told, allowed = facts.get(ANSWER), record.get("verdict") == "allow"
    if allowed and told not in (None, APPROVED):
        return Difference("allowed, though whoever was asked did not approve", "a denial of layer approval")
    if not allowed and told == APPROVED and record.get("layer") == Layer.APPROVAL.value:
        return Difference("denied for want of an approval that was given", "an allowed attempt")
    if (
        not allowed
        or decision.ask is None
        or (Need.TLS in decision.needs and facts.get("tls") == INTERCEPTED)
    ):
        return None  # TLS that ends at the boundary leads nowhere: each request in it is asked about
    if told == APPROVED and facts.get(ASKED_OF) and facts.get(ANSWERED_BY):
        return None
    return Difference("allowed without an approval", f"an approval: {decision.rule} asks for one")


def _is_of_use(found: tuple[str, str, str], decision: Decision, policy: Policy) -> bool:
    """Whether it differs only by what had been used of a rule that has limits."""
    limited = {f"egress[{rule.ref.index}]" for rule in policy.rules if rule.terms.limits is not None}
    verdict, layer, rule = found
    if verdict == "allow":
        return decision.allowed and decision.limits is not None
    return layer == Layer.LIMIT.value and rule in limited and decision.allowed
