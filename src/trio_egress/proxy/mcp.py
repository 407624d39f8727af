"""What servers of MCP answer over HTTP: each message judged before it is passed on, and their tools known again.

Both transports: Streamable HTTP (JSON, or events of a POST or GET), and HTTP+SSE before it, where answers to POSTs come
as events of a GET. Requests are judged by their bodies (bodies.py), contents are looked through as any (scan.py).

Rule 1: an answer is to a question that was asked, and a server asks its client for what `server_methods` names.
Rule 2: the tools that a server tells of first are pinned for the run; another definition under the same name, or one
        that comes later though no change was announced, is a finding.
Rule 3: what is refused ends the answer, in words that the client shows to its model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.scan_facts import ToldFinding, in_body
from trio_egress.model import Action, Kind, Layer, RuleRef, ScanTerms
from trio_egress.policy.scan import TOOL_CHANGED, TOOL_NEW, resolve_action
from trio_egress.policy.services import Mcp, is_one
from trio_egress.proxy.scan import Blocked
from trio_egress.proxy.tool_pins import LIST_TOOLS, TOOLS, hash_tool
from trio_egress.values import define
from trio_egress.wire.calls import BODY_BYTES
from trio_egress.wire.jsonrpc import Kind as MessageKind
from trio_egress.wire.jsonrpc import Message, parse_message, render_error
from trio_egress.wire.mcp_answer import Reading, find_reading, has_object, read_failure
from trio_egress.wire.message import BadMessage, Framing, Trailers, drop_fields
from trio_egress.wire.sse import Event, EventStream

if TYPE_CHECKING:
    from trio_egress.proxy.ends import End, UpstreamEnd
    from trio_egress.proxy.judge import Judgement
    from trio_egress.proxy.scan import ScannedAnswer
    from trio_egress.recorder import Flow
    from trio_egress.wire.message import ResponseHead

SERVERS_MAX: Final = 1024
QUESTIONS_MAX: Final = 1024
TOOLS_TOLD: Final = 64
NAME_TOLD: Final = 128
WORDS_BYTES: Final = 4096
OTHER_TYPE: Final = (
    "can't be read: it says something of another type than application/json or text/event-stream"
)
ENDPOINT: Final = b"endpoint"
"""The event of HTTP+SSE that tells where to post; a request there is judged as any."""

DENIED: Final = -32003
LIST_CHANGED: Final = "notifications/tools/list_changed"


class Refused(Blocked):
    """A message of a server that must not pass, or an answer of a client that nobody asked for."""

    layer = Layer.OPERATION


@define
class Questions:
    """What waits for an answer, by id: sessions of one server may have the same. The oldest are forgotten first."""

    _waiting: OrderedDict[tuple[type, object], list[str]] = attrs.field(factory=OrderedDict)

    def ask(self, message: Message) -> None:
        self._waiting.setdefault((type(message.id), message.id), []).append(message.method)
        if len(self._waiting) > QUESTIONS_MAX:
            self._waiting.popitem(last=False)

    def answer(self, message: Message) -> str | None:
        """The method that was asked for; None where nothing was."""
        key = type(message.id), message.id
        methods = self._waiting.get(key)
        if not methods:
            return None
        method = methods.pop(0)
        if not methods:
            del self._waiting[key]
        return method


@define
class Pins:
    """The tools of one server. `complete`: its list has been told to the end; `announced`: it said that it changes."""

    tools: dict[str, str] = attrs.field(factory=dict)
    complete: bool = False
    announced: bool = False

    def compare(self, tools: Iterable[Mapping[str, object]]) -> Iterator[tuple[str, str, str]]:
        """Detector, tool and hash of each that is not as it was first told."""
        for tool in tools:
            name, digest = str(tool.get("name")), hash_tool(tool)
            pinned = self.tools.get(name)
            if pinned is None and self.complete and not self.announced:
                yield TOOL_NEW, name, digest
            elif (pinned is None and len(self.tools) >= TOOLS) or pinned not in (None, digest):
                yield TOOL_CHANGED, name, digest
            if len(self.tools) < TOOLS:
                self.tools.setdefault(name, digest)


class Saying:
    """What one stream of events is to say of our own, and whoever waits for that."""

    def __init__(self) -> None:
        self._words: list[bytes] = []
        self._said = trio.lowlevel.ParkingLot()

    def say(self, error: bytes) -> None:
        self._words.append(b"event: message\ndata: %b\n\n" % error.strip())
        self._said.unpark_all()

    def take(self) -> bytes:
        words, self._words = b"".join(self._words), []
        return words

    async def wait(self) -> None:
        while not self._words:
            await self._said.park()


@define
class Server:
    """One server of one run, by host and port; its pins by the path at which it answers."""

    asked: Questions = attrs.field(factory=Questions)
    asking: Questions = attrs.field(factory=Questions)
    pins: dict[str, Pins] = attrs.field(factory=dict)
    streams: dict[str, Saying] = attrs.field(factory=dict)
    """Of HTTP+SSE, by the target that its client posts to."""


class Servers:
    """All of one run."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, int], Server] = OrderedDict()

    def open(self, judged: Judgement, terms: Mcp, inner: ScannedAnswer | None) -> McpAnswer:
        """For one request that is allowed. Raises Refused for a list, even of one message, as MCP has no batches, and
        for an answer of the client to what nobody asked."""
        if judged.batch:
            raise Refused("it is a batch, which MCP does not have")
        attempt = judged.attempt
        server = self._known.setdefault((attempt.host, attempt.port), Server())
        if len(self._known) > SERVERS_MAX:
            self._known.popitem(last=False)
        for message in judged.messages:
            if message.is_answer and message.id is not None and server.asking.answer(message) is None:
                raise Refused("it answers what no server has asked")
        for message in judged.messages:
            if message.kind is MessageKind.REQUEST:
                server.asked.ask(message)
        pins = server.pins.setdefault((attempt.path or "")[:256], Pins())
        return McpAnswer(server, pins, terms, judged, inner)

    def tell(self, judged: Judgement, target: str, error: bytes) -> bool:
        """Tell a denial where its client looks for answers; False where that is in the answer itself."""
        server = self._known.get((judged.attempt.host, judged.attempt.port))
        saying = None if server is None else server.streams.get(target)
        if saying is None or not any(each.kind is MessageKind.REQUEST for each in judged.messages):
            return False
        saying.say(error)
        return True


