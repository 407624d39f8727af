"""What the probes inside must have answered, and the posture that their answers make.

Pure: answers in, wrong ones out. A sandbox with one wrong answer never runs an agent.
"""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.kernel.attacks import ATTACKS, DENIED
from trio_egress.values import frozen

EXPECTED: Mapping[str, str] = {
    row.name: row.expected for row in ATTACKS if row.at_start and row.name != "processes"
}
"""By probe: the exact answer, or DENIED for any refusal."""

BY_SECCOMP = frozenset(row.name for row in ATTACKS if row.by_filter)
"""Probes that something else could refuse too: only EPERM shows that the filter did."""

REFUSED_CALLS, NOTIFIED, UNSUPPORTED = "refused_calls", "notified", "unsupported:"
"""Whether PID 1 is told of what the filter refuses, so that it gets a receipt; it is refused in either case."""

UNSUPPORTED_PATHS = (
    "sibling steps: other steps of the same job run outside the sandbox",
    "nested containers: what docker or podman starts runs outside the sandbox; inside there is no way to them",
    "stdio channels: programs outside that speak through descriptors 0, 1 and 2 (MCP, but for `trio-egress mcp`)",
    "the agent's own output: what it writes to standard output and error, and to files that others read later",
    "TLS tunnels: their content is opaque",
)
"""What is outside the control point, in every run: said in posture.json, packet.json and the README."""

MOST_PROCESSES = 2
"""PID 1 and the probe itself."""


@frozen
class Wrong:
    """A probe whose answer is not what it must be."""

    probe: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.probe}: {self.found}, expected {self.expected}"


def find_wrong(answers: Mapping[str, str]) -> tuple[Wrong, ...]:
    """Every answer that must stop the run; a missing one is wrong too."""
    wrong = []
    for probe, expected in EXPECTED.items():
        found = answers.get(probe, "no answer")
        if probe in BY_SECCOMP:
            expected = "denied:EPERM"
        if not (found.startswith(DENIED) if expected == DENIED else found == expected):
            wrong.append(Wrong(probe, found, "a refusal" if expected == DENIED else expected))
    processes = answers.get("processes", "")
    if not processes.isdigit() or int(processes) > MOST_PROCESSES:
        wrong.append(Wrong("processes", processes or "no answer", f"at most {MOST_PROCESSES}"))
    refused = answers.get(REFUSED_CALLS, "no answer")
    if refused != NOTIFIED and not refused.startswith(UNSUPPORTED):
        wrong.append(Wrong(REFUSED_CALLS, refused, f"{NOTIFIED}, or {UNSUPPORTED} with the reason"))
    return tuple(wrong)
