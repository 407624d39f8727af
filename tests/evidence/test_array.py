"""Receipts in a JSON array: judged as the lines that they would be."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.specimens import KEY, SESSION, STRANGER, Scribe, write_chain

from trio_egress.errors import EvidenceError
from trio_egress.evidence.anchor import Anchor, render_anchor
from trio_egress.evidence.array import OBJECT_CHARS, ArrayReader
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.checkpoint import Checkpoint, render_origin
from trio_egress.evidence.merkle import Tree
from trio_egress.evidence.report import Report
from trio_egress.evidence.verify import verify

LINES = Scribe().open().allow(pattern="<é\u2028>").block().close().lines
VALUES = [json.loads(line) for line in LINES]


def read(raw: bytes) -> list[bytes]:
    assert raw.startswith(b"[")
    reader = ArrayReader(io.BytesIO(raw[1:]))
    lines = []
    while line := reader.readline(LINE_BYTES):
        lines.append(line)
    return lines


def judge(path: Path, raw: bytes, anchors: Sequence[Path] = ()) -> Report:
    path.write_bytes(raw)
    return verify(path, [KEY.public_hex], anchors=anchors)


@pytest.mark.parametrize(
    "spell",
    [
        lambda: b"[" + b",".join(line[:-1] for line in LINES) + b"]",
        lambda: json.dumps(VALUES).encode(),
        lambda: json.dumps(VALUES, indent=4).encode() + b"\n",
        lambda: json.dumps(VALUES, ensure_ascii=False, separators=(",", ":")).encode(),
        lambda: json.dumps(VALUES, indent="\t").replace("\n", "\r\n").encode(),
    ],
)
def test_however_it_is_spelled_its_objects_are_the_stored_lines(
    spell: Callable[[], bytes], tmp_path: Path
) -> None:
    assert read(spell()) == LINES
    report = judge(tmp_path / "receipts.json", spell())
    assert (report.exit_code, report.receipt_count) == (0, len(LINES))


def test_what_jq_makes_of_the_lines_is_read(tmp_path: Path) -> None:
    (tmp_path / "evidence.jsonl").write_bytes(b"".join(LINES))
    ran = subprocess.run(["jq", "-s", ".", "evidence.jsonl"], cwd=tmp_path, capture_output=True, check=True)
    assert judge(tmp_path / "receipts.json", ran.stdout).exit_code == 0


def test_its_lines_can_be_read_in_chunks_of_any_size() -> None:
    for size in (1, 7, 4096, 10_000_000):
        reader = ArrayReader(io.BytesIO(json.dumps(VALUES).encode()[1:]))
        assert b"".join(iter(partial(reader.read, size), b"")) == b"".join(LINES)


def test_an_anchor_that_was_kept_is_held_against_it(tmp_path: Path) -> None:
    anchors, origin = tmp_path / "anchors", render_origin(SESSION.run_id)
    tree = Tree()
    for line in LINES:
        tree.append(line[:-1])
    raw = json.dumps(VALUES).encode()
    for root, found in ((tree.root, []), (b"\0" * 32, ["checkpoint.lines"])):
        anchors.write_bytes(render_anchor(Anchor(Checkpoint(origin, tree.size, root), "", 0)))
        report = judge(tmp_path / "receipts.json", raw, [anchors])
        assert [finding.code for finding in report.findings] == found


def test_it_is_judged_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "receipts.json"
    assert judge(path, json.dumps(VALUES[:-1]).encode()).exit_code == 3
    assert judge(path, json.dumps(VALUES[:1] + VALUES[2:]).encode()).exit_code == 1
    assert (
        judge(path, json.dumps([json.loads(line) for line in write_chain(key=STRANGER)]).encode()).exit_code
        == 1
    )
    VALUES[1]["action_record"]["target"], kept = "tls://other:443", VALUES[1]["action_record"]["target"]
    (finding,) = judge(path, json.dumps(VALUES).encode()).findings[:1]
    VALUES[1]["action_record"]["target"] = kept
    assert (finding.code, finding.line) == ("signature.wrong", 2)


def test_members_in_another_order_are_a_finding(tmp_path: Path) -> None:
    report = judge(tmp_path / "receipts.json", json.dumps(VALUES, sort_keys=True).encode())
    assert report.exit_code == 1
    assert "member.order" in {finding.code for finding in report.findings}


def test_an_array_of_nothing_is_a_prefix(tmp_path: Path) -> None:
    assert judge(tmp_path / "receipts.json", b"[ ]\n").exit_code == 3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"[", "an object"),
        (b"[{}", "a comma or the end of the array"),
        (b"[{} {}]", "a comma or the end of the array"),
        (b"[{},]", "an object"),
        (b"[,{}]", "an object"),
        (b"[1]", "an object"),
        (b"[[]]", "an object"),
        (b'["x"]', "an object"),
        (b"[{}] []", "nothing after the array"),
        (b"[{}]]", "nothing after the array"),
        (b'[{"a":1', "a JSON object"),
        (b'[{"a":1.5}]', "is not an integer"),
        (b'[{"a":NaN}]', "is not an integer"),
        (b'[{"a":1,"a":1}]', "twice"),
        (b'[{"b":{"a":1,"a":2}}]', "twice"),
        (b"[{'a':1}]", "a JSON object"),
        (b'[{"a":"\xff"}]', "UTF-8"),
        (b'[{"a":"\xc3', "UTF-8"),
        (b'[{"a":' + b"[" * 100_000, "a receipt"),
        (b'[{"a":' + b"9" * 10_000 + b"}]", "a receipt"),
        (b'[{"a":"' + b"x" * (OBJECT_CHARS * 2) + b'"}]', "at most"),
    ],
)
def test_what_is_not_exactly_an_array_of_objects_can_not_be_read(
    raw: bytes, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(EvidenceError, match=expected):
        read(raw)
    report = judge(tmp_path / "receipts.json", raw)
    assert (report.exit_code, report.findings) == (2, ())


def test_an_array_cut_anywhere_is_never_valid_and_never_raises(tmp_path: Path) -> None:
    raw = json.dumps(VALUES).encode()
    for size in range(0, len(raw), 97):
        assert judge(tmp_path / "receipts.json", raw[:size]).exit_code in (2, 3)


def test_a_long_array_is_read_object_by_object(tmp_path: Path) -> None:
    class Counted(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            self.most = max(self.most, size)
            return super().read(size)

    raw = b",".join([line[:-1] for line in LINES] * 500) + b"]"
    file = Counted(raw)
    reader = ArrayReader(file)
    count = 0
    while reader.readline(LINE_BYTES):
        count += 1
    assert count == 500 * len(LINES)
    assert file.most < len(raw) / 10


def test_a_line_over_the_bound_is_given_in_parts() -> None:
    raw = json.dumps([{"a": "x" * LINE_BYTES}]).encode()
    parts = read(raw)
    assert [len(part) for part in parts] == [LINE_BYTES, len('{"a":""}\n')]


@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_raise_anything_else(raw: bytes, at: int) -> None:
    text = json.dumps(VALUES[:1]).encode()
    for hostile in (b"[" + raw, text[:at] + raw + text[at:]):
        with contextlib.suppress(EvidenceError):
            read(hostile if hostile.startswith(b"[") else b"[" + hostile)
