"""What an MCP client and its server say to each other over standard streams: each message judged, recorded, passed on.

Opens no stream: lines come in from whoever reads them, and go out by the two functions that it is given.

Rule 1: nothing of a message goes on before its receipt is on disk. A request's outcome is told with its answer.
Rule 2: what goes on is the line as it came: what was judged is what the other side reads.
Rule 3: a client that says what is no message is told so, and goes on; a server that does ends the conversation, because
        what follows can't be told from what was meant to be hidden.
Rule 4: an answer goes to whoever asked; what nobody asked for, or a second time, goes nowhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.evidence.scan_form import BLOCK
from trio_egress.model import Call, CallKind, Decision, Layer, ScanTerms, Side, StdioMessage
from trio_egress.policy.mcp_server import decide_message
from trio_egress.policy.moment import Moment
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import deny
from trio_egress.proxy.mcp_scan import look_at_question, look_at_reply, look_at_saying
from trio_egress.proxy.scan import Blocked
from trio_egress.proxy.tool_pins import LIST_TOOLS, ToolPins
from trio_egress.recorder import Flow, Recorder
from trio_egress.values import define
from trio_egress.wire.jsonrpc import (
    PARSE_ERROR,
    SAFE_INTEGER,
    BadCall,
    Id,
    Kind,
    Message,
    Questions,
    Wrong,
    find_code,
    parse_message,
    read_call,
    render_error,
)
from trio_egress.wire.lines import Line
from trio_egress.wire.message import BadMessage

UNANSWERED, DENIED = -32000, -32001
"""Of the range that JSON-RPC 2.0 5.1 leaves to servers; the first as the official SDKs use it for a connection that is
gone."""

ENDED = "the server has ended"

UNASKED = 100
"""Answers to nothing that a server may give: late ones are a few, more is a flood, each with a receipt."""

CANCELLED = "notifications/cancelled"

if TYPE_CHECKING:
    from trio_egress.proxy.inspection import Inspection

Send = Callable[[bytes], Awaitable[None]]
"""Puts a whole line into a stream. Raises PeerError when nobody reads there any more."""


class Ended(PeerError):
    """The server said what is no message: nothing more of it is read."""


@define
class _Party:
    """One side: how it is written to, what it has asked, and the flow of each question that waits for its answer."""

    side: Side
    send: Send
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    questions: Questions = attrs.field(factory=Questions)
    flows: dict[Id, Flow] = attrs.field(factory=dict)
    unasked: int = 0
    """Answers to nothing."""

    async def tell(self, raw: bytes) -> None:
        """A whole line, whoever writes."""
        async with self.lock:
            await self.send(raw + b"\n")


class Conversation:
    """Of one client with one server."""

    def __init__(self, gate: Gate, recorder: Recorder, to_client: Send, to_server: Send) -> None:
        self._gate = gate
        self._recorder = recorder
        self._client = _Party(Side.CLIENT, to_client)
        self._server = _Party(Side.SERVER, to_server)
        self._answered = trio.lowlevel.ParkingLot()
        self._tools = ToolPins()

    async def take(self, side: Side, line: Line) -> None:
        """The next line that this side has said. Raises PeerError where the other is gone, and Ended."""
        speaker, hearer = self._parties(side)
        try:
            message = _read(line)
        except PeerError as fault:
            await self._refuse(speaker, line, str(fault))
            if side is Side.SERVER:
                raise Ended(f"the server said what is no message: {fault}") from None
            code = find_code(fault) if isinstance(fault, BadMessage) else PARSE_ERROR
            await speaker.tell(render_error(None, code, str(fault), {"retry": False}))
            return
        if message.is_answer:
            await self._answer(speaker, hearer, message, line)
        else:
            await self._ask(speaker, hearer, message, line)

    async def wait_answered(self) -> None:
        """Until nothing that the client has asked waits for its answer."""
        while self._client.flows:
            await self._answered.park()

    async def end(self, reason: str = ENDED) -> None:
        """Tell the client of every request that the server will not answer any more."""
        waiting, self._client.flows = self._client.flows, {}
        _finish(waiting, reason)
        for identity in waiting:
            error = render_error(identity, UNANSWERED, f"no answer: {reason}", {"retry": False})
            await self._client.tell(error)

    def close(self, reason: str = "the run ended") -> None:
        """Record what came of all that is open. Synchronous: it works while being cancelled."""
        for party in (self._client, self._server):
            _finish(party.flows, reason)
            party.flows.clear()

    def _parties(self, side: Side) -> tuple[_Party, _Party]:
        pair = (self._client, self._server)
        return pair if side is Side.CLIENT else pair[::-1]

    # requests and notifications

    async def _ask(self, speaker: _Party, hearer: _Party, message: Message, line: Line) -> None:
        try:
            speaker.questions.ask(message)
        except BadCall as fault:
            await self._refuse(speaker, line, str(fault), Layer.LIMIT if fault.why is Wrong.MANY else None)
            identity = message.id if fault.why is Wrong.MANY else None  # else it is another question's
            await speaker.tell(render_error(identity, find_code(fault), str(fault), {"retry": False}))
            return
        said = StdioMessage(speaker.side, read_call(message))
        decision = decide_message(self._gate.policy, said)
        facts: dict[str, object] = {}
        if decision.allowed and decision.scan is not None and speaker.side is Side.CLIENT:
            facts, found = look_at_question(self._inspection, decision.scan, self._moment(), line.raw)
            decision = decision if found is None else deny(Layer.SCAN, str(found))
        if not decision.allowed:
            await self._deny(speaker, message, said, decision, {**facts, "bytes_up": line.size})
            return
        flow = await self._recorder.allow(said, decision, facts)
        flow.bytes_up = line.size
        if message.id is not None:
            speaker.flows[message.id] = flow
        else:
            with flow:
                await self._pass_on(speaker, hearer, message, flow, line.raw)
            return
        if not await self._pass_on(speaker, hearer, message, flow, line.raw):
            speaker.questions.withdraw(message.id)
            speaker.flows.pop(message.id).finish()

    async def _pass_on(
        self, speaker: _Party, hearer: _Party, message: Message, flow: Flow, raw: bytes
    ) -> bool:
        """What was asked, as it may go on; else whoever asked is told why not."""
        if message.method == CANCELLED:
            self._withdraw(speaker, message)
        scan = self._gate.policy.find_message_scan()
        try:
            if scan is not None and speaker.side is Side.SERVER:
                raw = await look_at_saying(self._inspection, scan, self._moment(), flow, raw)
        except Blocked as found:
            if message.id is not None:
                await speaker.tell(self._describe(message.id, deny(Layer.SCAN, str(found))))
            return False
        await hearer.tell(raw)
        return True

    @property
    def _inspection(self) -> Inspection:
        if self._gate.inspection is None:
            raise ValueError("this run has nothing to look through messages with")
        return self._gate.inspection

    def _moment(self) -> Moment:
        return self._gate.ledger.moment()

    def _withdraw(self, speaker: _Party, message: Message) -> None:
        """Nobody has to answer what was taken back; an answer that is on its way already goes nowhere."""
        match message.params:
            # True is 1 in a dictionary, and False is 0.
            case {"requestId": str() | int() as identity} if (
                type(identity) is not bool and identity in speaker.flows
            ):
                speaker.questions.withdraw(identity)
                _finish({identity: speaker.flows.pop(identity)}, "it was taken back")
                self._answered.unpark_all()

    async def _deny(
        self,
        speaker: _Party,
        message: Message,
        said: StdioMessage,
        decision: Decision,
        facts: Mapping[str, object],
    ) -> None:
        await self._recorder.refuse(said, decision, facts)
        if message.id is not None:
            speaker.questions.withdraw(message.id)
            await speaker.tell(self._describe(message.id, decision))

    # answers

    async def _answer(self, speaker: _Party, hearer: _Party, message: Message, line: Line) -> None:
        try:
            # Not where the question is not on its way yet: an id can be guessed.
            question = hearer.questions.answer(message) if message.id in hearer.flows else None
        except BadCall:
            question = None
        if message.id is None or question is None:
            await self._refuse(speaker, line, str(BadCall(Wrong.UNASKED)))
            speaker.unasked += 1
            if speaker.side is Side.SERVER and speaker.unasked == UNASKED:
                raise Ended(f"the server gave {UNASKED} answers to nothing that was asked")
            return
        with hearer.flows.pop(message.id) as flow:
            flow.bytes_down = line.size
            if message.kind is Kind.ERROR and isinstance(message.value, Mapping):
                flow.note(error=find_told_code(message.value))
            await hearer.tell(await self._look_at_answer(speaker, question, message, flow, line.raw))
        self._answered.unpark_all()

    async def _look_at_answer(
        self, speaker: _Party, question: Message, message: Message, flow: Flow, raw: bytes
    ) -> bytes:
        """The answer as it may go on, or an error in its place."""
        scan = self._gate.policy.find_message_scan()
        try:
            if speaker.side is Side.SERVER and question.method == LIST_TOOLS:
                await self._hold_tools(message, scan, flow)
            if scan is None:
                return raw
            look = look_at_saying if speaker.side is Side.SERVER else look_at_reply
            return await look(self._inspection, scan, self._moment(), flow, raw)
        except Blocked as found:
            said = f"the answer was stopped: {found}"
            return self._describe(message.id, deny(Layer.SCAN, said))

    async def _hold_tools(self, message: Message, scan: ScanTerms | None, flow: Flow) -> None:
        """Against what they were first. Raises Blocked."""
        if changed := self._tools.look_at(message.value, scan):
            await flow.find(changed)
            if any(each.action == BLOCK for each in changed):
                raise Blocked("a tool is not what the server first said that it is")

    # what goes nowhere

    async def _refuse(self, speaker: _Party, line: Line, reason: str, layer: Layer | None = None) -> None:
        said = StdioMessage(speaker.side, Call(CallKind.OTHER))
        decision = deny(layer or Layer.MALFORMED, reason)
        await self._recorder.refuse(said, decision, {"bytes_up": line.size})

    def _describe(self, identity: Id | None, decision: Decision) -> bytes:
        """A denial that a model can read: what, why, and that trying again is of no use."""
        data: dict[str, object] = {
            "type": "denied_by_egress_policy",
            "layer": decision.layer.value,
            "policy": self._gate.policy.source_file,
            "retry": False,
        }
        return render_error(identity, DENIED, f"denied by the egress policy: {decision.reason}", data)


def _read(line: Line) -> Message:
    """Raises PeerError."""
    if line.fault:
        raise PeerError(line.fault)
    return parse_message(line.raw)


def _finish(flows: Mapping[Id, Flow], reason: str) -> None:
    for flow in flows.values():
        flow.fail(reason)
        flow.finish()


def find_told_code(error: Mapping[str, object]) -> int | None:
    """What an error says that it is; None for a number that no receipt holds."""
    code = error.get("code")
    return code if type(code) is int and abs(code) <= SAFE_INTEGER else None
