"""Evidence that was made to hurt its reader: no bytes and no file make the verifier fail, hang or grow."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.evidence.specimens import (
    KEY,
    POLICY_HASH,
    Receipt,
    Scribe,
    record_of,
    sign,
    write_chain,
    write_evidence,
)

import trio_egress
from trio_egress.evidence.pairing import OPEN_INTENTS
from trio_egress.evidence.report import Report, Verdict, render_json, render_text
from trio_egress.evidence.usual import SEEN
from trio_egress.evidence.verify import verify

PINNED = [KEY.public_hex]
ROOT = str(Path(trio_egress.__file__).parents[1])
LINE = write_chain()[1]
LINE_CHARS = 1_000_000
"""About as much as one line may have."""


def _check(path: Path) -> Report:
    """The report of evidence that must not make it raise, in either form."""
    reports = [verify(path, PINNED), verify(path, PINNED, quick=True)]
    for report in reports:
        json.dumps(render_json(report))
        assert render_text(report).isascii()
    assert reports[1].exit_code >= reports[0].exit_code or reports[0].exit_code == 3
    return reports[0]


def _codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"\0" * 5000 + b"\n", {"line.form"}),
        (LINE[:-1] + b"\0\n", {"line.form"}),
        (LINE[:-1] + b"\r\n", {"line.bytes"}),
        (b"\xef\xbb\xbf" + LINE, {"line.encoding"}),
        (LINE.decode().encode("utf-16"), {"line.encoding"}),
        (LINE.decode().encode("utf-16-be"), {"line.form"}),
        (LINE.replace(b"tls://", b"\\ud800//"), {"line.text"}),
        (LINE.replace(b'"port":443', b'"port":' + b"9" * 200), {"ext.hash"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":' + b"9" * 4000), {"member.type", "chain.seq"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":' + b"9" * 900_000), None),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":-0'), {"line.bytes", "chain.seq"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":true'), {"member.type"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":1E0'), {"line.form"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":01'), {"line.form"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":Infinity'), {"line.form"}),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":1,"chain_seq":1'), {"line.repeated"}),
        (LINE.replace(b'"delegation_chain":[]', b'"delegation_chain":' + b"[" * 400_000), {"line.form"}),
        (LINE.replace(b'"delegation_chain":[]', b'"delegation_chain":' + b'{"a":' * 100_000), {"line.form"}),
        (b"[" * 300_000 + b"]" * 300_000 + b"\n", {"line.form"}),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", {"line.form"}),
        (b'"' + b"\\" * 900_000 + b"\n", {"line.form"}),
        (b"x" * 3_000_000 + b"\n", {"line.length"}),
        (b"\n" * 3000, {"line.form"}),
        (b"\xff\n" * 3000, {"line.encoding"}),
        (b"{}\n" * 3000, {"member.missing"}),
    ],
)
def test_no_bytes_in_a_log_raise(raw: bytes, found: set[str] | None, tmp_path: Path) -> None:
    chain = write_chain()
    report = _check(write_evidence(tmp_path, [chain[0], raw, *chain[2:]]))
    assert report.exit_code == 1
    assert found is None or found <= _codes(report)


# what is no plain file


def _make_fifo(path: Path) -> None:
    os.mkfifo(path)


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a directory": Path.mkdir,
    "a FIFO": _make_fifo,
    "a socket": _make_socket,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a device": lambda path: path.symlink_to("/dev/null"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.skipif(sys.platform == "win32", reason="files that are none are made in other ways there")
@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_plain_file_is_an_error(
    make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "evidence.jsonl")
    for path in (tmp_path / "evidence.jsonl", tmp_path):
        report = verify(path, PINNED)
        assert (report.verdict, report.exit_code) == (Verdict.UNREADABLE, 2)
        assert report.error


@pytest.mark.ordinary  # root reads every file
def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, write_chain())
    path.chmod(0)
    report = verify(path, PINNED)
    assert (report.verdict, "Permission denied" in report.error) == (Verdict.UNREADABLE, True)


@pytest.mark.parametrize("path", ["", "\0", "x\0y", "/dev/null/x", "e" * 5000])
def test_no_path_raises(path: str) -> None:
    assert verify(path, PINNED).verdict is Verdict.UNREADABLE


# memory


def _vary(**facts: object) -> Callable[[int], Receipt]:
    """A receipt that fits, with what is made of `{}` and a number in facts."""

    def make(number: int) -> Receipt:
        receipt: Receipt = json.loads(LINE)
        ext = receipt["ext"]
        assert isinstance(ext, dict)
        ext["trio_egress"] = {"v": 1, **facts}
        record_of(receipt)["action_id"] = f"01a3185c-5000-7000-8000-{number:012x}"
        return receipt

    return make


def _write_long_lines() -> Iterator[bytes]:
    """Every kind of line that could be kept, or that takes many times its own length to read."""
    many: list[object] = [{}] * (LINE_CHARS // 3)
    for number in range(10):
        long = f"{number}" + "x" * (LINE_CHARS - 40_000)
        receipt = _vary(host=long, dialled=f"{long}:443")(number)
        record_of(receipt)["decision_phase"] = "outcome"
        yield sign(receipt)[0]
        receipt = _vary()(number)
        record_of(receipt).update(policy_hash=long, verdict="block", layer="y" * 1000 + str(number))
        yield sign(receipt)[0]
        change = _vary(policy_from=POLICY_HASH, policy_to=f"sha256:{number:064x}", policy_sha256=long)(number)
        record_of(change).update(transport="policy", verdict="allow")
        del record_of(change)["decision_phase"]
        yield sign(change)[0]
    yield b"[" + b"{}," * (LINE_CHARS // 3) + b"{}]\n"
    yield sign(_vary(x=many)(0))[0]
    for number in range(SEEN):
        yield sign(_vary(**{f"{each}": 0 for each in range(number, LINE_CHARS // 12)})(number))[0]


GROWTH = """
import re, sys
def measure():
    return int(re.search(r"VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1]) << 10
"""


def _grow(program: str, *arguments: str) -> list[int]:
    """What a program prints, in a process whose highest memory so far is its own."""
    ran = subprocess.run(
        [sys.executable, "-c", GROWTH + program, *arguments],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in re.findall(r"[0-9]+", ran.stdout)]


@pytest.mark.skipif(sys.platform != "linux", reason="the highest memory of a process is read from /proc")
def test_hostile_lines_stay_in_a_hundred_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with path.open("wb") as file:
        file.write(Scribe().open().raw)
        file.writelines(_write_long_lines())
    program = """
from trio_egress.evidence.verify import verify
print(verify(sys.argv[1]).exit_code, measure())
"""
    exit_code, highest = _grow(program, str(path))
    assert exit_code == 1
    assert highest < 100 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the highest memory of a process is read from /proc")
def test_open_intents_without_end_stay_in_a_hundred_megabytes() -> None:
    program = """
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.pairing import OPEN_INTENTS, Pairing
findings = Findings()
pairing = Pairing(findings, "e")
about = {"transport": "dns", "action_type": "read", "verdict": "allow", "decision_phase": "intent"}
for number in range(OPEN_INTENTS + 9):
    record = {**about, "action_id": f"01a3185c-5000-7000-8000-{number:012x}", "target": f"t{number}" * 9}
    pairing.feed(record, {}, number)
print(len(pairing), findings.count, measure())
"""
    kept, found, highest = _grow(program)
    assert (kept, found) == (OPEN_INTENTS, 1)
    assert highest < 100 << 20
