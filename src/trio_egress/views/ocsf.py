"""A packet as OCSF events, one JSON object a line, for a SIEM: each attempt once, and first what the verifier found.

Of the Open Cybersecurity Schema Framework 1.8.0 with the profiles `security_control` and `host`: Network Activity
(4001), HTTP Activity (4002) and DNS Activity (4003); a refused system call is Kernel Activity (1003), a finding of the
verifier a Detection Finding (2004), and so is an instruction that a scan found; a credential is a Data Security Finding
(2006).

Rule 1: each event says in its labels what the verifier said of the packet.
Rule 2: an event stands for as many packets, queries or calls as its `count` says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping

from trio_egress import __version__
from trio_egress.evidence.attempts import Attempt, Told
from trio_egress.evidence.findings import CODES
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.scan_form import BLOCK, STRIP, SUPPRESSED, WARN
from trio_egress.evidence.scan_read import ReadFinding
from trio_egress.model import Layer
from trio_egress.values import frozen
from trio_egress.views.ocsf_parts import find_address, leave_out, read_milliseconds, render_milliseconds
from trio_egress.views.picture import Picture

OCSF_VERSION = "1.8.0"
PROFILES = ("host", "security_control")
NAMELESS = "unknown"
"""Where the schema wants a name, and a broken receipt has none."""


Event = dict[str, object]

_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH")
"""In the order of OCSF's `activity_id` of HTTP, from 1."""

_TRAFFIC, _REFUSE, _QUERY, _INVOKE, _CREATE = (
    (6, "Traffic"),
    (5, "Refuse"),
    (1, "Query"),
    (4, "Invoke"),
    (1, "Create"),
)
_SEVERITIES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
_WEIGHTS = {"low": 2, "medium": 3, "high": 4, "critical": 5}
_DONE: Mapping[str, Event] = {
    BLOCK: {"action_id": 2, "action": "Denied", "disposition_id": 2, "disposition": "Blocked"},
    STRIP: {"action_id": 4, "action": "Modified", "disposition_id": 11, "disposition": "Corrected"},
    WARN: {"action_id": 3, "action": "Observed", "disposition_id": 19, "disposition": "Alert"},
    SUPPRESSED: {"action_id": 1, "action": "Allowed", "disposition_id": 10, "disposition": "Exonerated"},
}
"""What was done about what a scan found."""

_CATEGORIES = {1: "System Activity", 2: "Findings", 4: "Network Activity", 6: "Application Activity"}
_APPLICATIONS = ("http", "tls", "ssh")
_PROTOCOL_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
_UNMAPPED = (
    "flow",
    "connection",
    "connections",
    "sni",
    "alpn",
    "rdtype",
    "over",
    "counter",
    "lost",
    "detail",
    "errno",
)


@frozen
class Origin:
    """What the events are of. `place`: the packet; `verdict`: what the verifier said of it."""

    place: str
    run_id: str
    verdict: str


def render_ocsf(picture: Picture) -> Iterator[str]:
    """One line for each event."""
    origin = Origin(picture.place, picture.report.run_id, picture.report.verdict.value)
    yield from map(_render_line, _list_said(picture, origin))
    for attempt in picture.attempts():
        yield from render_events(origin, attempt)


def render_events(origin: Origin, attempt: Attempt) -> Iterator[str]:
    """Its own event, and one for each thing that was found in it."""
    kind = _KINDS.get(attempt.first.transport, _render_network)
    yield _render_line(kind(origin, attempt))
    for finding in attempt.findings:
        yield _render_line(_render_found(origin, attempt, finding))


def _render_line(event: Event) -> str:
    return json.dumps(event, ensure_ascii=True, separators=(",", ":")) + "\n"


def _list_said(picture: Picture, origin: Origin) -> Iterator[Event]:
    """What the verifier said."""
    now_ms = read_milliseconds(picture.report.ended_at) or 0
    if picture.warning:
        severity = 1 if picture.report.verdict is Verdict.SELF_CONSISTENT else 5
        yield _render_finding(origin, "verdict", picture.warning, picture.report.error, severity, now_ms)
    for finding in picture.report.findings:
        yield _render_finding(origin, finding.code, CODES[finding.code], finding.message, 5, now_ms)


def _render_finding(origin: Origin, code: str, title: str, text: str, severity: int, now_ms: int) -> Event:
    uid = hashlib.sha256(f"{origin.run_id}\0{code}\0{text}".encode()).hexdigest()[:32]
    return {
        **_classify(2004, "Detection Finding", _CREATE, severity),
        "metadata": _describe(origin),
        "time": now_ms,
        "message": text or title,
        "status_id": 1,
        "status": "New",
        "finding_info": {"uid": uid, "title": title, "desc": text or title, "types": [code]},
    }