class McpAnswer:
    """The answer to one request; `begin_flow` before anything of it comes."""

    def __init__(
        self, server: Server, pins: Pins, terms: Mcp, judged: Judgement, inner: ScannedAnswer | None
    ) -> None:
        self._server = server
        self._pins = pins
        self._terms = terms
        self._rule: RuleRef | None = judged.decision.rule
        self._scan: ScanTerms | None = judged.decision.scan
        self._asking = [each.id for each in judged.messages if each.kind is MessageKind.REQUEST]
        self._inner = inner
        self._flow: Flow | None = None
        self._events: EventStream | None = None
        self._saying = Saying()

    def begin_flow(self, flow: Flow) -> None:
        self._flow = flow

    async def look_at_head(self, answer: ResponseHead) -> None:
        if self._inner is not None:
            await self._inner.look_at_head(answer)

    async def begin(self, answer: ResponseHead, upstream: UpstreamEnd) -> ResponseHead:
        """Before anything of it is sent. What is cut off a stream of events, or said in it, makes it of another length:
        its head tells none. Raises Blocked, UpstreamError."""
        if answer.body != 0:
            try:
                reading = find_reading(answer)
            except BadMessage as fault:
                raise self._refuse(f"the server's answer can't be read: {fault}") from None
            await self._judge_body(reading, upstream)
        if self._inner is not None:
            answer = await self._inner.begin(answer, upstream)
        return answer if self._events is None else _leave_open(answer)

    async def wait(self, source: End) -> bytes:
        """A fault of the source leaves it as it is: none comes out of a nursery as a group."""
        if self._saying not in self._server.streams.values():
            await source.receive()
            return b""
        fault: PeerError | UpstreamError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_word, nursery.cancel_scope)
            try:
                await source.receive()
            except (PeerError, UpstreamError) as error:
                fault = error
            nursery.cancel_scope.cancel()
        if fault is not None:
            raise fault
        return self._saying.take()

    async def _wait_word(self, scope: trio.CancelScope) -> None:
        await self._saying.wait()
        scope.cancel()

    def close(self) -> None:
        """Nothing more is said by this stream."""
        streams = self._server.streams
        for target in [target for target, saying in streams.items() if saying is self._saying]:
            del streams[target]

    async def feed(self, raw: bytes) -> bytes:
        """What goes on of it. Raises Blocked."""
        passed = raw if self._inner is None else await self._inner.feed(raw)
        if self._events is None:
            return passed
        try:
            events = self._events.feed(passed)
        except BadMessage as fault:
            raise self._refuse(f"what the server says is no stream of events: {fault}") from None
        return await self._judge_events(events)

    async def finish(self, end: Trailers) -> tuple[bytes, Trailers]:
        rest, end = (b"", end) if self._inner is None else await self._inner.finish(end)
        if self._events is None:
            return rest, end
        return await self._judge_events([*self._events.feed(rest), self._events.finish()]), end

    async def _judge_body(self, reading: Reading, upstream: UpstreamEnd) -> None:
        """What of it is read before any of it goes on."""
        match reading:
            case Reading.EVENTS:
                self._events = EventStream()
            case Reading.MESSAGE | Reading.FAILURE:
                raw = await self._hold(upstream, BODY_BYTES, f"is longer than {BODY_BYTES} bytes")
                if raw.strip():
                    await self._judge_text(raw, fails=reading is Reading.FAILURE)
            case Reading.WORDS:
                if has_object(await self._hold(upstream, WORDS_BYTES, OTHER_TYPE)):
                    raise self._refuse(f"the server's answer {OTHER_TYPE}")
            case Reading.NOTHING:
                await self._hold(upstream, 0, OTHER_TYPE)

    async def _hold(self, upstream: UpstreamEnd, most: int, reason: str) -> bytes:
        """All of it; for a longer one Blocked is raised for this reason."""
        pieces: list[bytes | Trailers] = []
        size = 0
        while not (pieces and isinstance(pieces[-1], Trailers)):
            piece = upstream.piece()
            if piece is None:
                await upstream.receive()
                continue
            pieces.append(piece)
            size += len(piece) if isinstance(piece, bytes) else 0
            if size > most:
                raise self._refuse(f"the server's answer {reason}")
        upstream.put_back(pieces)
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))

    async def _judge_events(self, events: Iterable[Event]) -> bytes:
        """Their bytes. Raises Blocked, of which those before it are the first word."""
        passed = b""
        for event in events:
            if event.kind == ENDPOINT:
                self._take_endpoint(event.data)
            elif event.data.strip():
                try:
                    await self._judge_text(event.data)
                except Blocked as blocked:
                    blocked.last_word = passed + blocked.last_word
                    raise
            passed += event.raw
        return passed

    def _take_endpoint(self, raw: bytes) -> None:
        """Where the client is to post: an answer to that comes by this stream."""
        url = raw.decode("latin-1").strip()
        target = "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url
        if len(self._server.streams) < QUESTIONS_MAX:
            self._server.streams[target] = self._saying

    async def _judge_text(self, raw: bytes, *, fails: bool = False) -> None:
        """`fails`: by its status it is no answer but an error, whatever id that has, of MCP or not."""
        try:
            message = read_failure(raw) if fails else parse_message(raw)
        except BadMessage as fault:
            raise self._refuse(f"what the server says is no message of MCP: {fault}") from None
        if message is None or (fails and message.kind is MessageKind.ERROR):
            return
        if message.is_answer:
            await self._judge_answer(message)
            return
        names = self._terms.server_methods
        if names is not None and not is_one(message.method, names):
            where = f"{self._rule} names" if self._rule else "its rule names"
            raise self._refuse(f"the server asks for {message.method}, and {where} no such server_methods")
        if message.kind is MessageKind.REQUEST:
            self._server.asking.ask(message)
        if message.method == LIST_CHANGED:
            self._pins.announced = True

    async def _judge_answer(self, message: Message) -> None:
        if message.id is None:
            return
        method = self._server.asked.answer(message)
        if method is None:
            raise self._refuse("the server answers a question that nobody asked, or a second time")
        result = message.value
        if method == LIST_TOOLS and message.kind is MessageKind.RESULT and isinstance(result, Mapping):
            await self._pin(result)
        if message.id in self._asking:
            self._asking.remove(message.id)

    async def _pin(self, result: Mapping[str, object]) -> None:
        tools = result.get("tools")
        listed = [each for each in tools if isinstance(each, Mapping)] if isinstance(tools, list) else []
        found = list(self._pins.compare(listed))
        if not result.get("nextCursor"):
            self._pins.complete, self._pins.announced = True, False
        pinned = list(self._pins.tools.items())[:TOOLS_TOLD]
        told = [f"{escape_text(name, NAME_TOLD)} sha256:{digest}" for name, digest in pinned]
        changed = [escape_text(name, NAME_TOLD) for _, name, _ in found[:TOOLS_TOLD]]
        if self._flow is not None:
            self._flow.note(tools=told, **({"tools_changed": changed} if found else {}))
        if found and (self._scan is None or self._scan.answers):
            await self._tell(found)

    async def _tell(self, found: list[tuple[str, str, str]]) -> None:
        """As findings, also where nothing else is looked for. Raises Blocked where one of them must not pass."""
        told: list[ToldFinding] = []
        blocked = ""
        terms = self._scan or ScanTerms()
        for detector, name, digest in found:
            action = resolve_action(terms, Kind.INSTRUCTION, detector, Action.WARN, outward=False)
            if action is Action.OFF:
                continue
            stops = action in (Action.BLOCK, Action.STRIP)
            done = Action.BLOCK if stops else Action.WARN
            blocked = blocked or (
                f"{detector}: the tool {name} is not what it was first told to be" if stops else ""
            )
            told.append(
                ToldFinding(
                    kind=Kind.INSTRUCTION.value,
                    detector=detector,
                    place=in_body(answer=True),
                    action=done.value,
                    severity="high",
                    value=digest.encode("ascii"),
                )
            )
        if told and self._flow is not None:
            await self._flow.find(told)
        if blocked:
            raise self._end(Blocked(blocked))

    def _refuse(self, reason: str) -> Blocked:
        return self._end(Refused(reason))

    def _end(self, blocked: Blocked) -> Blocked:
        """Rule 3: an error for each question that this answer was for."""
        if self._events is not None:
            said = f"Denied by the egress policy: {blocked}"
            errors = [render_error(identity, DENIED, said) for identity in self._asking]
            blocked.last_word = b"".join(b"event: message\ndata: %b\n\n" % error for error in errors)
            blocked.ends = bool(errors)
        return blocked


def _leave_open(answer: ResponseHead) -> ResponseHead:
    """Without the length of its body."""
    fields = drop_fields(answer.fields, (b"content-length",))
    return attrs.evolve(answer, fields=fields, body=Framing.CHUNKED)
