"""The files beside a log, made to cost memory: whatever they hold, verifying a packet stays in a hundred megabytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from tests.evidence.test_packet import make_packet

import trio_egress
from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import parse_document
from trio_egress.evidence.container import FILE_BYTES, Folder
from trio_egress.evidence.dsse import Envelope, render_envelope
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.manifest import FILES_MAX, Entry, read_manifest, render_manifest
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.statement import PAYLOAD_TYPE, STATEMENT_NAME
from trio_egress.review import TEXT_BYTES, TEXT_SIGNS, read_policies

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the highest memory of a process is read from /proc"
)
ROOT = str(Path(trio_egress.__file__).parents[1])
MOST = 100 << 20

KINDS: Mapping[str, Callable[[int], bytes]] = {
    "empty objects": lambda size: _fill(b"[", b"{},", b"{}]", size),
    "objects of one": lambda size: _fill(b"[", b'{"a":1},', b"{}]", size),
    "names": lambda size: (
        b"{" + b",".join(b'"%07x":%d' % (each, 10**6 + each) for each in range(size // 18)) + b"}"
    ),
    "one wide text": lambda size: _fill('["\U0001f600'.encode(), b"x", b'"]', size),
    "wide texts": lambda size: _fill(b"[", '"\U0001f600",'.encode(), b"1]", size),
    "integers": lambda size: _fill(b"[", b"1000,", b"1]", size),
}
"""JSON that takes many times its length to be read, by that length."""

TOP = b'version = "1.0"\ndefault_deny = true\n'
TEXTS = {
    "policy.toml": (
        b"".join(b"a%d.b.c.d=1\n" % each for each in range(TEXT_BYTES // 15)),
        b"a = [%b]" % (b"{}," * (TEXT_SIGNS - 1)),
        TOP + b"egress = [%b]" % (b"{}," * (TEXT_SIGNS - 1)),
        TOP + b"egress = [%b]" % (b"{}," * (TEXT_BYTES // 4)),
        TOP + b"[[egress]]\n" * (TEXT_SIGNS // 2),
        TOP + b"#" * TEXT_BYTES,
    ),
    "policy.yaml": (
        b"".join(b"k%d: 1\n" % each for each in range(TEXT_BYTES // 11)),
        b"a: [%b]" % (b"[]," * (TEXT_SIGNS - 2)),
        b"egress:\n" + b"- 1\n" * TEXT_SIGNS,
        b"egress:\n" + b"- 1\n" * (TEXT_SIGNS + 1),
    ),
}


def _fill(start: bytes, piece: bytes, end: bytes, size: int) -> bytes:
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


def _find_longest(kind: Callable[[int], bytes]) -> bytes:
    """The longest of a kind that is not refused for its length, or nearly."""
    size = FILE_BYTES
    while True:
        try:
            parse_document(raw := kind(size))
        except ValueError:
            size = size * 7 // 8
        else:
            return raw


def _verify(packet: Path, name: str, files: Sequence[bytes]) -> tuple[set[int], int]:
    """Exit codes and highest memory of a process that verifies the packet with each of these in turn."""
    program = """
import re, sys, trio_egress
from pathlib import Path
codes = []
for file in sorted(Path(sys.argv[3]).iterdir()):
    Path(sys.argv[1], sys.argv[2]).write_bytes(file.read_bytes())
    codes.append(trio_egress.verify(sys.argv[1]).exit_code)
print(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1], *codes)
"""
    place = packet.parent / "files"
    place.mkdir()
    for number, raw in enumerate(files):
        (place / f"{number}").write_bytes(raw)
    ran = subprocess.run(
        [sys.executable, "-c", program, str(packet), name, str(place)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=True,
    )
    highest, *codes = map(int, ran.stdout.split())
    return set(codes), highest << 10


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    make_packet(directory)
    return directory


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    return [raw for kind in KINDS.values() for raw in (kind(FILE_BYTES), _find_longest(kind))]


@pytest.mark.parametrize(
    "name",
    ["packet.json", "run.json", "manifest.json", "counters.json", "posture.json", "policy-compiled.json"],
)
def test_a_hostile_document_stays_in_a_hundred_megabytes(
    name: str, packet: Path, documents: list[bytes]
) -> None:
    codes, highest = _verify(packet, name, documents)
    assert codes == {1}
    assert highest < MOST


def test_a_hostile_statement_stays_in_a_hundred_megabytes(packet: Path, documents: list[bytes]) -> None:
    statements = [render_envelope(Envelope(PAYLOAD_TYPE, raw, "", bytes(64))) for raw in documents]
    _, highest = _verify(packet, STATEMENT_NAME, [*documents, *statements])
    assert highest < MOST


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_policy_stays_in_a_hundred_megabytes(name: str, packet: Path) -> None:
    (packet / "policy.toml").unlink(missing_ok=True)
    _, highest = _verify(packet, name, TEXTS[name])
    assert highest < MOST


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TOP + b"#" * TEXT_BYTES, f"more than {TEXT_BYTES} bytes, up to policy.toml"),
        (TOP + b"# %b" % (b"[" * TEXT_SIGNS), "(default_deny|allows|compile)"),
        (TOP + b"#" + b"[" * (TEXT_SIGNS + 1), f"more than {TEXT_SIGNS} lists"),
    ],
)
def test_a_policy_that_costs_too_much_is_not_decided_by(text: bytes, problem: str, packet: Path) -> None:
    (packet / "policy.toml").write_bytes(text)
    with pytest.raises(EvidenceError, match=problem):
        dict(read_policies(Folder(packet)))


def test_what_is_longer_than_any_file_of_its_kind_is_a_finding(packet: Path) -> None:
    for name in ("packet.json", "manifest.json", "run.json"):
        before = (packet / name).read_bytes()
        (packet / name).write_bytes(before + b" " * FILE_BYTES)
        found = [one for one in trio_egress.verify(packet).findings if one.file == name]
        assert f"longer than {FILE_BYTES} bytes" in " ".join(one.found for one in found)
        (packet / name).write_bytes(before)


def test_the_largest_manifest_that_a_run_can_write_is_read() -> None:
    entries = [Entry(f"policy-includes-{number:06}.json", "0" * 64, 10**6) for number in range(FILES_MAX)]
    raw = render_manifest(Replay(Findings(), "evidence.jsonl"), entries)
    findings = Findings()
    assert len(read_manifest(raw, findings) or ()) == FILES_MAX
    assert findings.count == 0
    assert len(raw) < FILE_BYTES


def test_the_bound_is_not_for_the_length_alone() -> None:
    assert len(str(parse_document(KINDS["one wide text"](10_000))[0])) > 9_000
    raw = KINDS["empty objects"](FILE_BYTES - 1)
    assert len(raw) < FILE_BYTES
    with pytest.raises(ValueError, match="too large"):
        parse_document(raw)