def _render_found(origin: Origin, attempt: Attempt, finding: ReadFinding) -> Event:
    """What a scan found in an attempt, whose own event has the same `metadata.sequence` and stands before it."""
    first, suppressed = attempt.first, finding.action == SUPPRESSED
    is_text = finding.kind in ("instruction", "hidden")
    uid, name = (2004, "Detection Finding") if is_text else (2006, "Data Security Finding")
    identity = "\0".join((first.action_id, *map(str, finding.identity), finding.commitment))
    own = hashlib.sha256(identity.encode()).hexdigest()[:32]
    what = f"{finding.describe()}, {finding.done}: {first.method} {first.target}".replace(":  ", ": ")
    event: Event = {
        **_classify(uid, name, _CREATE, _WEIGHTS[finding.severity]),
        "metadata": {**_describe(origin, first), "uid": own},
        "time": read_milliseconds(first.time) or 0,
        "count": finding.count,
        "message": what,
        "status_id": 3 if suppressed else 1,
        "status": "Suppressed" if suppressed else "New",
        "finding_info": {
            "uid": own,
            "title": finding.describe(),
            "desc": what,
            "types": [finding.kind],
            "analytic": {"name": finding.detector, "type_id": 1, "type": "Rule"},
        },
        **_DONE[finding.action],
        "is_alert": not suppressed,
        "firewall_rule": {"uid": first.rule, "type": first.layer} if first.rule else None,
        "unmapped": leave_out(
            {"place": finding.place, "via": list(finding.via), "commitment": finding.commitment}
        ),
    }
    if not is_text:
        event["data_security"] = {
            "category_id": 6,
            "category": "Security",
            "data_lifecycle_state_id": 2,
            "data_lifecycle_state": "Data in-Transit",
            "detection_pattern": finding.detector,
            "detection_system_id": 2,
            "detection_system": "DLP Gateway",
        }
        named = {"hostname": first.host, "port": first.port or None}
        event["dst_endpoint"] = leave_out(named) if first.host else None
    return leave_out(event)


# attempts


def _render_network(origin: Origin, attempt: Attempt) -> Event:
    first = attempt.first
    if first.protocol == "http":
        return _render_http(origin, attempt)
    activity = _REFUSE if attempt.denied else _TRAFFIC
    return {
        **_classify(4001, "Network Activity", activity, _weigh(attempt)),
        **_render_attempt(origin, attempt),
        **_render_connection(attempt),
    }


def _render_http(origin: Origin, attempt: Attempt) -> Event:
    first, method = attempt.first, attempt.first.method
    activity = (
        (_METHODS.index(method) + 1, method.capitalize()) if method in _METHODS else (99, method or "Other")
    )
    url = {
        "url_string": first.target,
        "scheme": first.target.partition(":")[0],
        "hostname": first.host,
        "port": first.port,
        "path": first.target.removeprefix(attempt.place),
    }
    # The schema knows nine methods; any other stands as the activity's name.
    request: Event = {
        "http_method": method if method in _METHODS else None,
        "url": leave_out(url) if first.target else None,
    }
    status = attempt.last.number("status")
    return {
        **_classify(4002, "HTTP Activity", activity, _weigh(attempt)),
        **_render_attempt(origin, attempt),
        **_render_connection(attempt),
        "http_request": leave_out(request),
        **({} if status is None else {"http_response": {"code": status}}),
    }


def _render_dns(origin: Origin, attempt: Attempt) -> Event:
    first = attempt.first
    query = {"hostname": first.host, "type": first.fact("rdtype"), "class": "IN", "opcode_id": 0}
    return {
        **_classify(4003, "DNS Activity", _QUERY, _weigh(attempt)),
        **_render_attempt(origin, attempt),
        **({"query": leave_out(query)} if first.host else {}),
        # Whatever server was asked, the stub of the sandbox is who answers.
        "dst_endpoint": {"name": "trio-egress stub", "port": 53},
        **({"rcode_id": 5, "rcode": "Refused"} if attempt.denied else {}),
        "connection_info": leave_out(
            {"direction_id": 2, "direction": "Outbound", "protocol_name": first.fact("over")}
        ),
    }


def _render_call(origin: Origin, attempt: Attempt) -> Event:
    first = attempt.first
    name = first.fact("call") or first.target or NAMELESS
    return {
        **_classify(1003, "Kernel Activity", _INVOKE, _weigh(attempt)),
        **_render_attempt(origin, attempt),
        "kernel": {"name": name, "type_id": 2, "type": "System Call"},
        "device": {"type_id": 99, "type": "Sandbox", "name": "trio-egress sandbox"},
    }


def _render_message(origin: Origin, attempt: Attempt) -> Event:
    """Over the standard streams of an MCP server."""
    first = attempt.first
    call = {"operation": first.method or NAMELESS, "service": {"name": first.fact("tool") or "mcp"}}
    return {
        **_classify(6003, "API Activity", (99, first.method or "Other"), _weigh(attempt)),
        **_render_attempt(origin, attempt),
        "api": call,
        "src_endpoint": {"name": f"mcp {first.fact('from') or NAMELESS}"},
    }


