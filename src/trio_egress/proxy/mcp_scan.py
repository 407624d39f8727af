"""What an MCP client and its server say, looked through: whole messages, before they go on.

What goes to the server is looked through as what leaves, and what comes from it as what comes in: arguments may hold
secrets, and answers instructions.

Rule 1: what is found in a request of the client is told in its intent, or its denial; all else when the intent is on
        disk, by receipts of its own, before anything that holds it goes on.
Rule 2: what is stripped stays a message, and the same one; where it would not, it is blocked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_egress.errors import PeerError
from trio_egress.evidence.scan_facts import in_message
from trio_egress.model import ScanTerms
from trio_egress.policy.moment import Moment
from trio_egress.proxy.scan import Blocked
from trio_egress.wire.jsonrpc import parse_message

if TYPE_CHECKING:
    from trio_egress.content.detector import Finding
    from trio_egress.proxy.inspection import Inspection, Inspector
    from trio_egress.recorder import Flow


def look_at_question(
    inspection: Inspection, terms: ScanTerms, moment: Moment, raw: bytes
) -> tuple[dict[str, object], Blocked | None]:
    """A request or notification of the client, before its intent: what its receipt says of it, and whether it ends."""
    if not terms.requests:
        return {}, None
    inspector = inspection.open_message(terms, moment)
    found = _look_out(inspector, raw)
    try:
        inspector.judge([(each, in_message()) for each in found], text=raw)
    except Blocked as blocked:
        return inspector.take_facts(), blocked
    return inspector.take_facts(), None


async def look_at_reply(
    inspection: Inspection, terms: ScanTerms, moment: Moment, flow: Flow, raw: bytes
) -> bytes:
    """What the client answers to its server. Raises Blocked."""
    if terms.requests:
        inspector = inspection.open_message(terms, moment)
        inspector.begin(flow)
        if found := _look_out(inspector, raw):
            await inspector.judge_and_tell([(each, in_message()) for each in found])
    return raw


async def look_at_saying(
    inspection: Inspection, terms: ScanTerms, moment: Moment, flow: Flow, raw: bytes
) -> bytes:
    """Whatever the server says, as it may go on. Raises Blocked."""
    if not terms.answers:
        return raw
    inspector = inspection.open_message(terms, moment)
    inspector.begin(flow)
    found = inspector.scanner.scan(raw, inspector.incoming)
    if not found:
        return raw
    can_strip = _is_same(raw, _hide(raw, found))
    stripped = await inspector.judge_and_tell(
        [(each, in_message(answer=True)) for each in found], can_strip=can_strip
    )
    hidden = _hide(raw, stripped)
    if not _is_same(raw, hidden):
        raise Blocked("what was found could not be taken out of the message")
    return hidden


def _look_out(inspector: Inspector, raw: bytes) -> list[Finding]:
    return [*inspector.scanner.scan(raw, inspector.out), *inspector.find_pieces(raw)]


def _hide(raw: bytes, found: list[Finding]) -> bytes:
    hidden = bytearray(raw)
    for each in found:
        hidden[each.start : each.end] = b"*" * len(hidden[each.start : each.end])
    return bytes(hidden)


def _is_same(raw: bytes, hidden: bytes) -> bool:
    """Whether it is a message still, about the same."""
    try:
        return parse_message(hidden) == parse_message(raw)
    except PeerError:
        return False
