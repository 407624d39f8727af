"""What a client is told that gets nothing: an HTTP problem, a TLS alert, or a reset; and that it gets to see it.

Decides and records nothing: the receipt is on disk before any of these is called.

Rule 1: a denial says who can change it, and never to try again; a fault of the upstream says that it is one.
Rule 2: a connection is not closed under an answer: what the client still sends is read for a moment (RFC 9112 9.6).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import trio

from trio_egress.errors import PeerError
from trio_egress.model import Decision, Layer, Protocol, RuleRef, render_authority
from trio_egress.proxy.dial import BY_PROXY
from trio_egress.proxy.gate import Gate, Limits
from trio_egress.proxy.judge import Judgement
from trio_egress.proxy.peer import Peer
from trio_egress.values import frozen
from trio_egress.wire.message import ResponseHead
from trio_egress.wire.tls_hello import ACCESS_DENIED, UNRECOGNIZED_NAME, render_alert

DENIED_CODE = -32003
"""Of the codes that JSON-RPC leaves to servers (-32000 to -32099), one that the SDKs of MCP have no meaning for."""

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    403: "Denied By Egress Policy",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Too Much At Once",
    502: "Upstream Failed",
    504: "Upstream Too Late",
    505: "HTTP Version Not Supported",
}


@frozen
class Answer:
    """An answer of our own, whole."""

    head: ResponseHead
    body: bytes


ACCEPTED = Answer(
    ResponseHead(
        202, b"Accepted", ((b"Content-Length", b"0"), (b"X-Trio-Egress", b"denied")), 0, persists=True
    ),
    b"",
)
"""To whom the answer is told by another way."""


def describe_denial(judged: Judgement, file: str, status: int = 0) -> Answer:
    """The answer to a denied request (RFC 9457)."""
    decision = judged.decision
    status = status or find_status(judged)
    problem: dict[str, object] = {
        "title": "Denied by the egress policy" if status == 403 else _PHRASES.get(status, "Refused"),
        "status": status,
        "detail": decision.reason,
        "layer": decision.layer.value,
        "rule": _describe_rule(decision.rule),
        "policy": _describe_place(decision.rule, file),
        "retry": False,
        "remedy": _describe_remedy(judged, file),
    }
    if asking := [each.id for each in judged.messages if each.method and each.id is not None]:
        return _describe_rpc(asking, problem, batch=len(judged.messages) > 1)
    return _describe(status, problem, b"denied")


def _describe_rpc(asking: Sequence[int | str], problem: Mapping[str, object], *, batch: bool) -> Answer:
    """To questions of JSON-RPC: an error each (5.1). With another status than 200, clients of MCP end the session, or
    wait for an answer that never comes, and nobody sees the reason."""
    text = f"{problem['title']}: {problem['detail']}"
    error = {"code": DENIED_CODE, "message": text, "data": problem}
    errors = [{"jsonrpc": "2.0", "id": identity, "error": error} for identity in asking]
    body = json.dumps(errors if batch else errors[0]).encode("ascii") + b"\n"
    return _make_answer(200, b"application/json", body, b"denied")


def describe_failure(reason: str, *, late: bool, by_proxy: bool = False) -> Answer:
    """The answer to an allowed request that its upstream failed, or the company's proxy on the way to it."""
    status, origin = 504 if late else 502, BY_PROXY if by_proxy else "upstream"
    title = "The upstream could not be reached or did not answer"
    problem: dict[str, object] = {
        "title": "The upstream proxy refused or failed" if by_proxy else title,
        "status": status,
        "detail": reason,
        "origin": origin,
        "retry": late or not by_proxy,
    }
    return _describe(status, problem, origin.encode("ascii"))


def _describe(status: int, problem: dict[str, object], origin: bytes) -> Answer:
    body = json.dumps(problem, indent=2).encode("ascii") + b"\n"
    return _make_answer(status, b"application/problem+json", body, origin)


def _make_answer(status: int, kind: bytes, body: bytes, origin: bytes) -> Answer:
    fields = (
        (b"Content-Type", kind),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
        (b"X-Trio-Egress", origin),
    )
    phrase = _PHRASES.get(status, "Refused").encode("ascii")
    return Answer(ResponseHead(status, phrase, fields, len(body), persists=True), body)


