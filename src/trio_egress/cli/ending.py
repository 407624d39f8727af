"""What a run says when it is over: how much was allowed and denied, what would have let the rest through, what is next.

Rule 1: bounded: DENIALS_KEPT different denials are remembered, and RULES_SHOWN rules told.
Rule 2: a rule is told only if the policy with it allows the very attempt; where the policy was changed, none is.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from trio_egress.cli.denials import printable
from trio_egress.cli.tally import Tally
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.session import OWN_TRANSPORTS, POLICY_TRANSPORT
from trio_egress.pages.advice import advise
from trio_egress.pages.story import Denial
from trio_egress.policy.rule import Policy
from trio_egress.proxy.ledger import ABLE
from trio_egress.runtime.spec import RunResult
from trio_egress.views.lines import Colour, Paint

DENIALS_KEPT = 20
RULES_SHOWN = 5
POLICY = "policy"


class Ending:
    """Fed each receipt before it is signed."""

    def __init__(self, policy: Policy, paint: Paint) -> None:
        self._policy = policy
        self._paint = paint
        self.tally = Tally()
        self._changed = False
        self._denied: dict[tuple[str, ...], Denial] = {}

    def follow(self, watch: Callable[[Draft], None]) -> Callable[[Draft], None]:
        """What is told to `watch`, told to this one as well."""

        def both(draft: Draft) -> None:
            watch(draft)
            self.note(draft)

        return both

    def note(self, draft: Draft) -> None:
        self.tally.note(draft)
        if draft.transport == POLICY_TRANSPORT:
            self._changed = self._changed or draft.verdict == "allow"
        elif draft.transport in OWN_TRANSPORTS or draft.parent_id or draft.phase:
            return
        elif draft.verdict == "block":
            self._keep(draft)

    def _keep(self, draft: Draft) -> None:
        identity = (draft.transport, draft.method, draft.target, draft.layer)
        if identity not in self._denied and len(self._denied) < DENIALS_KEPT:
            named = zip(("transport", "method", "target", "layer"), identity, strict=True)
            record = {"policy_hash": POLICY, **dict(named)}
            self._denied[identity] = Denial(record, draft.facts, 0, observed=False)

    def render(self, result: RunResult, packet: str, public_key: str) -> list[str]:
        """Messages, of one line or several."""
        let = self.tally.allowed
        allowed = self._paint(f"{let:,} allowed", Colour.ALLOWED if let else Colour.ASIDE)
        missed = f" ({self.tally.missed:,} not reached)" if self.tally.missed else ""
        denied = self._paint(f"{result.refused:,} denied", Colour.DENIED if result.refused else Colour.ASIDE)
        said = [f"{allowed}{missed}, {denied}; evidence in {packet}, head {result.head}"]
        if rules := self._find_rules():
            more = (
                f"\n\n… and {len(rules) - RULES_SHOWN} more: see report.html"
                if len(rules) > RULES_SHOWN
                else ""
            )
            text = "\n".join(f"{rule.rstrip()}\n" for rule in rules[:RULES_SHOWN]).rstrip() + more
            shown = "\n".join(f"    {printable(line)}" if line else "" for line in text.splitlines())
            said.append(f"the smallest rules that would have let it through (no advice to add any):\n{shown}")
        command = f"trio-egress verify {shlex.quote(packet)} --public-key {public_key}"
        return [*said, f"check it with: {command}"]

    def _find_rules(self) -> list[str]:
        if self._changed:
            return []
        policies: Mapping[str, Policy] = {POLICY: self._policy}
        facts = {"able": [need.value for need in ABLE]}
        rules = (advise(denial, policies, facts).rule for denial in self._denied.values())
        return [rule for rule in dict.fromkeys(rules) if rule]
