"""Secrets that the agent never has: in a request their placeholders become values, or it is denied.

Pure: a request's head and its judgement in, others out. The values come in by `Held`, and are told to nobody.

Rule 1: a value gets into a request only where `to` and `as` of its secret say, over TLS or to this machine's own
        loopback; a redirect that a client follows is another request, and is judged as one.
Rule 2: a placeholder anywhere else, in any spelling, is a denial, and its receipt says which secret was asked for.
Rule 3: what goes with a value asks for an answer in which it can be seen: whole, and not compressed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, unquote_plus

import attrs

from trio_egress.errors import UpstreamError
from trio_egress.evidence.spellings import Finder
from trio_egress.model import HOST_INTERNAL, Layer
from trio_egress.policy.destination import Destination
from trio_egress.policy.slots import Kind, Slot
from trio_egress.proxy.git_relay import HeldKey
from trio_egress.proxy.judge import Judgement, deny
from trio_egress.proxy.masking import Mask
from trio_egress.values import frozen
from trio_egress.wire.message import FRAMING, Fields, RequestHead, ResponseHead, drop_fields

FILLED_BYTES = 64 * 1024
"""As much as a whole head may have; a placeholder that stands a thousand times must not make a megabyte."""

READABLE = (b"Accept-Encoding", b"identity")
_CODINGS = frozenset((b"content-encoding", b"grpc-encoding", b"connect-content-encoding", b"im"))
"""Of an answer's body, and of the messages in it; `IM` says what was done to it besides (RFC 3229 10.5.2)."""

_PARTS = frozenset(
    b"accept-encoding grpc-accept-encoding connect-accept-encoding accept-charset available-dictionary".split()
    + b"range if-range request-range x-ms-range a-im".split()
)
"""What would make an answer unreadable, or a piece of one in which half a value stands. Apache takes `Request-Range`
for `Range`, Azure's storage `x-ms-range`; `A-IM` asks for a difference (RFC 3229), `Available-Dictionary` for one from
what the agent has (RFC 9842)."""

_PARTIAL = 206
_UNSATISFIED = 416
"""Its `Content-Range` says how long the whole is (RFC 9110 15.5.17)."""

_RANGE = b"content-range"


@frozen
class Held:
    """One secret. `commitment` stands for it in receipts."""

    name: str
    to: tuple[Destination, ...]
    slots: tuple[Slot, ...]
    placeholder: str
    value: bytes = attrs.field(repr=False)
    commitment: str

    def goes_to(self, judged: Judgement) -> bool:
        return any(each.holds(judged.attempt.host, judged.attempt.port) for each in self.to)


@frozen
class Filled:
    """A request as it is to go on, and the secrets that are in it."""

    judged: Judgement
    head: RequestHead
    used: tuple[Held, ...] = ()

    def open_mask(self) -> Mask | None:
        """For its answer."""
        return Mask(held.value for held in self.used) if self.used else None


class Vault:
    """All of one run. `keys`: those of SSH, which stand in no request and have no placeholder."""

    def __init__(self, held: Iterable[Held] = (), keys: Iterable[HeldKey] = ()) -> None:
        self.held = tuple(held)
        self.keys = tuple(keys)
        self._finder = (
            Finder({each.name: each.placeholder.encode() for each in self.held}) if self.held else None
        )

    def fill(self, head: RequestHead, judged: Judgement) -> Filled:
        """What becomes of a request that was judged already."""
        if self._finder is None or not self._finder.may_hold(_render(head)):
            return Filled(judged, head)
        allowed = [each for each in self.held if each.goes_to(judged)] if judged.decision.allowed else []
        left = {name for _, _, name in self._finder.find(_render(_fill(head, allowed, lambda _held: b"")))}
        if left or not judged.decision.allowed:
            return Filled(self._refuse(judged, left), head)
        used = tuple(each for each in allowed if _fill(head, [each], lambda _held: b"") != head)
        if used and not _is_private(judged):
            reason = f"the secret {used[0].name} is not sent in the clear: ask for it by https"
            return Filled(_deny(judged, reason, [each.name for each in used]), head)
        if used and judged.attempt.websocket:
            reason = f"the secret {used[0].name} is not put into a WebSocket, whose messages could tell it"
            return Filled(_deny(judged, reason, [each.name for each in used]), head)
        filled = make_readable(_fill(head, used, lambda each: each.value))
        if sum(len(name) + len(value) for name, value in filled.fields) + len(filled.path) > FILLED_BYTES:
            reason = f"the request would be longer than {FILLED_BYTES} bytes with its secrets"
            return Filled(_deny(judged, reason, [each.name for each in used]), head)
        facts = {**judged.facts, "secrets_used": [each.commitment for each in used]}
        return Filled(attrs.evolve(judged, facts=facts), filled, used)

    def _refuse(self, judged: Judgement, left: set[str]) -> Judgement:
        asked = [each for each in self.held if each.name in left]
        names = [each.name for each in asked]
        if not judged.decision.allowed:
            strange = [each.name for each in asked if not each.goes_to(judged)]
            return (
                attrs.evolve(judged, facts={**judged.facts, "secrets_refused": strange})
                if strange
                else judged
            )
        first = asked[0]
        if first.goes_to(judged):
            there = ", ".join(map(str, first.slots))
            return _deny(
                judged, f"the placeholder of the secret {first.name} stands elsewhere than in {there}", names
            )
        there = ", ".join(map(str, first.to))
        return _deny(
            judged, f"the secret {first.name} goes to {there} alone, not to {judged.attempt.host}", names
        )


