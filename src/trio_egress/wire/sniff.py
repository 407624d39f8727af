"""What a client speaks, told from its first bytes.

It judges nothing: a wrong guess can cost a connection and cannot open one, because each is judged by its
name, and a rule that restricts methods opens nothing but HTTP.

Rule 1: at most SNIFF_BYTES are needed, and more bytes never change an answer.
Rule 2: whatever is neither a TLS handshake nor the start of an HTTP request line or of SSH is TCP.
"""

from __future__ import annotations

import re

from trio_egress.model import Protocol

SNIFF_BYTES = 24
"""One more than the longest undecided start: a method of 17 (UPDATEREDIRECTREF), a space and `https`."""

# Methods are case-sensitive (RFC 9110 9.1) and every registered one is upper-case. The target's first bytes
# count too: `USER anonymous` (FTP) and `SSH-2.0-OpenSSH_9.2 Debian` are tokens and a space as well.
_METHOD = rb"[A-Z][A-Z-]{0,16}"
_REQUEST = re.compile(rb"CONNECT [!-~]|" + _METHOD + rb" (?:[/*]|(?i:https?:))")
_UNDECIDED = re.compile(rb"(?:" + _METHOD + rb"(?: (?i:h(?:t(?:t(?:ps?)?)?)?)?)?)?")
_HANDSHAKE = b"\x16\x03"
_SSH = b"SSH-"
"""RFC 4253 4.2: a client's first bytes, without any line before them."""


def sniff(raw: bytes) -> Protocol | None:
    """The protocol that starts with `raw`; None when that needs more bytes (never from SNIFF_BYTES on)."""
    if raw.startswith(_HANDSHAKE):
        return Protocol.TLS
    if raw.startswith(_SSH):
        return Protocol.SSH
    if _REQUEST.match(raw):
        return Protocol.HTTP
    if raw == _HANDSHAKE[:1] or _UNDECIDED.fullmatch(raw):
        return None
    return Protocol.TCP
