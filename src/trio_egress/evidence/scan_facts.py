"""What was found in what an attempt carries, on its way into a receipt.

Knows no scanner and no policy: values in, a draft that is safe to sign out.

Rule 1: nothing of what was found is told but a commitment to it; in the target and every other text of the receipt a
        commitment stands for it, too, however it was spelt there.
Rule 2: bounded: a receipt tells FINDINGS_MAX findings, the gravest first, and counts the rest.
Rule 3: a place and a detector's name are short, printable words, whoever chose them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

import attrs

from trio_egress.evidence.facts import walk
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.scan_form import (
    ACTIONS,
    ANSWER,
    BODY,
    FINDINGS,
    FINDINGS_MAX,
    HEADER,
    KINDS,
    LEFT_OUT,
    MESSAGE,
    NAME_CHARS,
    SEVERITIES,
    TRAILER,
    is_place,
)
from trio_egress.evidence.spellings import Finder, list_spellings, lower
from trio_egress.values import frozen

CLASS_CHARS = 64
VIA_MAX, VIA_CHARS = 8, 24
NEEDLE_CHARS = 6
"""What is shorter is replaced nowhere else: it would be found in any text."""

ODD_BYTES = 256
"""Longest value that is looked for in every mixture of spellings; in a text that has a longer one nothing is told."""

DECODINGS = 3

SPELT_MAX = 256
"""Findings of one receipt whose usual spellings are looked for, too."""

_NAMED = re.compile(rf"((?:{ANSWER})?(?:{HEADER}|{TRAILER}) )(.*)", re.DOTALL)
_NO_NAME = re.compile(r"[^!-\[\]-~]")
_NO_CLASS = re.compile(r"[^A-Za-z0-9._-]")

Commit = Callable[[str, bytes], str]
"""From a class and a value to what stands for the value."""


@frozen(kw_only=True)
class ToldFinding:
    """One finding, or `count` equal ones.

    `kind`, `severity`: the words of `content.detector`. `action`: what was *done*, one of ACTIONS; where a run only
    observes, nothing is blocked. `place`: HOST, TARGET, `in_body()`, `in_header(name)` … `value`: what was found,
    decoded. `spelt`: the bytes in which it stood in the message, in pieces where it was cut.
    """

    kind: str = attrs.field(validator=attrs.validators.in_(KINDS))
    detector: str
    place: str
    action: str = attrs.field(validator=attrs.validators.in_(ACTIONS))
    severity: str = attrs.field(validator=attrs.validators.in_(SEVERITIES))
    via: tuple[str, ...] = ()
    value: bytes = attrs.field(repr=False)
    spelt: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    count: int = attrs.field(default=1, validator=attrs.validators.ge(1))

    @property
    def rank(self) -> tuple[int, int, int]:
        """The gravest first."""
        return ACTIONS.index(self.action), SEVERITIES.index(self.severity), KINDS.index(self.kind)

    @property
    def key(self) -> tuple[object, ...]:
        """What equal ones share."""
        return self.detector, self.place, self.via, self.action, self.value

    @property
    def pattern(self) -> str:
        """The detector, as a receipt names it."""
        return _shorten(self.detector)


@frozen
class Found:
    """The fact `findings` of an attempt or a denial, until its receipt is drafted."""

    findings: tuple[ToldFinding, ...] = attrs.field(validator=attrs.validators.min_len(1))


def in_header(name: bytes, *, answer: bool = False) -> str:
    """The place of what stands in a field of that name: in its value, or in the name."""
    return f"{ANSWER if answer else ''}{HEADER} {name.decode('latin-1').lower()}"


def in_trailer(name: bytes, *, answer: bool = False) -> str:
    return f"{ANSWER if answer else ''}{TRAILER} {name.decode('latin-1').lower()}"


def in_body(*, answer: bool = False) -> str:
    return f"{ANSWER if answer else ''}{BODY}"


def in_message(*, answer: bool = False) -> str:
    """Of a WebSocket, control frames included."""
    return f"{ANSWER if answer else ''}{MESSAGE}"


def merge_findings(findings: Iterable[ToldFinding]) -> list[ToldFinding]:
    """The gravest first, and equal ones as one."""
    merged: dict[tuple[object, ...], ToldFinding] = {}
    for each in sorted(findings, key=lambda each: each.rank):
        known = merged.get(each.key)
        merged[each.key] = each if known is None else attrs.evolve(known, count=known.count + each.count)
    return list(merged.values())


def tell_findings(draft: Draft, commit: Commit) -> Draft:
    """The draft with its fact `findings` as a receipt holds it. One without is given back as it is."""
    found = draft.facts.get(FINDINGS)
    if not isinstance(found, Found):
        return draft
    findings = merge_findings(found.findings)
    stands = [commit(_name_class(each.detector), each.value) for each in findings]
    rest = {name: value for name, value in draft.facts.items() if name != FINDINGS}
    texts = (draft.target, *(each.place for each in findings), *walk(rest))
    concealing = _Concealing(findings, stands, "\0".join(texts))
    told = [
        _tell(each, concealing.conceal(each.place), stand)
        for each, stand in zip(findings[:FINDINGS_MAX], stands, strict=False)
    ]
    more = sum(each.count for each in findings[FINDINGS_MAX:])
    facts = {name: concealing.conceal_all(value) for name, value in rest.items()}
    return attrs.evolve(
        draft,
        target=concealing.conceal(draft.target),
        pattern=findings[0].pattern,
        severity=findings[0].severity,
        # First, so that whatever else there is to tell, there is room for them.
        facts={FINDINGS: told, **({LEFT_OUT: more} if more else {}), **facts},
        replaced=dict(sorted(concealing.counts.items())),
    )


def _tell(finding: ToldFinding, place: str, stand: str) -> Mapping[str, object]:
    via = {"via": [_shorten(each)[:VIA_CHARS] for each in finding.via[:VIA_MAX]]} if finding.via else {}
    return {
        "detector": finding.pattern,
        "kind": finding.kind,
        "place": shorten_place(place),
        **via,
        "action": finding.action,
        "severity": finding.severity,
        "commitment": stand,
        "count": finding.count,
    }


def _shorten(text: str) -> str:
    """A word that may be told, and is never empty."""
    return _NO_NAME.sub("?", text[:NAME_CHARS]) or "?"


def shorten_place(place: str) -> str:
    """Never raises, and is always a place."""
    named = _NAMED.fullmatch(place)
    if named is not None:
        return named[1] + _shorten(named[2])
    return place if is_place(place) else BODY


def redact_findings(findings: object, redact: Callable[[str], str]) -> object:
    """The fact as a receipt holds it, without the policy's secrets, which could stand in a name that a peer chose."""
    if not isinstance(findings, list):
        return findings
    return [{**each, "place": shorten_place(redact(each["place"]))} for each in findings]


