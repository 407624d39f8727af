"""How a rule has what it allows looked through: the key `scan` of a rule, and what becomes of a finding.

Looks at no byte, and knows no detector but by its name and kind.

Rule 1: what is nearer decides: the rule before `[scan]` of the policy, and that before the detector's own action; in
        one table a detector's name goes before its kind.
Rule 2: of what goes out, `strip` is `block`: a request that is changed is another request.
Rule 3: a suppression is for one value that one detector found, and has an end; without a time none holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import attrs

from trio_egress.model import SCAN_WHOLE_BYTES, Action, Actions, Kind, ScanTerms, Suppression
from trio_egress.values import frozen

KINDS = {kind.value: kind for kind in Kind}
"""The keys of a table `scan` that are kinds of findings."""

TOOL_CHANGED, TOOL_NEW = "mcp-tool-changed", "mcp-tool-new"
"""What stands for a detector where a tool of MCP is not what it was told to be first (proxy/tool_pins.py), or comes
when the list was told already, and no change of it was announced."""

T = TypeVar("T")

_NONE_SUPPRESSED: Mapping[str, Suppression] = MappingProxyType({})


@frozen(kw_only=True)
class Scan:
    """A field for each key of a rule's `scan`, or of `[scan]` for all rules. None: nothing is said of that."""

    secret: Action | None = None
    exact: Action | None = None
    canary: Action | None = None
    instruction: Action | None = None
    hidden: Action | None = None
    entropy: Action | None = None
    detectors: Mapping[str, Action] = attrs.field(factory=dict, hash=False)
    requests: bool | None = None
    answers: bool | None = None
    whole: int | None = None
    unreadable: Action | None = None

    @property
    def words(self) -> Scan:
        """What it says of how it is looked through, and nothing else that a table may have."""
        return Scan(**{field.name: getattr(self, field.name) for field in attrs.fields(Scan)})

    @property
    def actions(self) -> Actions:
        said = {kind: getattr(self, key) for key, kind in KINDS.items()}
        return Actions(self.detectors, {kind: action for kind, action in said.items() if action is not None})


NO_SCAN = Scan()


def merge_scan(
    rule: Scan, policy: Scan, suppressed: Mapping[str, Suppression] = _NONE_SUPPRESSED
) -> ScanTerms:
    """What holds for a rule: what it says itself, and else what the policy says for all rules."""

    return ScanTerms(
        actions=tuple(said for said in (rule.actions, policy.actions) if said != Actions()),
        requests=_choose(rule.requests, policy.requests, otherwise=True),
        answers=_choose(rule.answers, policy.answers, otherwise=True),
        whole=_choose(rule.whole, policy.whole, otherwise=SCAN_WHOLE_BYTES),
        unreadable=_choose(rule.unreadable, policy.unreadable, otherwise=Action.BLOCK),
        suppressed=suppressed,
    )


def _choose(rule: T | None, policy: T | None, *, otherwise: T) -> T:
    return next((value for value in (rule, policy) if value is not None), otherwise)


def resolve_action(
    terms: ScanTerms,
    kind: Kind,
    detector: str,
    default: Action,
    *,
    outward: bool,
    finding: str = "",
    now_us: int | None = None,
) -> Action:
    """What becomes of a finding. `default`: the detector's own action. `finding`: the finding's fingerprint."""
    if find_suppression(terms, detector, finding, now_us) is not None:
        return Action.OFF
    said = (action for table in terms.actions if (action := _find_action(table, kind, detector)) is not None)
    action = next(said, default)
    return Action.BLOCK if outward and action is Action.STRIP else action


def find_suppression(terms: ScanTerms, detector: str, finding: str, now_us: int | None) -> Suppression | None:
    """What says that it is none, and still holds."""
    found = terms.suppressed.get(finding)
    if found is None or found.detector != detector or now_us is None or now_us >= found.until_us:
        return None
    return found


def _find_action(table: Actions, kind: Kind, detector: str) -> Action | None:
    action = table.detectors.get(detector)
    return table.kinds.get(kind) if action is None else action


_ORDER = (Action.OFF, Action.WARN, Action.STRIP, Action.BLOCK)


def is_looser(one: ScanTerms | None, other: ScanTerms | None) -> bool:
    """Whether `other` lets something by, at some time, that `one` doesn't. None: nothing is looked through."""
    if one is None or other is None:
        return one is not None
    if (one.requests and not other.requests) or (one.answers and not other.answers):
        return True
    if _ORDER.index(one.unreadable) > _ORDER.index(other.unreadable):
        return True
    if set(other.suppressed.values()) - set(one.suppressed.values()):
        return True
    names = {name for terms in (one, other) for table in terms.actions for name in table.detectors}
    return any(
        _ORDER.index(_resolve(one, kind, name, default)) > _ORDER.index(_resolve(other, kind, name, default))
        for name in {*names, ""}
        for kind in Kind
        for default in _ORDER[
            1:
        ]  # what is off by itself is another thing when it is switched on, and no less
    )


def _resolve(terms: ScanTerms, kind: Kind, detector: str, default: Action) -> Action:
    return resolve_action(terms, kind, detector, default, outward=False)


def describe_scan(terms: ScanTerms) -> str:
    """What is looked through, and what the policy says of findings, the nearest first."""
    what = " and ".join(word for word in ("requests", "answers") if getattr(terms, word))
    said: dict[str, Action] = {}
    for table in terms.actions:
        own = {**table.detectors, **{kind.value: action for kind, action in table.kinds.items()}}
        said.update((word, action) for word, action in own.items() if word not in said)
    words = [f"{word} {action.value}" for word, action in said.items()]
    unread = "" if terms.unreadable is Action.BLOCK else "; what can't be looked into goes on"
    rest = "else as the detectors have it" if words else "as the detectors have it"
    return f"{what}: {', '.join([*words, rest])}{unread}"


def render_scan(scan: Scan) -> object:
    """As the compiled form has it: `true` where nothing more is said."""
    return render_words(scan) or True


def render_words(scan: Scan) -> dict[str, object]:
    """The keys that say something."""
    written: dict[str, object] = {}
    for field in attrs.fields(Scan):
        match getattr(scan, field.name):
            case None:
                continue
            case Action() as action:
                written[field.name] = action.value
            case Mapping() as actions:
                if actions:
                    written[field.name] = {name: action.value for name, action in actions.items()}
            case value:
                written[field.name] = value
    return written
