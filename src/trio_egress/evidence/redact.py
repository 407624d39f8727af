"""What is secret stands in no receipt: its class and a keyed commitment stand there for it.

Reads no environment and makes no key: both are arguments. How a value may be spelt is `spellings`' to know.

Rule 1: `[CLASS:COMMITMENT]` is the same for the same value in one run, however it was spelt there, and tells nothing of
        it to whoever has not the run's commitment key.
Rule 2: what is replaced is replaced before anything is signed, cut, or said.
Rule 3: where there is nothing secret, it costs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from trio_egress.evidence.facts import walk
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.scan_facts import redact_findings
from trio_egress.evidence.scan_form import FINDINGS
from trio_egress.evidence.spellings import Finder
from trio_egress.values import frozen

KEY_BYTES = 32
LABEL = b"trio-egress-commitment-v1"

QUERY, USERINFO = "query", "userinfo"
CLASSES = (QUERY, USERINFO)
"""What is always treated, so that no secret of the operator's may have such a name."""

CLEAN_MAX, CLEAN_CHARS = 1024, 512
"""Texts in which there is nothing secret, as is known already, and the longest of them: most receipts share most."""

VALUES_MAX = 32
"""Values of one fact that are told, each by a commitment; of more, only how many there are."""


@frozen
class Withheld:
    """A fact of which only commitments are ever told, value by value."""

    kind: str
    values: tuple[bytes, ...] = attrs.field(repr=False)


class Redactor:
    """What is secret in one run. `secrets` are values by their names."""

    def __init__(self, key: bytes, secrets: Mapping[str, bytes] | None = None) -> None:
        self._key = key
        self._secrets = dict(secrets or {})
        self._finder = Finder(self._secrets) if self._secrets else None
        self._clean: set[str] = set()

    def __repr__(self) -> str:
        return f"Redactor({', '.join(self._secrets)})"

    @property
    def key_sha256(self) -> str:
        """By which the commitment key of a run is known again."""
        return hashlib.sha256(LABEL + self._key).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that it knows."""
        return tuple(self._secrets)

    def value_of(self, name: str) -> bytes:
        """What it keeps out of the record; for whoever puts it in where it belongs."""
        return self._secrets[name]

    def only(self, names: Iterable[str]) -> Redactor:
        """One that knows no others."""
        wanted = {name: self._secrets[name] for name in names}
        return self if wanted == self._secrets else Redactor(self._key, wanted)

    def commit(self, name: str) -> str:
        """What stands in receipts for a secret."""
        return commit(self._key, name, self._secrets[name])

    def commit_value(self, kind: str, value: bytes) -> str:
        """What stands in receipts for any value."""
        return commit(self._key, kind, value)

    def redact(self, text: str) -> str:
        """A text without anything secret."""
        return self._replace(text, Counter())

    def hush(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """What says everything but secrets."""
        return say if self._finder is None else lambda text: say(self.redact(text))

    def holds(self, text: str) -> str:
        """The name of a secret whose value is in it; empty where there is none."""
        if self._finder is None or not self._finder.may_hold(text):
            return ""
        return next((name for _, _, name in self._finder.find(text)), "")

    def redact_fields(self, facts: Any) -> Any:
        """A value of attrs classes with every text in it redacted."""
        return facts if self._finder is None else self._redact_value(facts, Counter())

    def redact_draft(self, draft: Draft) -> tuple[Draft, dict[str, int]]:
        """A receipt without anything secret, and how often which secret was in it."""
        facts = draft.facts
        if Withheld in map(type, facts.values()):
            facts = {
                name: self._commit_all(value) if type(value) is Withheld else value
                for name, value in facts.items()
            }
            draft = attrs.evolve(draft, facts=facts)
        if self._finder is None:
            return draft, {}
        texts = (draft.target, draft.method, draft.layer, draft.pattern, draft.severity)
        if not self._may_hold(self._finder, texts, facts):
            return draft, {}
        found: Counter[str] = Counter()
        told = facts.get(FINDINGS)
        names = ("target", "method", "layer", *(() if told else ("pattern", "severity")))
        clean = {name: self._redact_value(getattr(draft, name), found) for name in names}
        rest = self._redact_value({name: facts[name] for name in facts if name != FINDINGS}, found)
        if told is not None:  # of which a peer has chosen no more than a name in a place
            rest = {FINDINGS: redact_findings(told, lambda text: self._replace(text, found)), **rest}
        return attrs.evolve(draft, **clean, facts=rest), dict(sorted(found.items()))

    def _may_hold(self, finder: Finder, texts: Iterable[str], facts: Mapping[str, object]) -> bool:
        """Whether something secret could be in one of these. What was found to be clean is not looked at again."""
        values = facts.values()
        found = {*texts, *facts, *(value for value in values if type(value) is str)}
        found.update(walk([value for value in values if type(value) not in (str, int)]))
        unknown = found - self._clean
        if unknown and finder.may_hold("\0".join(unknown)):
            return True
        if len(self._clean) + len(unknown) > CLEAN_MAX:
            self._clean.clear()
        if len(unknown) <= CLEAN_MAX:
            self._clean.update(text for text in unknown if len(text) <= CLEAN_CHARS)
        return False

    def _commit_all(self, withheld: Withheld) -> list[str]:
        told = [commit(self._key, withheld.kind, value) for value in withheld.values[:VALUES_MAX]]
        left = len(withheld.values) - len(told)
        return [*told, *([f"...({left} more)"] if left else [])]

    def _redact_value(self, value: object, found: Counter[str]) -> Any:
        match value:
            case str():
                return self._replace(value, found)
            case Mapping():
                return {
                    self._redact_value(name, found): self._redact_value(item, found)
                    for name, item in value.items()
                }
            case list() | tuple():
                return type(value)(self._redact_value(item, found) for item in value)
        return self._redact_fields(value, found) if attrs.has(type(value)) else value

    def _redact_fields(self, value: Any, found: Counter[str]) -> Any:
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        clean = {name: self._redact_value(item, found) for name, item in fields.items()}
        return attrs.evolve(value, **{name: item for name, item in clean.items() if item != fields[name]})

    def _replace(self, text: str, found: Counter[str]) -> str:
        if self._finder is None or not self._finder.may_hold(text):
            return text
        pieces, at = [], 0
        for start, end, name in self._finder.find(text):
            pieces += [text[at:start], commit(self._key, name, self._secrets[name])]
            found[name] += 1
            at = end
        return "".join((*pieces, text[at:]))


def commit(key: bytes, kind: str, value: bytes) -> str:
    """What stands for a value of this class. The class has no NUL in it."""
    digest = hmac.digest(key, b"%b\0%b\0%b" % (LABEL, kind.encode(), value), "sha256")
    return f"[{kind}:{digest[:16].hex()}]"