def render_answer(answer: Answer, *, close: bool, with_body: bool = True) -> bytes:
    """In HTTP/1.1, also for a request that couldn't be parsed."""
    head = answer.head
    lines = [b"HTTP/1.1 %d %s" % (head.status, head.phrase), *(b": ".join(field) for field in head.fields)]
    lines += [b"Connection: close"] if close else []
    return b"\r\n".join([*lines, b"", b""]) + (answer.body if with_body else b"")


def _describe_rule(rule: RuleRef | None) -> str | None:
    return f"egress[{rule.index}] {rule.destination}" if rule else None


def _describe_place(rule: RuleRef | None, file: str) -> dict[str, object]:
    """Where a person can read the rule: in the policy's file, or in one that it includes."""
    if rule is None:
        return {"file": file, "line": None}
    return {"file": rule.file or file, "line": rule.line}


def _describe_remedy(judged: Judgement, file: str) -> str:
    """What a person can do about it: the agent can't."""
    attempt, decision = judged.attempt, judged.decision
    policy = file or "the policy"
    match decision.layer:
        case Layer.METHOD:
            at = f" (line {decision.rule.line})" if decision.rule else ""
            place = decision.rule.file if decision.rule and decision.rule.file else policy
            return f"a person can add {attempt.method} to `methods` in {place}{at}"
        case Layer.DEFAULT_DENY:
            usual = attempt.protocol is Protocol.HTTP and attempt.port == 80
            usual = usual or (attempt.protocol is Protocol.TLS and attempt.port == 443)
            name = str(attempt.host) if usual else render_authority(attempt.host, attempt.port)
            return f'a person can add `[[egress]]` with `destination = "{name}"` to {policy}'
        case Layer.NAME_MISMATCH | Layer.MALFORMED:
            return "the client has to change: no policy allows this"
        case Layer.LIMIT if decision.rule is None:
            return "the client has to change: no policy allows this"
        case Layer.SECRET:
            return f"a person can change `to` and `as` of that `[[secret]]` in {policy}"
        case Layer.SCAN:
            at = f" of line {decision.rule.line}" if decision.rule else ""
            place = decision.rule.file if decision.rule and decision.rule.file else policy
            return (
                "leave out what was found; where it is none, a person can say so by `[[scan.suppress]]`, or by `scan` "
                f"of the rule{at}, in {place}"
            )
        case Layer.APPROVAL:
            return f"nobody agreed to it: `ask` in {policy}, or the program that runs the sandbox, has it asked about"
        case Layer.CERTIFICATE:
            return (
                "the upstream has to speak TLS 1.2 or later, with a certificate that this machine trusts "
                "(SSL_CERT_FILE and `[tls] extra_ca` add roots)"
            )
        case Layer.ADDRESS:
            return f"a person can set `allow_private = true` on the rule, or pin the host in `[resolve]`, in {policy}"
    return f"see `detail`; a person can change {policy}"


def find_status(judged: Judgement) -> int:
    """400 for what no policy could allow because it isn't a request, 421 for another host than the connection's
    (RFC 9110 15.5.20: the client tries again on a connection of its own), else 403."""
    match judged.decision.layer:
        case Layer.MALFORMED:
            return 400
        case Layer.NAME_MISMATCH if judged.attempt.secure:
            return 421
    return 403


async def refuse_request(agent: Peer, judged: Judgement, gate: Gate, *, status: int = 0) -> None:
    """Answer a denied request by the last word on its connection."""
    answer = describe_denial(judged, gate.policy.source_file, status)
    await agent.send(render_answer(answer, close=True))
    await close_gently(agent, gate.limits)


async def refuse_tls(agent: Peer, decision: Decision, limits: Limits) -> None:
    """Answer a denied ClientHello with the alert that says why (RFC 8446 6.2)."""
    named = decision.layer in (Layer.NAME_MISMATCH, Layer.MALFORMED)
    await send_alert(agent, UNRECOGNIZED_NAME if named else ACCESS_DENIED, limits)


async def send_alert(agent: Peer, description: int, limits: Limits) -> None:
    """A fatal alert, and the end of the connection."""
    await agent.send(render_alert(description))
    await close_gently(agent, limits)


async def close_gently(agent: Peer, limits: Limits) -> None:
    """Half-close, and read on for a moment, so that no reset overtakes what was said last."""
    try:
        agent.end()
        agent.take()
        drained = 0
        agent.deadline = trio.current_time() + limits.linger_seconds
        while drained < limits.linger_bytes and await agent.fill():
            drained += len(agent.take())
    except (PeerError, trio.TooSlowError):
        pass  # it has seen the answer, or doesn't want it
    agent.close()
