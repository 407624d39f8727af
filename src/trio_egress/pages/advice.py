"""What would let a denied attempt through: the smallest rule, or why there is none.

Asks the engine; decides nothing, and recommends nothing.

Rule 1: a rule is shown only if the engine, given it beside the policy's own, allows the very attempt of the receipt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from trio_egress.model import Layer, Need, Protocol, Transport
from trio_egress.pages.story import Denial, Members
from trio_egress.policy.explain import explain, suggest
from trio_egress.policy.moment import Moment
from trio_egress.policy.recall import read_able, recall_attempt
from trio_egress.policy.rule import Policy
from trio_egress.policy.spelling import Spelt
from trio_egress.policy.writing import render_rule
from trio_egress.values import frozen

_PLACE = re.compile(r"egress\[[0-9]{1,9}\] .*\((?P<file>.*?) ?line (?P<line>[0-9]{1,9})\)\Z", re.DOTALL)
_LAYERS = {layer.value: layer for layer in Layer}
_FIXED = {
    Layer.KERNEL: "No rule can allow this: nothing but TCP and DNS has a way out of the sandbox.",
    Layer.MALFORMED: "No rule can allow this: it could not be read as what it claimed to be.",
    Layer.NAME_MISMATCH: "No rule can allow this: it named one host and asked for another.",
    Layer.SECRET: (
        "A secret was asked for where the policy doesn't send it: that is in `to` and `as` of its `[[secret]]`."
    ),
    Layer.SCAN: (
        "Its rule allows the destination: it was stopped for what was found in it. If that is a credential, replace it "
        "and see how the agent came by it; if it is none, suppress it in `[scan]`, with a reason."
    ),
    Layer.HOST_KEY: (
        "Its rule allows the destination: the server showed a key that `host_keys` doesn't name, or none to rely on. "
        "Compare the key with the one that the server's owner publishes before it is added."
    ),
    Layer.APPROVAL: (
        "The rule allows it once somebody who is asked agrees (`ask`), and nobody did: its receipt says who was asked."
    ),
    Layer.LIMIT: "The rule allows it, and its limits were used up: they are in its `limits`.",
}
_WITHHELD = "Something in it is secret and is not told: no rule can be worked out from its receipt."
_MESSAGE = (
    "[mcp] of the policy doesn't name it: what the client may ask is in `methods` and `tools`, what the server may, in "
    "`server_methods`."
)
_CALL = "No rule can allow this: the kernel refuses this system call to every agent."


@frozen
class Advice:
    """`rule`: TOML, or ''. `words`: why there is none, or what to change instead."""

    rule: str = ""
    words: str = ""


@frozen
class Place:
    """Where a rule stands: `file` is '' for the policy itself."""

    file: str
    line: int


def find_place(facts: Members) -> Place | None:
    """The rule that a receipt names, where it stands in its policy."""
    rule = facts.get("rule")
    found = _PLACE.match(rule) if isinstance(rule, str) else None
    return Place(found["file"].strip(), int(found["line"])) if found else None


def advise(denial: Denial, policies: Mapping[str, Policy], open_facts: Members) -> Advice:
    """By the policy that was in force; nothing where it isn't at hand or the receipt tells the attempt in part."""
    if denial.record.get("transport") == "syscall":
        return Advice(words=_CALL)
    layer = _LAYERS.get(str(denial.record.get("layer")))
    if layer in _FIXED:
        return Advice(words=_FIXED[layer])
    if denial.record.get("transport") == Transport.MCP_STDIO.value and layer is Layer.OPERATION:
        return Advice(words=_MESSAGE)
    if denial.record.get("redaction") is not None:
        return Advice(words=_WITHHELD)
    policy = policies.get(str(denial.record.get("policy_hash")))
    attempt = recall_attempt(denial.record, denial.facts)
    if policy is None or attempt is None:
        return Advice()
    judged_us = denial.facts.get("judged_us")
    able: frozenset[Need] = read_able(open_facts)
    moment = Moment(now_us=judged_us if type(judged_us) is int else None, able=able)
    # What is about other hosts changes nothing, and there may be ten thousand rules.
    own = (*policy.index.find(attempt.host), *(policy.denials.find(attempt.host) if policy.denials else ()))
    near = attrs.evolve(policy, rules=tuple(sorted(own, key=lambda rule: rule.ref.index)))
    spelt = Spelt(attempt)
    if explain(near, spelt, moment).allowed:
        return Advice(words=_explain_allowed(layer))
    if attempt.protocol is Protocol.HTTP and attempt.method is None:
        return Advice()  # a connection that was refused before its request was read
    rule = suggest(near, spelt, moment)
    if rule is None:
        return Advice(
            words="No further rule would allow it: the one that is named has to be changed or removed."
        )
    return Advice(rule=render_rule(rule))


def _explain_allowed(layer: Layer | None) -> str:
    if layer is Layer.ADDRESS:
        return "The rule allows the name, and it led to an address that is not public: `allow_private = true` lets it."
    return ""
