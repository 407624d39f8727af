"""All that a page tells of one run: the verifier's report, the story of the evidence, and the packet's own files.

Rule 1: the verdict is the report's, whatever a file of the packet claims.
Rule 2: a file of the packet that is missing or isn't what it should be tells nothing, and raises nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import BinaryIO

import attrs

from trio_egress.evidence.canonical import parse_document
from trio_egress.evidence.report import Report, Verdict
from trio_egress.pages.advice import Advice, advise
from trio_egress.pages.story import Denial, Story, read_story
from trio_egress.pages.words import find_span
from trio_egress.policy.rule import Policy
from trio_egress.values import frozen

Members = Mapping[str, object]

NAMES = ("packet.json", "posture.json", "run.json", "policy.toml", "policy.yaml")
"""The files that are looked at."""

_NOTHING: Members = {}


@frozen
class Dossier:
    """`policies`: those that were in force, by hash, as far as they are at hand. `policy_text`: the first, as given.

    `claimed`: the verdict is the run's own, said when it ended; else a verifier's, who was given the packet.
    """

    report: Report
    story: Story
    claimed: bool
    packet: Members = _NOTHING
    posture: Members = _NOTHING
    run: Members = _NOTHING
    policies: Mapping[str, Policy] = attrs.field(factory=dict)
    policy_name: str = ""
    policy_text: str = ""
    policy_sha256: str = ""
    _advice: dict[int, Advice] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    """By the denial's id: both pages ask, and the engine takes a millisecond."""

    def advise(self, denial: Denial) -> Advice:
        """What would let it through. `denial` is of this story."""
        if id(denial) not in self._advice:
            self._advice[id(denial)] = advise(denial, self.policies, self.story.open_facts)
        return self._advice[id(denial)]

    @property
    def observed(self) -> bool:
        """Nothing was enforced, or not always: whatever else is wrong."""
        return (
            self.report.verdict is Verdict.OBSERVED
            or self.story.open_facts.get("mode") is not None
            or self.story.observed > 0
        )

    @property
    def stood(self) -> bool:
        """Whether there was a sandbox for an agent to be in."""
        return bool(self.posture)

    @property
    def cut_off(self) -> bool:
        """Whether the log has no end, so that how the agent ended is nowhere."""
        return self.report.receipt_count > 0 and not self.report.close_reason

    def part(self, name: str) -> Members:
        """An object of packet.json."""
        value = self.packet.get(name)
        return value if isinstance(value, dict) else _NOTHING


def compile_dossier(
    stream: BinaryIO,
    report: Report,
    files: Mapping[str, bytes],
    policies: Mapping[str, Policy],
    *,
    claimed: bool,
) -> Dossier:
    """Of an evidence file, read from where the stream stands, and the files beside it. Raises OSError."""
    name = next((name for name in ("policy.toml", "policy.yaml") if name in files), "")
    text = files.get(name, b"")
    return Dossier(
        report=report,
        story=read_story(stream, *find_span(report.started_at, report.ended_at)),
        claimed=claimed,
        packet=_parse(files, "packet.json"),
        posture=_parse(files, "posture.json"),
        run=_parse(files, "run.json"),
        policies=policies,
        policy_name=name,
        policy_text=text.decode("utf-8", "replace"),
        policy_sha256=hashlib.sha256(text).hexdigest() if name else "",
    )


def _parse(files: Mapping[str, bytes], name: str) -> Members:
    try:
        value, _ = parse_document(files.get(name, b"{}"))
    except ValueError:
        return _NOTHING
    return value if isinstance(value, dict) else _NOTHING
