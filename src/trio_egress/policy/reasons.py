"""A denial in words for people: what the rule allows, what was tried, what a human can change.

Decides nothing. What the agent chose (a method, a path) is repeated only if it is short and printable, and never a
value of a parameter or a field.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import attrs

from trio_egress.model import Attempt, Call, Host, Need, Protocol, RuleLimits, render_authority
from trio_egress.policy.addresses import describe_range
from trio_egress.policy.budget import explain_limit, find_limit
from trio_egress.policy.denial import NEEDED, Denial
from trio_egress.policy.destination import Within
from trio_egress.policy.doors import OWN_PORTS, find_schemes
from trio_egress.policy.moment import NO_MOMENT, Moment
from trio_egress.policy.obstacle import Obstacle, find_needs
from trio_egress.policy.paths import parse_path
from trio_egress.policy.rule import OF_REQUESTS, Rule, Tls, carries_git
from trio_egress.policy.services import FETCH, WebSocket, find_git

METHOD_CHARS = 32
WORD_CHARS = 60
LISTED = 10

_CALLS = ("graphql", "jsonrpc", "mcp")


_WHY = {
    Need.TLS: "TLS interception",
    Need.BODIES: "bodies of requests to be read",
    Need.METER: "its `limits` to be counted",
    Need.SCAN: "a scan of what is sent",
    Need.WEBSOCKET: "WebSockets to be carried",
    Need.FRAMES: "a scan of WebSocket messages",
    Need.HOST_KEY: "the host keys of SSH to be seen",
    Need.GIT_SSH: "SSH to be ended here for git",
}


def name_needs(needs: frozenset[Need]) -> str:
    """What the boundary would have to be able to do, in words."""
    *words, last = sorted(_WHY[need] for need in needs)
    return f"{', '.join(words)} and {last}" if words else last


def explain_obstacle(obstacle: Obstacle, rule: Rule, attempt: Attempt, moment: Moment = NO_MOMENT) -> str:
    """One line; it begins with the rule."""
    return f"{rule.ref} {_SENTENCES[obstacle](rule, attempt, moment)}"


def explain_denial(denial: Denial, rule: Rule, attempt: Attempt) -> str:
    """One line; it begins with the rule that denies."""
    because = f": {rule.terms.reason}" if rule.terms.reason else ""
    if denial is Denial.YES:
        strange = _explain_override(rule, attempt) or _explain_strange_path(rule, attempt)
        return f"{rule.ref} denies it{strange}{because}"
    keys = [key for key in (*OF_REQUESTS, "protocol") if getattr(rule.terms, key) is not None]
    need = name_needs(NEEDED[denial])
    return (
        f"{rule.ref} denies some of what could be in this ({_quote(keys)}), and to tell needs {need}, which there is "
        f"not: a human can make the rule deny all of the host, or remove it{because}"
    )


def _explain_override(rule: Rule, attempt: Attempt) -> str:
    """Why a method is denied that is none of the rule's."""
    methods = rule.terms.methods
    if methods is None or (attempt.method or "").upper() in methods or not attempt.overrides:
        return ""
    return " because a field asks for another method"


def _explain_strange_path(rule: Rule, attempt: Attempt) -> str:
    """Why a path is denied that doesn't look like one of the rule's."""
    if attempt.protocol is not Protocol.HTTP or (rule.terms.paths is None and rule.terms.git is None):
        return ""
    try:
        parse_path(attempt.path or "")
    except ValueError as error:
        return f" because it could be one of its paths ({error})"
    return ""


