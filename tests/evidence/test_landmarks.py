"""States of a log that stand outside it, against its lines: cut, changed, re-signed, and as it should be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, SESSION, STRANGER, Scribe, replay, seal_again, write_chain
from tests.evidence.test_packet import make_packet

from trio_egress.evidence.anchor import Anchor, render_anchor
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME, Checkpoint, render_origin, sign_checkpoint
from trio_egress.evidence.landmarks import read_roots, split_lines
from trio_egress.evidence.merkle import EMPTY_ROOT, Tree
from trio_egress.evidence.report import Report, Verdict
from trio_egress.evidence.verify import verify


def find_root(lines: list[bytes]) -> bytes:
    tree = Tree()
    for line in lines:
        tree.append(line.removesuffix(b"\n"))
    return tree.root


def check(directory: Path, lines: list[bytes], checkpoint: bytes) -> Report:
    (directory / "evidence.jsonl").write_bytes(b"".join(lines))
    (directory / CHECKPOINT_NAME).write_bytes(checkpoint)
    return verify(directory, [KEY.public_hex])


def codes(report: Report) -> list[str]:
    return sorted({finding.code for finding in report.findings})


LINES = write_chain()
WHOLE = sign_checkpoint(SESSION.run_id, len(LINES), find_root(LINES), KEY)


def test_the_chain_knows_its_own_state_at_any_time() -> None:
    scribe = Scribe().open().allow()
    assert scribe.chain.root == find_root(scribe.lines)
    scribe.block().close()
    assert scribe.chain.root == find_root(scribe.lines)
    assert scribe.chain.sign_checkpoint() == sign_checkpoint("run-1", 5, find_root(scribe.lines), KEY)


def test_lines_are_the_same_whatever_the_chunks() -> None:
    raw = b"one\n\n" + b"x" * (3 << 19) + b"\ntwo\ntorn"
    assert list(split_lines(io.BytesIO(raw)))[:2] == [b"one", b""]
    short = b"one\n\ntwo\ntorn"
    assert list(split_lines(io.BytesIO(short))) == [b"one", b"", b"two"]


def test_a_line_that_no_log_can_have_ends_it() -> None:
    assert list(split_lines(io.BytesIO(b"one\n" + b"x" * (3 * LINE_BYTES) + b"\ntwo\n"))) == [b"one"]


def test_roots_are_read_in_one_pass_as_far_as_the_log_goes() -> None:
    found = read_roots(io.BytesIO(b"".join(LINES)), [3, 0, 8, 9])
    assert found == {0: EMPTY_ROOT, 3: find_root(LINES[:3]), 8: find_root(LINES)}


def test_the_state_that_was_signed_is_the_one_of_the_lines(tmp_path: Path) -> None:
    assert codes(check(tmp_path, LINES, WHOLE)) == []


def test_a_run_that_was_killed_has_a_checkpoint_of_its_first_lines(tmp_path: Path) -> None:
    older = sign_checkpoint(SESSION.run_id, 2, find_root(LINES[:2]), KEY)
    report = check(tmp_path, [*LINES[:4], LINES[4][:50]], older)
    assert (codes(report), report.verdict) == ([], Verdict.PREFIX)


@pytest.mark.parametrize("cut", [0, 1, 4, 7])
def test_a_log_that_was_cut_below_its_checkpoint_is_found(cut: int, tmp_path: Path) -> None:
    """With no closing receipt there is nothing else that could tell."""
    assert replay(LINES[:cut]).findings.count == 0
    report = check(tmp_path, LINES[:cut], WHOLE)
    assert codes(report) == ["checkpoint.lines"]


def test_a_torn_line_is_in_no_state(tmp_path: Path) -> None:
    scribe = Scribe().open().allow()
    state = sign_checkpoint(SESSION.run_id, 3, find_root(scribe.lines), KEY)
    assert codes(check(tmp_path, [*scribe.lines[:2], scribe.lines[2][:-1]], state)) == ["checkpoint.lines"]
    assert codes(check(tmp_path, scribe.lines, state)) == []


def test_another_history_by_the_same_key_is_found(tmp_path: Path) -> None:
    other = (
        Scribe().open().allow("elsewhere.example").block().heartbeat().allow("b.example.com").close().lines
    )
    assert replay(other).findings.count == 0
    assert codes(check(tmp_path, other, WHOLE)) == ["checkpoint.lines"]


@pytest.mark.parametrize(
    ("checkpoint", "code"),
    [
        (sign_checkpoint(SESSION.run_id, 8, bytes(32), KEY), "checkpoint.lines"),
        (sign_checkpoint(SESSION.run_id, 9, find_root(LINES), KEY), "checkpoint.lines"),
        (sign_checkpoint(SESSION.run_id, 8, find_root(LINES), STRANGER), "checkpoint.key"),
        (sign_checkpoint("run-2", 8, find_root(LINES), KEY), "checkpoint.key"),
        (WHOLE.replace(b"\n8\n", b"\n7\n"), "checkpoint.key"),
        (WHOLE[:-1], "checkpoint.form"),
        (b"", "checkpoint.form"),
    ],
    ids=["root", "size", "stranger", "another run", "changed", "cut", "empty"],
)
def test_a_checkpoint_that_is_not_of_this_log_is_found(checkpoint: bytes, code: str, tmp_path: Path) -> None:
    report = check(tmp_path, LINES, checkpoint)
    assert (codes(report), report.verdict) == ([code], Verdict.INVALID)


def test_the_checkpoint_of_a_whole_packet_is_of_every_line(tmp_path: Path) -> None:
    make_packet(tmp_path)
    (tmp_path / CHECKPOINT_NAME).write_bytes(WHOLE)
    seal_again(tmp_path)
    assert verify(tmp_path, [KEY.public_hex]).exit_code == 0
    older = sign_checkpoint(SESSION.run_id, 6, find_root(LINES[:6]), KEY)
    (tmp_path / CHECKPOINT_NAME).write_bytes(older)
    seal_again(tmp_path)
    assert codes(verify(tmp_path, [KEY.public_hex])) == ["checkpoint.lines"]


# anchors


def anchor(lines: list[bytes], run_id: str = SESSION.run_id) -> bytes:
    state = Checkpoint(render_origin(run_id), len(lines), find_root(lines))
    return render_anchor(Anchor(state, "", 0))


def check_anchored(directory: Path, lines: list[bytes], kept: bytes, name: str = "anchors") -> Report:
    """The bare evidence, against what was kept outside."""
    evidence, outside = directory / "evidence.jsonl", directory / name
    evidence.write_bytes(b"".join(lines))
    outside.write_bytes(kept)
    return verify(evidence, [KEY.public_hex], anchors=[outside])


def test_a_log_that_agrees_with_what_was_kept_outside_is_sound(tmp_path: Path) -> None:
    kept = anchor(LINES[:1]) + anchor(LINES[:2], "run-2") + b"torn\n" + anchor(LINES[:6]) + anchor(LINES)
    report = check_anchored(tmp_path, LINES, kept)
    assert codes(report) == []
    assert "the log agrees with what was kept outside: states of it in 3 places" in report.notes
    assert codes(check_anchored(tmp_path, LINES, anchor(LINES[:6]))) == []
    older = sign_checkpoint(SESSION.run_id, 6, find_root(LINES[:6]), KEY)
    assert codes(check_anchored(tmp_path, LINES, older, CHECKPOINT_NAME)) == []


def test_a_log_that_was_written_anew_or_cut_contradicts_it(tmp_path: Path) -> None:
    kept = anchor(LINES[:1]) + anchor(LINES[:6])
    other = Scribe().open().block().close().lines
    assert codes(check_anchored(tmp_path, other, kept)) == ["checkpoint.lines"]
    report = check_anchored(tmp_path, LINES[:5], kept)
    assert codes(report) == ["checkpoint.lines"]
    assert report.findings[0].line == 2
    older = sign_checkpoint(SESSION.run_id, 6, find_root(LINES[:6]), KEY)
    assert codes(check_anchored(tmp_path, LINES[:5], older)) == ["checkpoint.lines"]


def test_what_says_nothing_of_the_log_is_told(tmp_path: Path) -> None:
    assert codes(check_anchored(tmp_path, LINES, anchor(LINES, "run-2"))) == ["anchor.none"]
    assert codes(check_anchored(tmp_path, LINES, b"{}\n")) == ["anchor.none"]
    assert codes(check_anchored(tmp_path, LINES, b"")) == ["checkpoint.form"]
    stranger = sign_checkpoint(SESSION.run_id, 6, find_root(LINES[:6]), STRANGER)
    assert codes(check_anchored(tmp_path, LINES, stranger)) == ["checkpoint.key"]


def test_a_file_of_anchors_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    report = check(tmp_path, LINES, WHOLE)
    assert report.exit_code == 3
    report = verify(tmp_path, [KEY.public_hex], anchors=[tmp_path / "nowhere"])
    assert (report.verdict, report.exit_code) == (Verdict.UNREADABLE, 2)
