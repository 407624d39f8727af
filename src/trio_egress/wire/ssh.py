"""An SSH connection as far as it is in the clear: both identification lines, and the first key exchange (RFC 4253).

Follows what both sides say, and holds the server's reply back until the host key in it has been judged. It verifies no
signature: what is signed depends on the shared secret, which the two ends alone know.

Rule 1: what `feed` returns are whole lines and packets; at most CLEAR_BYTES of a side go by in the clear.
Rule 2: bytes that don't belong there raise PeerError, unfit algorithms Unfit, and nothing else is raised.
Rule 3: the first reply is the one that counts. A server whose reply might be a guess, which doesn't, is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from trio_egress.errors import PeerError
from trio_egress.values import define
from trio_egress.wire.ssh_messages import (
    DEBUG,
    DISCONNECT,
    GROUP,
    GROUP_REPLY,
    KEXINIT,
    METHOD_FIRST,
    METHOD_LAST,
    REPLIES,
    Agreed,
    HostKey,
    Proposal,
    agree,
    is_identification,
    measure_line,
    measure_packet,
    parse_proposal,
    parse_reply,
    unpack,
)

CLEAR_BYTES: Final = 128 * 1024
"""All that one side may say before the host key is judged, a server's lines of welcome included."""
PARTS: Final = 4
"""Messages of a key exchange that a client sends in the clear: a guess, and up to two that count."""


class Side(enum.Enum):
    CLIENT = "client"
    SERVER = "server"


class Stage(enum.Enum):
    """What is expected of a side next."""

    LINE = "its identification"
    OFFER = "its algorithms"
    METHOD = "its part of the key exchange"
    GROUP = "a group"
    REPLY = "its host key"
    SHOWN = "nothing more"


class Event(enum.Enum):
    """What a side says."""

    LINE = "an identification line"
    OFFER = "a list of algorithms"
    PART = "a part of the key exchange"
    NOTE = "a message that changes nothing"


TABLE: Mapping[tuple[Side, Stage, Event], Stage] = {
    (Side.CLIENT, Stage.LINE, Event.LINE): Stage.OFFER,
    (Side.CLIENT, Stage.OFFER, Event.NOTE): Stage.OFFER,
    (Side.CLIENT, Stage.OFFER, Event.OFFER): Stage.METHOD,
    (Side.CLIENT, Stage.METHOD, Event.NOTE): Stage.METHOD,
    (Side.CLIENT, Stage.METHOD, Event.PART): Stage.METHOD,
    (Side.SERVER, Stage.LINE, Event.LINE): Stage.OFFER,
    (Side.SERVER, Stage.OFFER, Event.NOTE): Stage.OFFER,
    (Side.SERVER, Stage.OFFER, Event.OFFER): Stage.REPLY,
    (Side.SERVER, Stage.GROUP, Event.NOTE): Stage.GROUP,
    (Side.SERVER, Stage.GROUP, Event.PART): Stage.REPLY,
    (Side.SERVER, Stage.REPLY, Event.NOTE): Stage.REPLY,
    (Side.SERVER, Stage.REPLY, Event.PART): Stage.SHOWN,
}
"""What each side may say, and where that leads; what isn't here is an error. A server is led from REPLY to GROUP when
both have made their offers and the method is one with a group."""


@define
class _Voice:
    """One side, as far as it has been heard. `passed`: bytes that went on. `notes`, `parts`: how many."""

    side: Side
    stage: Stage = Stage.LINE
    pending: bytes = b""
    passed: int = 0
    identified: bool = False
    offer: Proposal | None = None
    notes: int = 0
    parts: int = 0


