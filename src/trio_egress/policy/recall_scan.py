"""What a receipt tells of findings, held against the policy: that a rule asked for the scan, and what it says of them.

Reads no file and no text of a finding: receipts have none, so whether it is one can't be found again.

Rule 1: what the policy says of a kind or a detector is what was done; where it says nothing, the detector's own action
        is not known here.
Rule 2: nothing is found where the rule has nothing looked through, nor suppressed that the policy doesn't name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trio_egress.model import Action, Layer, ScanTerms, Transport
from trio_egress.policy.recall import RULE_PLACE, Difference
from trio_egress.policy.rule import Policy, Rule
from trio_egress.policy.scan import KINDS, TOOL_CHANGED, TOOL_NEW, resolve_action

Members = Mapping[str, object]

_SUPPRESSED = "suppressed"
_ANSWER = "answer "


def hold_findings(policy: Policy, record: Members, facts: Members, since_us: int) -> Difference | None:
    """None where the policy says the same, or can't be asked. `since_us`: when the run began."""
    by_scan = record.get("layer") == Layer.SCAN.value
    findings = facts.get("findings")
    told = [each for each in findings if isinstance(each, dict)] if isinstance(findings, list) else []
    if not told and not by_scan:
        return None
    if record.get("transport") == Transport.MCP_STDIO.value:
        messages = policy.find_message_scan()
        if messages is None and told and all(map(_is_changed_tool, told)):
            return None
        if messages is None:
            return Difference("a scan of messages", "none: [mcp] asks for no scan")
        return next((found for each in told for found in _hold(messages, each, since_us)), None)
    rule = _find_rule(policy, facts)
    if rule is None:
        return Difference("a scan of no rule", "a rule that asks for it") if by_scan else None
    terms = policy.find_scan(rule, websocket=facts.get("websocket") is True)
    if terms is None and told and all(map(_is_changed_tool, told)):
        return None
    if terms is None:
        return Difference(f"a scan by egress[{rule.ref.index}]", "none: it asks for no scan")
    if (
        by_scan
        and "unscanned" in facts
        and not told
        and "found" not in facts
        and terms.unreadable is not Action.BLOCK
    ):
        return Difference("ended for what can't be looked into", "it is warned of, by the policy")
    return next((found for each in told for found in _hold(terms, each, since_us)), None)


def _find_rule(policy: Policy, facts: Members) -> Rule | None:
    place = RULE_PLACE.match(str(facts.get("rule")))
    index = int(place[1]) if place else -1
    return next((rule for rule in policy.rules if rule.ref.index == index), None)


def _is_changed_tool(finding: Members) -> bool:
    """What is told of without a scan, and nothing more."""
    return finding.get("detector") in (TOOL_CHANGED, TOOL_NEW) and finding.get("action") == Action.WARN.value


def _hold(terms: ScanTerms, finding: Members, since_us: int) -> Iterator[Difference]:
    detector, kind = str(finding.get("detector")), KINDS.get(str(finding.get("kind")))
    action, place = finding.get("action"), str(finding.get("place"))
    what = f"{detector[:64]} in {place[:64]}"
    outward = not place.startswith(_ANSWER)
    if not (terms.requests if outward else terms.answers):
        yield Difference(what, f"nothing: {'requests' if outward else 'answers'} are not looked through")
    if kind is None:
        return
    if action == _SUPPRESSED:
        known = (each for each in terms.suppressed.values() if each.detector == detector)
        if not any(each.until_us > since_us for each in known):
            yield Difference(f"{what} suppressed", "no suppression of the policy names that detector")
        return
    said = {
        resolve_action(terms, kind, detector, default, outward=outward)
        for default in (Action.BLOCK, Action.STRIP, Action.WARN)
    }
    if Action.STRIP in said:  # where it can't be done without harm, all of it is stopped
        said.add(Action.BLOCK)
    if action not in {each.value for each in said}:
        expected = " or ".join(sorted(each.value for each in said))
        yield Difference(f"{what}: {action}", f"{expected}, by the policy")
