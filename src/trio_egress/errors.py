"""Every error that trio-egress raises on purpose, grouped by what dies with it.

PolicyError and SandboxError: the run never starts.  PeerError and UpstreamError: one connection ends.
RecorderError: the run ends.  EvidenceError: a packet or key that cannot be read.  UsageError: a command line
that asks for something impossible.  Anything else that is raised is a bug and ends the run loudly.

Messages say what, what was got and what was expected; never a secret, never a payload.
"""

from __future__ import annotations

from trio_egress.values import frozen


class TrioEgressError(Exception):
    """Base of all of them."""


class UsageError(TrioEgressError):
    """The command line, or a call of the library, asks for something that cannot be done."""


@frozen
class Problem:
    """One thing wrong in a policy text, at its place. Lines and columns count from 1.

    With `warning` it is only useless or unusual, and the policy holds all the same.
    """

    file: str
    line: int
    column: int
    message: str
    source_line: str = ""
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        head = f"{self.file}:{self.line}:{self.column}: {kind}: {self.message}"
        if not self.source_line:
            return head
        gutter = " " * len(str(self.line))
        tabs = "".join("\t" if c == "\t" else " " for c in self.source_line[: self.column - 1])
        return f"{head}\n    {self.line} | {self.source_line}\n    {gutter} | {tabs}^"


class PolicyError(TrioEgressError):
    """A policy that cannot be used, with every problem found in it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SandboxError(TrioEgressError):
    """The sandbox cannot be built as it must be; nothing has run."""


class PeerError(TrioEgressError):
    """A peer sent bytes, or stayed silent, in a way that ends its connection."""


class UpstreamError(TrioEgressError):
    """An upstream could not be resolved, was not an outside address, or did not answer the dial."""


class RecorderError(TrioEgressError):
    """A receipt could not be put on disk: nothing may leave any more."""


class EvidenceError(TrioEgressError):
    """A key or packet that cannot be read at all (a *bad* packet is a finding, not an error)."""
