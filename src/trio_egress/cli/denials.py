"""What a run says while it runs: each different denial, what could not be reached, and what was found, once.

Rule 1: a line is printable text, whatever the agent or a peer put into it, and tells nothing of what was found.
Rule 2: no more than DENIALS_SHOWN lines: the receipts have all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.cli.voice import Say
from trio_egress.evidence.facts import find_miss
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.scan_form import BLOCK, SUPPRESSED, UNSCANNED
from trio_egress.evidence.scan_read import ReadFinding, read_findings
from trio_egress.evidence.session import INTERCEPTED, POLICY_TRANSPORT
from trio_egress.model import Transport

DENIALS_SHOWN = 100
MCP_STDIO = Transport.MCP_STDIO.value


class Denials:
    """Fed each receipt before it is signed."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._shown: set[str] = set()

    def show(self, draft: Draft) -> None:
        for line in _list_lines(draft):
            if line in self._shown or len(self._shown) > DENIALS_SHOWN:
                continue
            self._shown.add(line)
            if len(self._shown) > DENIALS_SHOWN:
                self._say("more was denied or found; the receipts have all of it")
                return
            self._say(line)


def _list_lines(draft: Draft) -> Iterator[str]:
    reason = str(draft.facts.get("reason", ""))
    findings = read_findings(draft.facts)
    what = printable(f"{draft.method} {draft.target}".strip())
    if draft.transport == POLICY_TRANSPORT:
        if draft.verdict == "block" or draft.facts.get("stopped"):
            yield printable(reason)
        return
    if draft.verdict == "block" and not draft.parent_id:
        yield f"denied {what}: {printable(reason)}{_name_findings(findings, reason)}"
        return
    if is_missed(draft):
        yield f"not reached {what}: {printable(reason)}"
        return
    if isinstance(unscanned := draft.facts.get(UNSCANNED), str) and draft.verdict == "allow":
        yield f"not looked through ({printable(unscanned)}): {what}"
    for each in findings:
        # An attempt that ends for it says so by its outcome, and what the policy names as harmless is.
        if each.action not in (BLOCK, SUPPRESSED):
            yield f"found {each.describe()}, {each.done}: {what}"


def is_missed(draft: Draft) -> bool:
    """Whether it was allowed, and no connection came of it. Some lead to none: between an MCP server and its client,
    and TLS that ends here, whose requests are told by themselves."""
    leads = draft.transport != MCP_STDIO and draft.facts.get("tls") != INTERCEPTED
    return leads and draft.phase == "outcome" and draft.verdict == "allow" and bool(find_miss(draft.facts))


def _name_findings(findings: tuple[ReadFinding, ...], reason: str) -> str:
    """What the reason has not said."""
    named = [each.describe() for each in findings if each.action == BLOCK and not each.is_said(reason)]
    unsaid = list(dict.fromkeys(named))
    return f" (found {', '.join(unsaid)})" if unsaid else ""


def printable(text: str) -> str:
    """Text that the agent had a hand in, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
