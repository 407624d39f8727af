"""What a change of policy does, in words: what becomes reachable, what stops, what is otherwise different.

Compares meanings (`compiled`), so the order of rules, comments and spelling make no difference.

Rule 1: every difference of the compiled forms is told, whether or not an attempt shows it.
Rule 2: "opens" and "closes" are said only of what the engine itself decides differently for an example (`examples`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from trio_egress.model import Decision, Need
from trio_egress.policy.change import CHANGES, CLOSES, OPENS, Change, Document, show_value
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.examples import find_examples
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import is_looser
from trio_egress.policy.scan_diff import compare_scans
from trio_egress.policy.spelling import Spelt

_ADDED = {
    "write": (OPENS, "the agent may write {}"),
    "hide": (CLOSES, "the agent does not see {} any more"),
    "protect": (CLOSES, "the agent can't change {} any more"),
}
_REMOVED = {
    "write": (CLOSES, "the agent can't write {} any more"),
    "hide": (OPENS, "the agent sees {}"),
    "protect": (OPENS, "the agent may change {}"),
}


def compare(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Every difference, what opens first; () where both mean the same."""
    before, after = json.loads(render_compiled(old)), json.loads(render_compiled(new))
    changes = [
        *_compare_rules(before["egress"], after["egress"], old, new),
        *_compare_pins(before["resolve"], after["resolve"]),
        *_compare_files(before["files"], after["files"]),
        *_compare_values("env", before["env"], after["env"]),
        *_compare_values("limits", before["limits"], after["limits"]),
        *_compare_roots(before.get("tls", {}), after.get("tls", {})),
        *_compare_upstream(before.get("upstream", {}), after.get("upstream", {})),
        *compare_scans(before, after, old, new),
        *_compare_secrets(before.get("secret", []), after.get("secret", [])),
        *_compare_rest(before, after),
    ]
    order = (OPENS, CLOSES, CHANGES)
    return tuple(sorted(changes, key=lambda change: (order.index(change.effect), change.text)))


def _compare_rules(
    before: Sequence[Document], after: Sequence[Document], old: Policy, new: Policy
) -> Iterator[Change]:
    gone = [rule for rule in before if rule not in after]
    come = [rule for rule in after if rule not in before]
    for rule in come:
        partner = next((other for other in gone if _is_same(other, rule)), None)
        effect = _judge([rule] if partner is None else [rule, partner], old, new)
        if partner is None:
            yield Change(effect, f"{_subject(rule)}: a new rule{_terms(rule)}{_explain(effect)}")
        else:
            gone.remove(partner)
            yield Change(effect, f"{_subject(rule)}: {'; '.join(_differences(partner, rule))}")
    for rule in gone:
        effect = _judge([rule], old, new)
        yield Change(effect, f"{_subject(rule)}: no rule any more{_terms(rule)}{_explain(effect)}")


def _is_same(one: Document, other: Document) -> bool:
    """Whether one rule may have been edited into the other."""
    return one["destination"] == other["destination"] and one.get("deny") == other.get("deny")


def _subject(rule: Document) -> str:
    return f"{rule['destination']} (denied)" if rule.get("deny") else str(rule["destination"])


def _terms(rule: Document) -> str:
    words = [
        f"{key} {show_value(value)}"
        for key, value in sorted(rule.items())
        if key not in ("destination", "deny")
    ]
    return f", with {', '.join(words)}" if words else ""


def _explain(effect: str) -> str:
    return " (no example shows a difference)" if effect == CHANGES else ""


def _differences(before: Document, after: Document) -> Iterator[str]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{key} {show_value(before.get(key))} → {show_value(after.get(key))}"


def _judge(rules: Sequence[Document], old: Policy, new: Policy) -> str:
    """What the engine says differently about what these rules are for."""
    answers = [
        (_find_answer(old, *example), _find_answer(new, *example))
        for rule in rules
        for example in find_examples(rule)
    ]
    if any(_reaches_more(before, after) for before, after in answers):
        return OPENS
    if any(_reaches_more(after, before) for before, after in answers):
        return CLOSES
    return CHANGES


def _find_answer(policy: Policy, spelt: Spelt, moment: Moment) -> Decision:
    """TLS comes first; the request in it is asked for only where the boundary looks inside."""
    if spelt.connection is not None:
        decision = decide(policy, spelt.connection, moment)
        if not decision.allowed or Need.TLS not in decision.needs:
            return decision
    return decide(policy, spelt.attempt, moment)