def _name_class(detector: str) -> str:
    name = _NO_CLASS.sub("-", detector)
    return (name if name[:1].isalnum() else f"x{name}")[:CLASS_CHARS]


def _lay_bare(text: str) -> str:
    """Without percents, dots and upper case."""
    for _ in range(DECODINGS):
        if "%" in text:
            text = unquote_to_bytes(text.encode("utf-8", "surrogatepass")).decode("latin-1")
    return lower(text).replace(".", "")


class _Concealing:
    """Puts a commitment in the place of what was found, in every spelling that is known of it.

    `everything`: all texts together. What does not stand there is looked for in none of them.
    """

    def __init__(self, findings: Sequence[ToldFinding], stands: Sequence[str], everything: str) -> None:
        self._stands: dict[str, str] = {}
        self._values: dict[str, bytes] = {}
        low, bare = lower(everything), _lay_bare(everything)
        for number, (finding, stand) in enumerate(zip(findings, stands, strict=True)):
            self._values.setdefault(stand, finding.value)
            # No spelling is shorter than its value; where thousands were found, each is known as it stood.
            usual = number < SPELT_MAX and len(finding.value) <= len(low)
            for raw in (*finding.spelt, *(list_spellings(finding.value) if usual else ())):
                needle = lower(raw.decode("latin-1"))
                if len(needle) >= NEEDLE_CHARS and (needle in low or needle.replace(".", "") in bare):
                    self._stands.setdefault(needle, stand)
        self.counts: Counter[str] = Counter()

    def conceal(self, text: str) -> str:
        low = lower(text)
        standing = sorted((needle for needle in self._stands if needle in low), key=len, reverse=True)
        spans = re.finditer("|".join(map(re.escape, standing)), low) if standing else ()
        text = self._replace(text, [(*match.span(), self._stands[match[0]]) for match in spans])
        for stand in self._find_hidden(text):
            value = self._values[stand]
            if NEEDLE_CHARS <= len(value) <= ODD_BYTES:
                found = Finder({"": value}).find(text)
                text = self._replace(text, [(start, end, stand) for start, end, _ in found])
            if stand in self._find_hidden(text):
                return self._replace(text, [(0, len(text), stand)])
        return text

    def _find_hidden(self, text: str) -> list[str]:
        """What stands in it beneath percents, or in pieces with dots between them."""
        if not self._stands or ("%" not in text and "." not in text):
            return []
        bare = _lay_bare(text)
        hidden = (stand for needle, stand in self._stands.items() if needle.replace(".", "") in bare)
        return list(dict.fromkeys(hidden))

    def _replace(self, text: str, spans: Sequence[tuple[int, int, str]]) -> str:
        pieces, at = [], 0
        for start, end, stand in spans:
            self.counts[stand[1:].partition(":")[0]] += 1
            pieces += [text[at:start], stand]
            at = end
        return "".join((*pieces, text[at:]))

    def conceal_all(self, value: object) -> object:
        match value:
            case str():
                return self.conceal(value)
            case Mapping():
                return {self.conceal(str(name)): self.conceal_all(item) for name, item in value.items()}
            case list() | tuple():
                return [self.conceal_all(item) for item in value]
        return value
