"""A session's own receipts: the genesis hash that binds them, and what open, heartbeat and close carry.

Pure arithmetic over given values: makes no nonce and reads no clock.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping

import attrs

from trio_egress.values import frozen

OBSERVING = "observe"
"""The fact `mode` of an open receipt whose run enforced nothing."""

POLICY_TRANSPORT = "policy"
"""Of a receipt that says that another policy came into force, or was refused."""

KEY_TRANSPORT = "key"
"""Of a receipt that says that another key signs from here on, or that none could be taken."""

COMMAND_TRANSPORT = "command"
"""Of a receipt that says how a command of a session has ended."""

INTERCEPTED = "intercepted"
"""The fact `tls` of a TLS connection that ended at the boundary: it leads nowhere, and only requests in it do."""

OWN_TRANSPORTS = frozenset({POLICY_TRANSPORT, KEY_TRANSPORT, COMMAND_TRANSPORT})
"""Of receipts that are neither an attempt's nor of the session's own kinds."""

GENESIS_LABEL = "pipelock.receipt.session_open.v1"
_GENESIS_FRAMES = (
    *("run_nonce", "open_nonce", "recorder_session", "policy_hash", "signer_key_epoch", "heartbeat_seconds"),
    *(
        "genesis_anchor_head",
        "genesis_anchor_log",
        "posture_capsule_sha256",
        "containment_nonce",
        "contained_uid",
    ),
)


class SessionState(enum.Enum):
    NEW = "before its open receipt"
    OPEN = "open"
    CLOSED = "closed"


class Step(enum.Enum):
    """What a receipt is to its session."""

    OPEN = "session_open"
    HEARTBEAT = "heartbeat"
    CLOSE = "session_close"
    ACTION = "action"


NEXT_STATE = {
    (SessionState.NEW, Step.OPEN): SessionState.OPEN,
    (SessionState.OPEN, Step.ACTION): SessionState.OPEN,
    (SessionState.OPEN, Step.HEARTBEAT): SessionState.OPEN,
    (SessionState.OPEN, Step.CLOSE): SessionState.CLOSED,
}
"""Which receipt may stand where; an absent key is the error."""


_visible = attrs.validators.matches_re(r"[!-~]{1,256}")


@frozen
class Session:
    """What a run knows of itself before its first receipt. Ids, nonces and hashes are visible ASCII.

    `policy_sha256` and `policy_includes_sha256` are of the policy's text as it was given, and of what stands in the
    packet of the files it includes. `anchor_head`, `anchor_log`: the head of another log, and its name.
    """

    run_id: str = attrs.field(validator=_visible)
    run_nonce: str = attrs.field(validator=_visible)
    open_nonce: str = attrs.field(validator=_visible)
    policy_hash: str = attrs.field(validator=_visible)
    heartbeat_seconds: int
    principal: str
    actor: str
    contained_uid: str = ""
    posture_capsule_sha256: str = ""
    containment_nonce: str = ""
    policy_sha256: str = ""
    policy_includes_sha256: str = ""
    observing: bool = False
    able: tuple[str, ...] | None = None
    anchor_head: str = ""
    anchor_log: str = ""


def render_genesis_hash(opening: Mapping[str, object]) -> str:
    """The hash that the first receipt's `chain_prev_hash` and its `genesis_hash` must both be.

    `opening` holds the members of a `session_open`; absent ones are framed as empty.
    """
    frames = hashlib.sha256()
    _add_frame(frames, GENESIS_LABEL.encode())
    for name in _GENESIS_FRAMES:
        match opening.get(name, ""):
            case int(number):
                _add_frame(frames, number.to_bytes(8, "big"))
            case text:
                _add_frame(frames, str(text).encode("utf-8", "surrogatepass"))
    return f"g1:{frames.hexdigest()}"


def _add_frame(frames: hashlib._Hash, raw: bytes) -> None:
    frames.update(len(raw).to_bytes(8, "big"))
    frames.update(raw)