def _explain_method(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    methods = rule.terms.methods or frozenset()
    allowed = ", ".join(sorted(methods))
    if attempt.method in methods:
        asked = _list(sorted(attempt.overrides - methods))
        return f"allows {allowed}, not {asked}, which a field asks for in place of {attempt.method}"
    return f"allows {allowed}, not {_render_method(attempt.method)}"


def _explain_tunnel(_rule: Rule, _attempt: Attempt, _moment: Moment) -> str:
    return "allows requests, not CONNECT: an upstream is not asked for a tunnel to somewhere else"


def _explain_interception(rule: Rule, _attempt: Attempt, _moment: Moment) -> str:
    if not rule.inside and rule.terms.tls is None:
        return (
            "leads where a secret is sent (`[[secret]] to`), which needs TLS interception, and there is none: a human "
            "can remove `to`"
        )
    if not rule.inside:
        return 'says `tls = "intercept"`, and there is no TLS interception: a human can remove `tls` from the rule'
    keys = _quote(rule.inside)
    return (
        f"restricts {_list(rule.inside)}, which needs TLS interception, and there is none: a human can remove {keys} "
        "from the rule, to allow every request over TLS"
    )


def _explain_blind(rule: Rule, attempt: Attempt, moment: Moment) -> str:
    needed = name_needs(find_needs(rule, attempt) - moment.able)
    keys = [key for key in (*_CALLS, "limits", "scan", "websocket") if getattr(rule.terms, key)]
    return (
        f"needs {needed}, and there is none: a human can remove {_quote(keys or ['protocol'])} from the rule"
    )


def _explain_path(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    path = attempt.path or ""
    try:
        parse_path(path)
    except ValueError as error:
        return f"allows only paths that can be read in one way, and {error}"
    paths = [glob.text for glob in rule.terms.paths or ()]
    return f"allows {_list(paths)}, not {_render_word(path, 'another path')}"


def _explain_operation(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    if rule.terms.git is not None:
        asked = find_git(attempt)
        if asked is None:
            return f"allows git alone, and this is no {'command' if carries_git(rule.terms) else 'request'} of git's"
        repository, service = asked
        verb, key = ("fetch from", "fetch") if service == FETCH else ("push to", "push")
        shown = _render_word(repository.removeprefix("/"), "this repository")
        return f"doesn't allow git to {verb} {shown}: a human can add it to `git.{key}`"
    key = next(key for key in _CALLS if getattr(rule.terms, key) is not None)
    calls = attempt.calls or ()
    called = [_render_call(call) for call in calls]
    mcp = rule.terms.mcp
    if mcp is not None and len(calls) > 1:
        return "doesn't allow several messages at once: MCP has no batches"
    if mcp is not None and mcp.arguments is not None and attrs.evolve(mcp, arguments=None).matches(calls):
        return f"doesn't allow {_list(called)} with such arguments: a human can add them to `mcp.arguments`"
    return f"doesn't allow {_list(called) or 'a request that calls nothing'}: a human can add it to `{key}`"


def _explain_query(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    allowed = _list(sorted(rule.terms.query or ())) or "no parameters"
    if attempt.query is None:
        return f"allows the query {allowed}, and the query can't be seen"
    extra = [
        _render_word(name, "another one")
        for name in sorted(attempt.query - (rule.terms.query or frozenset()))
    ]
    return f"allows the query {allowed}, not {_list(extra)}"


def _explain_header(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    headers, names = rule.terms.headers, attempt.headers
    if headers is None or names is None:
        return "is about header fields, which can't be seen"
    missing = headers.find_missing(names)
    if missing is not None:
        return f"allows only requests with the field {missing}"
    return f"allows no request with the field {_render_word(headers.find_forbidden(names) or '', 'that this one has')}"


def _explain_opening(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    """What was asked for is not repeated: programs put credentials there."""
    asked = rule.terms.websocket or WebSocket()
    if asked.origins is not None and attempt.origin not in asked.origins:
        said = "one without" if attempt.origin is None else "another"
        return f"allows WebSockets with the origin {_list(sorted(asked.origins))}, not {said}"
    said = "others" if attempt.subprotocols else "none"
    return f"allows WebSockets with the subprotocols {_list(sorted(asked.subprotocols or ()))}, not {said}"


def _explain_time(rule: Rule, _attempt: Attempt, _moment: Moment) -> str:
    return f"holds only at {_list([str(window) for window in rule.terms.times or ()])}"


def _explain_limit(rule: Rule, attempt: Attempt, moment: Moment) -> str:
    limits = rule.terms.limits or RuleLimits()
    limit = find_limit(limits, moment.state.of(rule.ref.index), attempt, moment.now_us)
    return "" if limit is None else explain_limit(limits, limit)


def _explain_address(_rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    return (
        f"leads only outside, and {attempt.host} is not ({_describe(attempt.host)}): a human can add "
        "`allow_private = true` to the rule"
    )


def _explain_upgrade(_rule: Rule, _attempt: Attempt, moment: Moment) -> str:
    if Need.WEBSOCKET not in moment.able:
        return "doesn't allow an upgrade to websocket, and there is nothing here that could carry one"
    return (
        "doesn't allow an upgrade to websocket: a human can add `websocket = { enabled = true }` to the rule"
    )


def _explain_protocol(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    spoken = _name_spoken(attempt)
    terms = rule.terms
    if terms.tls is Tls.PASSTHROUGH and attempt.secure:
        return "passes TLS through unseen, and this was seen"
    if rule.inside == ("scan",) and attempt.protocol in (Protocol.TCP, Protocol.SSH):
        return f"has what it allows looked through, so it allows HTTP, not {spoken}"
    if rule.inside and attempt.protocol in (Protocol.TCP, Protocol.SSH):
        return f"restricts {_list(rule.inside)}, so it allows HTTP, not {spoken}"
    if terms.protocol is not None:
        allowed = sorted(scheme.value for scheme in terms.protocol)
        on = "" if terms.ports or terms.destination.port else f" on {attempt.port}"
        return f"allows {_list(allowed)}, not {spoken}{on}"
    return (
        f"names no port, so it allows HTTP on 80 and 443 and TLS on 443, not {spoken} on {attempt.port}: "
        f"a human can allow it with a rule for '{_name_port(rule, attempt)}'"
    )


def _explain_port(rule: Rule, attempt: Attempt, _moment: Moment) -> str:
    terms = rule.terms
    if terms.ports is not None:
        named = [str(part) for part in terms.ports]
    elif terms.destination.port is not None:
        named = [str(terms.destination.port)]
    elif terms.protocol is not None:
        named = [str(port) for port in sorted({OWN_PORTS[scheme] for scheme in terms.protocol})]
    else:
        return f"allows ports 80 and 443, not port {attempt.port}"
    return f"allows port{'' if len(named) == 1 else 's'} {_list(named)}, not port {attempt.port}"


_SENTENCES = {
    Obstacle.LIMIT: _explain_limit,
    Obstacle.TIME: _explain_time,
    Obstacle.BLIND: _explain_blind,
    Obstacle.OPERATION: _explain_operation,
    Obstacle.OPENING: _explain_opening,
    Obstacle.HEADER: _explain_header,
    Obstacle.QUERY: _explain_query,
    Obstacle.PATH: _explain_path,
    Obstacle.METHOD: _explain_method,
    Obstacle.TUNNEL: _explain_tunnel,
    Obstacle.INTERCEPTION: _explain_interception,
    Obstacle.ADDRESS: _explain_address,
    Obstacle.UPGRADE: _explain_upgrade,
    Obstacle.PROTOCOL: _explain_protocol,
    Obstacle.PORT: _explain_port,
}


def _name_spoken(attempt: Attempt) -> str:
    if attempt.protocol is Protocol.HTTP and (attempt.secure or attempt.websocket):
        return " or ".join(sorted(scheme.value for scheme in find_schemes(attempt)))
    return attempt.protocol.name


def _name_port(rule: Rule, attempt: Attempt) -> str:
    """The destination that would name the port; a network cannot."""
    destination = rule.terms.destination
    if isinstance(destination.pattern, Within):
        return render_authority(attempt.host, attempt.port)
    return str(attrs.evolve(destination, port=attempt.port))


def _render_method(method: str | None) -> str:
    if method is None:
        return "a request without a method"
    return method if method.isprintable() and len(method) <= METHOD_CHARS else "another method"


def _render_call(call: Call) -> str:
    parts = [call.method or call.kind.value, call.name or "", *call.fields]
    return " ".join(_render_word(part, "…") for part in parts if part)


def _render_word(word: str, strange: str) -> str:
    """What the agent chose, where it is short and printable."""
    return word if word.isprintable() and len(word) <= WORD_CHARS else strange


def _list(words: Sequence[str]) -> str:
    """The first ones of them."""
    shown = ", ".join(words[:LISTED])
    return f"{shown} and {len(words) - LISTED} more" if len(words) > LISTED else shown


def _quote(keys: Sequence[str]) -> str:
    return " and ".join(f"`{key}`" for key in keys)


def _describe(host: Host) -> str:
    return describe_range(host) if isinstance(host, (IPv4Address, IPv6Address)) else "a name"