_KINDS: Mapping[str, Callable[[Origin, Attempt], Event]] = {
    "dns": _render_dns,
    "syscall": _render_call,
    "mcp_stdio": _render_message,
}


def _render_attempt(origin: Origin, attempt: Attempt) -> Event:
    """What every attempt has."""
    first, last = attempt.first, attempt.last
    policy = first.word("policy_hash")
    begun, ended = read_milliseconds(first.time), read_milliseconds(last.time)
    event: Event = {
        "metadata": _describe(origin, first),
        "time": ended or 0,
        "start_time": begun,
        "end_time": ended,
        "duration": render_milliseconds(last.number("duration_us")),
        "count": last.count,
        "message": f"{'denied' if attempt.denied else 'allowed'}: {first.method} {first.target}".replace(
            ":  ", ": "
        ),
        "status_id": 2 if attempt.denied else 1,
        "status": "Failure" if attempt.denied else "Success",
        "status_detail": last.reason,
        **_render_verdict(attempt),
        "policy": {"uid": policy, "is_applied": not last.observed} if policy else None,
        "firewall_rule": leave_out({"uid": first.rule, "type": last.layer}) if first.rule else None,
        "actor": leave_out(
            {"app_name": first.word("actor") or NAMELESS, "user": leave_out({"uid": first.word("principal")})}
        ),
        "unmapped": _list_unmapped(attempt),
    }
    return leave_out(event)


def _render_verdict(attempt: Attempt) -> Event:
    """What the boundary did: for a packet that was dropped, a connection that was refused, a run that only observed."""
    if attempt.last.observed:
        return {"action_id": 3, "action": "Observed", "disposition_id": 17, "disposition": "Logged"}
    if not attempt.denied:
        return {"action_id": 1, "action": "Allowed", "disposition_id": 1, "disposition": "Allowed"}
    dropped = attempt.first.transport == "packet"
    disposition = (6, "Dropped") if dropped else (2, "Blocked")
    return {
        "action_id": 2,
        "action": "Denied",
        "disposition_id": disposition[0],
        "disposition": disposition[1],
    }


def _render_connection(attempt: Attempt) -> Event:
    first, last = attempt.first, attempt.last
    # The address without its port.
    dialled = last.fact("dialled").rpartition(":")[0].strip("[]")
    address = find_address(first.host) or find_address(dialled)
    named = "" if find_address(first.host) else first.host
    endpoint = {"hostname": named, "ip": address, "port": first.port or None}
    if not (named or address):
        endpoint["name"] = first.target or NAMELESS
    transport = first.protocol if first.transport == "packet" else "tcp"
    connection = {
        "direction_id": 2,
        "direction": "Outbound",
        "protocol_name": transport,
        "protocol_num": _PROTOCOL_NUMBERS.get(transport),
        "uid": str(first.number("connection") or ""),
    }
    up, down = attempt.bytes("bytes_up"), attempt.bytes("bytes_down")
    traffic = {"bytes": up + down, "bytes_out": up, "bytes_in": down} if attempt.outcome else None
    return leave_out(
        {
            "dst_endpoint": leave_out(endpoint),
            "connection_info": leave_out(connection),
            "traffic": traffic,
            "observation_point_id": 1,
            "app_protocol_name": first.protocol if first.protocol in _APPLICATIONS else None,
        }
    )


# parts


def _classify(uid: int, name: str, activity: tuple[int, str], severity: int) -> Event:
    category = uid // 1000
    return {
        "category_uid": category,
        "category_name": _CATEGORIES[category],
        "class_uid": uid,
        "class_name": name,
        "activity_id": activity[0],
        "activity_name": activity[1],
        "type_uid": uid * 100 + activity[0],
        "type_name": f"{name}: {activity[1]}",
        "severity_id": severity,
        "severity": _SEVERITIES[severity],
    }


def _describe(origin: Origin, told: Told | None = None) -> Event:
    own = {"uid": told.action_id, "sequence": max(told.seq, 0), "original_time": told.time} if told else {}
    return leave_out(
        {
            "version": OCSF_VERSION,
            "product": {"name": "trio-egress", "vendor_name": "trio-egress", "version": __version__},
            "profiles": list(PROFILES),
            "log_name": f"{origin.place}/evidence.jsonl",
            "correlation_uid": origin.run_id,
            "labels": [f"evidence:{origin.verdict}"],
            **own,
        }
    )


def _weigh(attempt: Attempt) -> int:
    """The severity."""
    if attempt.denied:
        return 4 if attempt.last.layer == Layer.SECRET.value else 3
    return 2 if attempt.last.observed else 1


def _list_unmapped(attempt: Attempt) -> Event:
    """Facts that the schema has no place for, as the receipts name them."""
    last = attempt.last
    told = {
        name: number if (number := last.number(name)) is not None else last.fact(name) for name in _UNMAPPED
    }
    return leave_out({**told, "transport": last.transport, "layer": last.layer})
