"""What a run has left outside: packets, words that canaries heard, files, processes, evidence."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import stat
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.escapes.frame import EVIDENCE, GUARDED, ROOM, WORK, Ways
from tests.escapes.room import AGAIN, LIBRARY
from tests.runs.launch import find_processes, verify

libc = ctypes.CDLL(None, use_errno=True)


def find_hits(ways: list[Ways], packets: list[bytes], heard: list[bytes]) -> list[str]:
    """The cases whose mark was seen outside: token, address or port."""
    targets = [parse_packet(packet) for packet in packets]
    everything = b"\n".join([*packets, *heard]).lower()
    addresses = {address for address, _ in targets}
    ports = {port for _, port in targets}
    return [
        w.name
        for w in ways
        if w.raw in everything
        or w.port in ports
        or socket.inet_pton(socket.AF_INET, w.v4) in addresses
        or socket.inet_pton(socket.AF_INET6, w.v6) in addresses
    ]


def parse_packet(raw: bytes) -> tuple[bytes, int]:
    """Destination address and port (0 where there is none)."""
    version = raw[0] >> 4 if raw else 0
    if version == 4 and len(raw) >= 20:
        at, protocol, address = (raw[0] & 15) * 4, raw[9], raw[16:20]
    elif version == 6 and len(raw) >= 40:
        at, protocol, address = 40, raw[6], raw[24:40]
    else:
        return b"", 0
    if protocol not in (6, 17, 136) or len(raw) < at + 4:
        return address, 0
    return address, int.from_bytes(raw[at + 2 : at + 4], "big")


def destination(packet: bytes) -> str:
    return parse_packet(packet)[0].hex()


def is_as_it_was(w: Ways) -> bool:
    try:
        status = os.lstat(w.guarded)
        plain = (status.st_mode & 0o7777, status.st_mtime > 2) == (0o644, True)
        return (
            stat.S_ISREG(status.st_mode)
            and plain
            and not os.listxattr(w.guarded)
            and Path(w.guarded).read_text() == "as it was"
        )
    except OSError:
        return False


def is_marked(w: Ways) -> bool:
    """Whether a file outside the agent's own places has the token, or a name with it."""
    for folder, folders, files in os.walk(ROOM):
        folders[:] = [name for name in folders if f"{folder}/{name}" not in (WORK, LIBRARY, GUARDED, AGAIN)]
        if any(w.token in name for name in (*folders, *files)):
            return True
        for name in files:
            if os.path.isfile(f"{folder}/{name}") and w.raw in Path(folder, name).read_bytes():
                return True
    return False


def is_set_id(w: Ways) -> bool:
    """Whether the agent has left a file that runs as somebody else."""
    try:
        return bool(os.lstat(f"{WORK}/{w.token}").st_mode & (stat.S_ISUID | stat.S_ISGID))
    except OSError:
        return False


def is_harmed(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state in "ZTtX"


def end_survivors(ways: list[Ways]) -> None:
    for w in ways:
        while left := find_processes(w.token):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            time.sleep(0.003)


def find_handle() -> str:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, WORK.encode(), handle, ctypes.byref(mount), 0):
        return ""
    length, kind = struct.unpack_from("=Ii", handle.raw)
    return (struct.pack("=Ii", length, kind) + handle.raw[8 : 8 + length]).decode("latin-1")


def render_receipt(line: dict[str, Any]) -> str:
    """As the patterns of the cases know it; a refused call with what tells it from others of its name."""
    record = line["action_record"]
    detail = line.get("ext", {}).get("trio_egress", {}).get("detail", "")
    return f"{record['verdict']} {record['transport']} {record['target']} {detail}".rstrip()


def read_evidence(key: str) -> dict[str, Any]:
    try:
        lines = [json.loads(line) for line in Path(f"{EVIDENCE}/evidence.jsonl").read_bytes().splitlines()]
    except (OSError, ValueError):
        return {"receipts": [], "unpaired": [], "verified": None}
    records = [line["action_record"] for line in lines]
    told = [render_receipt(line) for line in lines]
    ended = {r["action_id"] for r in records if r.get("decision_phase") == "outcome"}
    begun = [r for r in records if r.get("decision_phase") == "intent"]
    unpaired = [r["target"] for r in begun if r["action_id"] not in ended]
    return {"receipts": told, "unpaired": unpaired, "verified": verify(Path(EVIDENCE), key)}