def is_readable(answer: ResponseHead) -> bool:
    """Whether a value would be seen in the body of an answer."""
    codings = b",".join(value for name, value in answer.fields if name.lower() in _CODINGS)
    return all(coding.strip().lower() in (b"", b"identity") for coding in codings.split(b","))


def is_whole(answer: ResponseHead) -> bool:
    """Whether no part of a value could stand at an end of its body, and the rest in another answer."""
    ranges = [value.strip().lower() for name, value in answer.fields if name.lower() == _RANGE]
    if any(value.startswith(b"bytes") for value in ranges):
        return answer.status == _UNSATISFIED
    return bool(ranges) or answer.status != _PARTIAL  # a range of anything else is one of whole items


def mask_head(answer: ResponseHead, mask: Mask) -> ResponseHead:
    """Raises UpstreamError for one whose body would hide a value, or half of it."""
    if answer.body != 0 and not is_readable(answer):
        raise UpstreamError("the answer is compressed, so a secret in it wouldn't be seen")
    if answer.body != 0 and not is_whole(answer):
        raise UpstreamError("the answer is a part of one, so half a secret in it wouldn't be seen")
    return attrs.evolve(answer, phrase=mask.clean(answer.phrase), fields=mask_fields(answer.fields, mask))


def mask_fields(fields: Fields, mask: Mask) -> Fields:
    """A name may have stars in it, too (RFC 9110 5.6.2); what frames the message is no text."""
    return tuple(
        (name, value) if name.lower() in FRAMING else (mask.clean(name), mask.clean(value))
        for name, value in fields
    )


def _deny(judged: Judgement, reason: str, names: list[str]) -> Judgement:
    return attrs.evolve(
        judged, decision=deny(Layer.SECRET, reason), facts={**judged.facts, "secrets_refused": names}
    )


def _is_private(judged: Judgement) -> bool:
    """Whether nobody between here and the upstream reads it."""
    if judged.attempt.secure or judged.attempt.host == HOST_INTERNAL:
        return True
    upstream = judged.decision.upstream
    if upstream is None or upstream.via is not None:
        return False
    pin = upstream.pin
    host = judged.attempt.host if pin is None else pin.address
    return isinstance(host, (IPv4Address, IPv6Address)) and host.is_loopback


def _render(head: RequestHead) -> str:
    """All of a request in which a placeholder may stand, as one text."""
    words = [head.method, head.authority or "", head.host or "", head.path]
    fields = [part.decode("latin-1") for field in head.fields for part in field]
    return "\0".join([*words, *fields])


Value = Callable[[Held], bytes]


def _fill(head: RequestHead, held: Iterable[Held], value_of: Value) -> RequestHead:
    """The head with something else in place of the placeholders, where the secrets may stand."""
    for each in held:
        for slot in each.slots:
            head = _fill_slot(head, slot, each.placeholder.encode(), value_of(each))
    return head


def _fill_slot(head: RequestHead, slot: Slot, placeholder: bytes, value: bytes) -> RequestHead:
    match slot.kind:
        case Kind.QUERY:
            text = quote(value, safe="")
            return attrs.evolve(head, path=_fill_query(head.path, slot.name, placeholder.decode(), text))
        case Kind.HEADER:
            fields = (
                (name, raw.replace(placeholder, value) if name.lower() == slot.name.encode() else raw)
                for name, raw in head.fields
            )
        case Kind.BASIC:
            fields = (
                (name, _fill_basic(raw, placeholder, value) if name.lower() == b"authorization" else raw)
                for name, raw in head.fields
            )
    return attrs.evolve(head, fields=tuple(fields))


def _fill_query(path: str, wanted: str, placeholder: str, text: str) -> str:
    way, mark, query = path.partition("?")
    parts = []
    for part in query.split("&"):
        name, equals, raw = part.partition("=")
        parts.append(
            name + equals + (raw.replace(placeholder, text) if unquote_plus(name) == wanted else raw)
        )
    return way + mark + "&".join(parts)


def _fill_basic(raw: bytes, placeholder: bytes, value: bytes) -> bytes:
    """RFC 7617 2: the scheme's name has no case; what is no base64 is left as it is."""
    scheme, space, told = raw.partition(b" ")
    if scheme.lower() != b"basic":
        return raw
    try:
        credentials = base64.b64decode(told.strip(), validate=True)
    except binascii.Error:
        return raw
    if placeholder not in credentials:
        return raw
    return scheme + space + base64.b64encode(credentials.replace(placeholder, value))


def make_readable(head: RequestHead) -> RequestHead:
    return attrs.evolve(head, fields=(*drop_fields(head.fields, _PARTS), READABLE))
