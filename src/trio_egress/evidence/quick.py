"""A file followed by its hashes and links alone, far faster than its signatures can be checked.

The first and the last receipt are read in full, and their signatures checked: the last one names, by hash of hash,
every byte before it. What stands between is not read as receipts at all: not its form, signatures, times or pairs.

Rule 1: each line but the first must name the hash of the line before, and its own number.
Rule 2: only canonical bytes have the hash that the next line names, so whatever is spelled otherwise breaks a link.
"""

from __future__ import annotations

from hashlib import sha256
from typing import BinaryIO

from trio_egress.evidence.canonical import LINE_BYTES, is_plain
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.replay import Replay

_LINK = b',"chain_prev_hash":"'
_KEY_TRANSITION = b',"key_transition":{'
_HASH_CHARS = 64


def follow_links(stream: BinaryIO, replay: Replay) -> None:
    """Feed the first and the last line of a file to a replay, and find each broken link between.

    A receipt that begins with another key is fed as well, since it has to be endorsed. Raises OSError where it cannot
    be read.
    """
    replay.skip_to(0, -1, "")
    lines, seq, head, before, last = 0, 0, b"", b"", b""
    broken = b""
    while (raw := stream.readline(LINE_BYTES)).endswith(b"\n"):
        if broken:  # told when it is known that it is not the last line, which the replay judges
            replay.find_break(lines, broken.decode("ascii", "replace"), before.decode(), seq - 1)
            broken = b""
        at = raw.find(_LINK) + len(_LINK)
        end = at + _HASH_CHARS
        if raw[at:end] != head or not raw.startswith(b'","chain_seq":%d,' % seq, end):
            if not lines or (head and _KEY_TRANSITION in raw):
                replay.skip_to(lines, seq - 1, head.decode())
                replay.feed(raw[:-1])
                seq = replay.final_seq
            else:
                broken = raw[at : end + 40] or b"nothing"
        last, before = raw, head
        head = sha256(raw[:-1]).hexdigest().encode() if is_plain(raw) else _read_hash(raw[:-1])
        lines += 1
        seq += 1
    if lines > replay.lines:
        if broken and not before:  # the replay would link it to nothing
            replay.find_break(lines, broken.decode("ascii", "replace"), "", seq - 1)
        replay.skip_to(lines - 1, seq - 2, before.decode())
        replay.feed(last[:-1])
    if len(raw) == LINE_BYTES:
        replay.take_overlong()
    elif raw:
        replay.feed_torn(raw)


def _read_hash(raw: bytes) -> bytes:
    """The hash of a receipt in which something is escaped; nothing, which breaks a link, where it isn't canonical."""
    line = read_line(raw)
    if not isinstance(line, Line) or any(misfit.code.startswith("line.") for misfit in line.misfits):
        return b""
    return line.hash.encode()
