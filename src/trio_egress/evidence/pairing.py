"""Intents and their outcomes, and the bytes that outcomes add up to.

Keeps only what is open: a closed pair costs no memory, however long the log is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from trio_egress.evidence.findings import Findings
from trio_egress.evidence.scan_pairs import Flaw, ScanPairs
from trio_egress.evidence.session import COMMAND_TRANSPORT, KEY_TRANSPORT, POLICY_TRANSPORT

OPEN_INTENTS = 131_072
"""No run has this many attempts under way: each holds two descriptors, and systemd lets no process have 524,288."""


ALONE = frozenset({"dns", POLICY_TRANSPORT, KEY_TRANSPORT, COMMAND_TRANSPORT})
"""What one receipt may allow, because nothing leaves: an answer of the DNS stub, a change of the run itself, the end
of a command."""

Members = Mapping[str, object]

_SUBJECT_BITS = 64
_SUBJECT_MASK = (1 << _SUBJECT_BITS) - 1


class Pairing:
    """Fed each well-formed action receipt in order; asked at the end."""

    def __init__(self, findings: Findings, file: str) -> None:
        self._findings = findings
        self._file = file
        self._open: dict[object, int] = {}  # by action id; the line, and what it is about, as one number
        self._overflow = False
        self._scans = ScanPairs()
        self.bytes_up = 0
        self.bytes_down = 0

    def feed(self, record: Members, facts: Members, line: int) -> None:
        match record.get("decision_phase"):
            case "intent":
                self._start(record, facts, line)
            case "outcome":
                self._end(record, facts, line)
                self.bytes_up += _count(facts.get("bytes_up"))
                self.bytes_down += _count(facts.get("bytes_down"))
            case _ if record["action_id"] in self._open:
                self._find("pair.reuse", line, "the id of an open intent", "an id of its own")
            case _ if "parent_action_id" in record:
                self._add(record, facts, line)
            case _:
                self._tell(self._scans.decide(record, facts), line)
                if record["verdict"] != "block" and record["transport"] not in ALONE:
                    found = f"verdict {record['verdict']} over {record['transport']} in one receipt"
                    self._find("pair.single", line, found, "an intent, and then its outcome")

    def __len__(self) -> int:
        return len(self._open)

    def lines_without_outcome(self) -> Iterator[int]:
        return (value >> _SUBJECT_BITS for value in self._open.values())

    def check_sums(self, facts: Members, line: int, commands: int = 0) -> None:
        """Compare the sums that a close receipt states, if it does. `commands`: how many have receipts."""
        for name, total in (("bytes_up", self.bytes_up), ("bytes_down", self.bytes_down)):
            stated = facts.get(name)
            if stated is not None and stated != total:
                self._findings.add("sum.bytes", self._file, line, f"{stated}", f"{total}", name)
        if facts.get("commands", commands) != commands:
            self._findings.add(
                "sum.commands", self._file, line, f"{facts['commands']}", f"{commands}", "commands"
            )

    def _start(self, record: Members, facts: Members, line: int) -> None:
        if record["verdict"] == "block":
            self._find("pair.verdict", line, "verdict block", "a verdict that lets the attempt go on")
        action_id = record["action_id"]
        if action_id in self._open:
            self._find("pair.reuse", line, "the id of an open intent", "an id of its own")
        elif len(self._open) < OPEN_INTENTS:
            self._open[action_id] = line << _SUBJECT_BITS | _subject(record, facts)
            self._tell(self._scans.start(record, facts), line)
        elif not self._overflow:
            self._overflow = True
            self._find("pair.too_many", line, f"more than {OPEN_INTENTS}", "outcomes in between")

    def _end(self, record: Members, facts: Members, line: int) -> None:
        intent = self._open.pop(record["action_id"], None)
        if intent is None:
            self._find("pair.no_intent", line, "no open intent with this id", "its intent on an earlier line")
        elif intent & _SUBJECT_MASK != _subject(record, facts):
            expected = f"those of the intent on line {intent >> _SUBJECT_BITS}"
            self._find(
                "pair.differs", line, "another target, transport, method, host, port or flow", expected
            )

        self._tell(self._scans.end(record, facts), line)

    def _add(self, record: Members, facts: Members, line: int) -> None:
        """Findings of an attempt that is under way."""
        intent = self._open.get(record["parent_action_id"])
        if intent is None:
            self._find("found.parent", line, "no open attempt with this parent's id", "its intent before it")
        elif intent & _SUBJECT_MASK != _subject(record, facts):
            expected = f"those of the intent on line {intent >> _SUBJECT_BITS}"
            self._find(
                "found.parent", line, "another target, transport, method, host, port or flow", expected
            )
        else:
            self._tell(self._scans.add(record, facts), line)

    def _tell(self, flaws: Iterable[Flaw], line: int) -> None:
        for flaw in flaws:
            self._find(flaw.code, line, flaw.found, flaw.expected)

    def _find(self, code: str, line: int, found: str, expected: str) -> None:
        self._findings.add(code, self._file, line, found, expected, "action_record.action_id")


def _subject(record: Members, facts: Members) -> int:
    # A hash, because a target may be 4 KiB and hundreds of thousands may be open in a hostile file.
    said = (record["target"], record["transport"], record.get("method"), record["action_type"])
    seen = (facts.get("host"), facts.get("port"), facts.get("proto"), facts.get("flow"))
    return hash((said, seen)) & _SUBJECT_MASK


def _count(value: object) -> int:
    return value if type(value) is int else 0
