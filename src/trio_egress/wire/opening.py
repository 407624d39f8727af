"""The first packet of a client of `trio-egress serve`: what its sandbox is to be, with its directory beside it.

Rule 1: as with wire/session.py, whose packets come after it: wholly understood, or PeerError.
"""

from __future__ import annotations

import math

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage
from trio_egress.wire.strict_json import parse_json

OPENING_BYTES = 196_608
"""Below what a socket takes as one packet (net.core.wmem_default, 212,992)."""

ENDINGS = (".toml", ".yaml", ".yml")
ALLOWED_MOST = 1000
SECONDS_MAX = 1e9
_KEYS = {"step", "policy", "file", "allow", "environment", "timeout", "decides"}

DESCRIPTORS = 2


@frozen
class Opening:
    """`policy`: the text; None asks for the operator's own. `file`: what messages call it, and TOML or YAML.

    `environment`: all of it. `timeout`: of the whole sandbox, in seconds.
    `decides`: beside the directory there is a socket, by which the client is asked (wire/approval.py).
    """

    policy: str | None
    file: str
    allow: tuple[str, ...]
    environment: dict[str, str]
    timeout: float | None
    decides: bool


def read_opening(raw: bytes, descriptors: int) -> Opening:
    """Raises PeerError."""
    try:
        members = parse_json(raw, OPENING_BYTES)
    except BadMessage as error:
        raise PeerError(f"an opening: {error}") from None
    if not isinstance(members, dict) or set(members) != _KEYS or members["step"] != "open":
        raise PeerError(f"an opening is an object with {', '.join(sorted(_KEYS))}, and nothing else")
    decides = members["decides"]
    if not isinstance(decides, bool):
        raise PeerError("decides must be true or false")
    if descriptors != 1 + decides:
        raise PeerError(f"{descriptors} descriptors beside an opening that takes {1 + decides}")
    return Opening(
        None if members["policy"] is None else _read_text("policy", members["policy"]),
        _read_file(members["file"]),
        _read_allowed(members["allow"]),
        _read_variables(members["environment"]),
        _read_seconds(members["timeout"]),
        decides,
    )


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise PeerError(f"{name} must be a text without NUL")
    return value


def _read_file(value: object) -> str:
    name = _read_text("file", value)
    if not name.endswith(ENDINGS) or "/" in name or not name.isprintable() or len(name) > 255:
        raise PeerError(f"file must be a name that ends with one of {', '.join(ENDINGS)}")
    return name


def _read_allowed(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > ALLOWED_MOST:
        raise PeerError(f"allow must be a list of at most {ALLOWED_MOST} texts")
    return tuple(_read_text("allow", each) for each in value)


def _read_variables(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise PeerError("environment must be an object of texts")
    found = {
        _read_text("a variable's name", key): _read_text("a variable", text) for key, text in value.items()
    }
    if any(not key or "=" in key for key in found):
        raise PeerError("environment has a name that no variable can have")
    return found


def _read_seconds(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not isinstance(value, (int, float)):
        raise PeerError("timeout must be a number of seconds")
    if not math.isfinite(value) or not 0 < value < SECONDS_MAX:
        raise PeerError("timeout must be a positive number of seconds")
    return float(value)
