"""Whether what receipts tell of findings holds together: whose they are, what was done, and what they add up to.

Keeps only what is open, and of that a few numbers.

Rule 1: a receipt of nothing but findings is about an attempt that is open, and says its gravest action as its verdict.
Rule 2: nothing goes on in which something was blocked: no intent has such a finding, and no outcome after one allows.
Rule 3: an outcome's sums are what the attempt's receipts tell, and what they leave out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from trio_egress.evidence.scan_form import (
    ACTIONS,
    BLOCK,
    FINDINGS,
    FOUND,
    LEFT_OUT,
    SCAN,
    STRIP,
    UNSCANNED,
    count_actions,
    find_verdict,
)
from trio_egress.values import frozen

Members = Mapping[str, object]

_LANE_BITS = 128
"""Of a count: no log has so many receipts that their counts, of 64 bits each, add up to more."""

_LANE_MASK = (1 << _LANE_BITS) - 1


@frozen
class Flaw:
    """A code of the verifier's, what was found, and what was expected."""

    code: str
    found: str
    expected: str


class ScanPairs:
    """Fed the receipts of attempts by what they are to each other."""

    def __init__(self) -> None:
        self._open: dict[object, int] = {}  # by action id: what was done how often, as told; packed

    def start(self, record: Members, facts: Members) -> Iterator[Flaw]:
        """An intent."""
        told = count_actions(facts.get(FINDINGS))
        if told:
            self._open[record["action_id"]] = _pack(told)
            yield from _check_words(record, facts)
        if told[BLOCK] or told[STRIP]:
            yield Flaw("found.verdict", "an intent with a finding that was blocked", "a denial")

    def decide(self, record: Members, facts: Members) -> Iterator[Flaw]:
        """An attempt of one receipt."""
        told = count_actions(facts.get(FINDINGS))
        blocked = told[BLOCK] + told[STRIP]
        if told:
            yield from _check_words(record, facts)
        if blocked and record["verdict"] != "block":
            yield Flaw("found.verdict", f"{record['verdict']}, with a finding that was blocked", "block")
        if record.get("layer") == SCAN and told and not blocked:
            yield Flaw("found.verdict", "the layer scan without a finding that was blocked", "such a finding")
        if record.get("layer") == SCAN and not told and record.get("pattern"):
            yield Flaw("found.verdict", "a pattern without a finding", "a finding of it")

    def add(self, record: Members, facts: Members) -> Iterator[Flaw]:
        """Nothing but findings, of an attempt that is open."""
        told = count_actions(facts.get(FINDINGS))
        parent = record["parent_action_id"]
        self._open[parent] = self._open.get(parent, 0) + _pack(told)
        verdict = find_verdict(told)
        if not told or record["verdict"] != verdict or record.get("layer") != SCAN:
            found = f"{record['verdict']} by {record.get('layer')}, of {sum(told.values())} findings"
            yield Flaw("found.verdict", found, f"{verdict} by {SCAN}, of one or more")
        else:
            yield from _check_words(record, facts)

    def end(self, record: Members, facts: Members) -> Iterator[Flaw]:
        """An outcome."""
        told = _unpack(self._open.pop(record["action_id"], 0))
        sums = facts.get(FOUND)
        found = Counter(sums if isinstance(sums, dict) else {})
        left = facts.get(LEFT_OUT, 0)
        if (+(told - found)) or sum(found.values()) - sum(told.values()) != left:
            said = f"{_say(found)}, {left} left out"
            yield Flaw("found.sum", said, f"{_say(told)}, and as many left out as there are more")
        if told[BLOCK] and record["verdict"] != "block":
            yield Flaw("found.cut", f"an outcome that says {record['verdict']}", "block, as of its finding")
        if record.get("layer") == SCAN and not told[BLOCK] and not facts.get(UNSCANNED):
            yield Flaw("found.cut", "an outcome by the layer scan", "a finding of it that was blocked")


def _pack(counts: Counter[str]) -> int:
    """As one number: hundreds of thousands may be open in a hostile file."""
    return sum(counts[action] << _LANE_BITS * lane for lane, action in enumerate(ACTIONS))


def _unpack(packed: int) -> Counter[str]:
    lanes = {action: packed >> _LANE_BITS * lane & _LANE_MASK for lane, action in enumerate(ACTIONS)}
    return Counter({action: count for action, count in lanes.items() if count})


def _check_words(record: Members, facts: Members) -> Iterator[Flaw]:
    """The gravest finding stands first, and is the one that the record names."""
    findings = facts.get(FINDINGS)
    first = findings[0] if isinstance(findings, list) and findings else {}
    said, expected = (record.get("pattern"), record.get("severity")), (first["detector"], first["severity"])
    if said != expected:
        yield Flaw("found.verdict", " ".join(map(str, said)), " ".join(map(str, expected)))


def _say(counts: Counter[str]) -> str:
    return " ".join(f"{count} {action}" for action, count in sorted(counts.items()) if count) or "none"