class KeyExchange:
    """Both sides of a connection until the server has shown its host key; from `release` on a mere pipe."""

    def __init__(self) -> None:
        self._voices = {side: _Voice(side) for side in Side}
        self.agreed: Agreed | None = None
        self.host_key: HostKey | None = None
        self.released = False

    def has_identified(self, side: Side) -> bool:
        """Whether its identification line has been passed on."""
        return self._voices[side].identified

    def feed(self, side: Side, raw: bytes) -> bytes:
        """What of all that the side has said may be passed on now. Raises PeerError; nothing may be fed after that."""
        voice = self._voices[side]
        voice.pending += raw
        start = len(voice.pending) if self.released else self._hear_units(voice)
        passed, voice.pending = voice.pending[:start], voice.pending[start:]
        voice.passed += start
        voice.identified = voice.stage is not Stage.LINE
        if not self.released and voice.passed + len(voice.pending) > CLEAR_BYTES:
            raise PeerError(f"SSH: more than {CLEAR_BYTES} bytes of the {side.value} before the host key")
        return passed

    def release(self) -> None:
        """The host key is judged: what was held, and all that is fed from now on, may be passed on."""
        if self.host_key is None:
            raise ValueError("no host key was shown")
        self.released = True

    def _hear_units(self, voice: _Voice) -> int:
        """How many bytes of the side's whole lines and packets may go on: none once the host key has been shown."""
        start = 0
        while self.host_key is None:
            measure = measure_line if voice.stage is Stage.LINE else measure_packet
            size = measure(voice.pending, start)
            if not size:
                break
            self._hear(voice, voice.pending[start : start + size])
            start += 0 if self.host_key is not None else size
        return start

    def _hear(self, voice: _Voice, unit: bytes) -> None:
        if voice.stage is Stage.LINE:
            if is_identification(unit, of_server=voice.side is Side.SERVER):
                voice.stage = _step(voice, Event.LINE)
            return
        payload = unpack(unit)
        match event := _classify(voice.side, payload[0]):
            case Event.OFFER:
                voice.stage = _step(voice, event)
                voice.offer = parse_proposal(payload)
                self._agree()
            case Event.PART if voice.side is Side.SERVER:
                self._hear_server(voice, payload)
            case Event.PART:
                voice.stage = _step(voice, event)
                voice.parts += 1
                if voice.parts > PARTS:
                    raise PeerError(f"SSH: more than {PARTS} messages of the client in one key exchange")
            case _:
                voice.stage = _step(voice, event)
                voice.notes += payload[0] != DISCONNECT
        if self.agreed is not None and self.agreed.strict and any(v.notes for v in self._voices.values()):
            raise PeerError(
                "SSH: a message that changes nothing, in a key exchange that both sides want strict"
            )

    def _agree(self) -> None:
        client, server = (self._voices[side] for side in Side)
        if client.offer is None or server.offer is None:
            return
        self.agreed = agree(client.offer, server.offer)
        if REPLIES[self.agreed.method] == GROUP_REPLY:
            server.stage = Stage.GROUP

    def _hear_server(self, voice: _Voice, payload: bytes) -> None:
        """A group, or the reply: by the number that the method has for it."""
        before, after = voice.stage, _step(voice, Event.PART)
        if self.agreed is None:
            raise PeerError("SSH: the server replied before it was asked")
        expected = GROUP if before is Stage.GROUP else REPLIES[self.agreed.method]
        if payload[0] != expected:
            raise PeerError(f"SSH: message {payload[0]} of the server, expected {expected}")
        if after is Stage.SHOWN:
            self.host_key = parse_reply(payload, self.agreed)
        voice.stage = after


def _step(voice: _Voice, event: Event) -> Stage:
    follows = TABLE.get((voice.side, voice.stage, event))
    if follows is None:
        raise PeerError(f"SSH: {event.value} of the {voice.side.value}, expected {voice.stage.value}")
    return follows


def _classify(side: Side, number: int) -> Event:
    if number == KEXINIT:
        return Event.OFFER
    if METHOD_FIRST <= number <= METHOD_LAST:
        return Event.PART
    if DISCONNECT <= number <= DEBUG:
        return Event.NOTE
    raise PeerError(f"SSH: message {number} of the {side.value}, which may not come before the host key")