def _reaches_more(one: Decision, other: Decision) -> bool:
    if not one.allowed or not other.allowed:
        return other.allowed and not one.allowed
    if is_looser(one.scan, other.scan) or (one.ask is not None and other.ask is None):
        return True
    private = [d.upstream is not None and d.upstream.allow_private for d in (one, other)]
    return private == [False, True]


def _compare_pins(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for target in sorted({*before, *after}):
        if before.get(target) != after.get(target):
            was, now = before.get(target, "looked up"), after.get(target, "looked up")
            yield Change(CHANGES, f"[resolve] {target}: {was} → {now}")


def _compare_files(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> Iterator[Change]:
    for words, one, other in ((_ADDED, before, after), (_REMOVED, after, before)):
        for key, (effect, text) in words.items():
            for path in other[key]:
                if path not in one[key]:
                    yield Change(effect, text.format(path))


def _compare_values(table: str, before: Document, after: Document) -> Iterator[Change]:
    for key in sorted({*before, *after}):
        if before.get(key) == after.get(key):
            continue
        if isinstance(before.get(key), dict) or isinstance(after.get(key), dict):  # names, never their values
            names = sorted(
                name
                for name in {**before[key], **after[key]}
                if before[key].get(name) != after[key].get(name)
            )
            yield Change(CHANGES, f"[{table}] {key}: {', '.join(names)}")
        else:
            yield Change(
                CHANGES, f"[{table}] {key}: {show_value(before.get(key))} → {show_value(after.get(key))}"
            )


def _compare_secrets(before: Sequence[Document], after: Sequence[Document]) -> Iterator[Change]:
    """By their names; what is kept out of the record opens nothing and closes nothing, and where it goes does."""
    was, now = ({secret["name"]: secret for secret in secrets} for secrets in (before, after))
    for name in sorted({*was, *now}):
        one, other = was.get(name, {}), now.get(name, {})
        if name not in was:
            yield Change(CHANGES, f"{name} is secret: receipts have a commitment for it")
        elif name not in now:
            yield Change(CHANGES, f"{name} is not secret any more: receipts tell it where it stands")
        elif one["from"] != other["from"]:
            yield Change(
                CHANGES, f"the secret {name}: from {show_value(one['from'])} → {show_value(other['from'])}"
            )
        yield from _compare_ways(name, one, other)


def _compare_ways(name: str, before: Document, after: Document) -> Iterator[Change]:
    """Where a secret is sent, and how."""
    was, now = before.get("to", []), after.get("to", [])
    for effect, words, more, less in ((OPENS, "is", now, was), (CLOSES, "is not", was, now)):
        for destination in more:
            if destination not in less:
                still = "" if effect == OPENS else " any more"
                yield Change(effect, f"the secret {name} {words} sent to {destination}{still}")
    if was and not now:
        yield Change(
            OPENS, f"the secret {name}: the agent gets it as [env] and [files] say, and no placeholder"
        )
    for key in ("as", "env", "placeholder"):
        if was and now and before.get(key) != after.get(key):
            yield Change(
                CHANGES,
                f"the secret {name}: {key} {show_value(before.get(key))} → {show_value(after.get(key))}",
            )


def _compare_roots(before: Document, after: Document) -> Iterator[Change]:
    """By their files; who vouches for a host opens no way to it."""
    was, now = ({root["file"]: root["sha256"] for root in tls.get("extra_ca", [])} for tls in (before, after))
    for name in sorted({*was, *now}):
        if name not in was:
            yield Change(CHANGES, f"the roots in {name} are trusted: sha256 {now[name]}")
        elif name not in now:
            yield Change(CHANGES, f"the roots in {name} are not trusted any more")
        elif was[name] != now[name]:
            yield Change(CHANGES, f"the roots in {name} are others: sha256 {was[name]} → {now[name]}")


def _compare_upstream(before: Document, after: Document) -> Iterator[Change]:
    """Where it all goes out changes nothing of what may."""
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield Change(
                CHANGES, f"[upstream] {key}: {show_value(before.get(key))} → {show_value(after.get(key))}"
            )


def _compare_rest(before: Document, after: Document) -> Iterator[Change]:
    """Tables that nothing above knows: a difference is told, if not in words."""
    known = ("egress", "resolve", "files", "env", "limits", "secret", "tls", "upstream", "scan", "canary")
    for key in sorted({*before, *after} - set(known)):
        if before.get(key) != after.get(key):
            yield Change(CHANGES, f"{key}: {show_value(before.get(key))} → {show_value(after.get(key))}")
