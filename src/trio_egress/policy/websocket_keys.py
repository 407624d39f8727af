"""What reads the keys of a rule's `websocket`, but for `proxy_path`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from trio_egress.policy.budget import parse_rate
from trio_egress.policy.values import read_flag, read_number, read_size, read_texts
from trio_egress.texts.faults import show

ORIGIN: Final = r"null|[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+"
"""A scheme, host and perhaps port, as a browser spells them (RFC 6454 6.2), or none."""

SUBPROTOCOL: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
WORD_CHARS: Final = 200

_ORIGIN = re.compile(ORIGIN, re.ASCII)
_SUBPROTOCOL = re.compile(SUBPROTOCOL, re.ASCII)


def _read_origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text) or len(text) > WORD_CHARS:
        hint = text.lower().rstrip("/")
        meant = f"; did you mean {show(hint)}?" if _ORIGIN.fullmatch(hint) and hint != text else ""
        like = 'such as "https://app.example.com", in lower case and without a path'
        raise ValueError(f"{show(text)} is no origin {like}{meant}")
    return text


def _read_subprotocol(text: str) -> str:
    if not _SUBPROTOCOL.fullmatch(text) or len(text) > WORD_CHARS:
        raise ValueError(f'{show(text)} is no subprotocol, which is a word such as "graphql-transport-ws"')
    return text


def _read_some(key: str, example: str, read_text: Callable[[str], str]) -> Callable[[object], frozenset[str]]:
    def read(value: object) -> frozenset[str]:
        found = frozenset(read_texts(f"websocket.{key}", value, example, read_text))
        if not found:
            raise ValueError(
                f"websocket.{key} is empty, so the rule would allow no WebSocket; leave it out for any"
            )
        return found

    return read


def _read_rate(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f'websocket.messages must be a rate such as "100/second", not {show(value)}')
    return parse_rate(value, "websocket.messages")


READERS: Mapping[str, Callable[[object], object]] = {
    "enabled": read_flag("websocket.enabled"),
    "frame_scan": read_flag("websocket.frame_scan"),
    "origins": _read_some("origins", '["https://app.example.com"]', _read_origin),
    "subprotocols": _read_some("subprotocols", '["graphql-transport-ws"]', _read_subprotocol),
    "binary": read_flag("websocket.binary"),
    "message": lambda value: read_size("websocket.message", value, 1),
    "messages": _read_rate,
    "seconds": lambda value: read_number("websocket.seconds", value, 1),
}
