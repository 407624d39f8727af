"""Hashes and links alone: every change of any byte is found, and no verdict says that signatures were checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evidence.specimens import (
    KEY,
    OTHER_HASH,
    STRANGER,
    Scribe,
    rewrite,
    setting,
    setting_control,
    sign,
    write_chain,
    write_evidence,
)
from tests.evidence.test_packet import make_packet

from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.report import NOT_CHECKED, Report, Verdict, render_text
from trio_egress.evidence.sign import generate
from trio_egress.evidence.verify import verify

THIRD = generate(b"\x03" * 32)
PINNED = [KEY.public_hex]
CLOSE = 7


def _look(directory: Path, lines: list[bytes]) -> Report:
    return verify(write_evidence(directory, lines), PINNED, quick=True)


def _find(report: Report) -> list[tuple[str, int]]:
    return [(finding.code, finding.line) for finding in report.findings]


def test_an_honest_log_is_linked_and_never_valid(tmp_path: Path) -> None:
    full = verify(write_evidence(tmp_path, write_chain()), PINNED)
    report = _look(tmp_path, write_chain())
    assert (full.verdict, report.verdict, report.exit_code) == (Verdict.VALID, Verdict.LINKED, 3)
    assert not report.trusted
    assert report.not_proven[0] == NOT_CHECKED
    assert "signatures were NOT checked" in render_text(report).splitlines()[0]
    for name in ("receipt_count", "head", "final_seq", "run_id", "signer_key", "close_reason", "ended_at"):
        assert getattr(report, name) == getattr(full, name)


@pytest.mark.parametrize(
    "lines",
    [
        Scribe().open().block(target="é<&>\u2028\x7f").allow(target="é").close().lines,
        Scribe().open().allow().change_policy().allow().close().lines,
        Scribe().open().heartbeat().allow().heartbeat().heartbeat().lines,
        Scribe().open().allow().rotate(STRANGER).allow().heartbeat().rotate(THIRD).block().close().lines,
        Scribe().open().allow().rotate(STRANGER).lines,
        Scribe().open().lines,
        Scribe().open().close().lines,
    ],
)
def test_what_the_full_way_finds_sound_is_linked(lines: list[bytes], tmp_path: Path) -> None:
    assert verify(write_evidence(tmp_path, lines), PINNED).findings == ()
    assert _look(tmp_path, lines).verdict is Verdict.LINKED


@pytest.mark.parametrize("at", range(8))
def test_a_changed_byte_of_any_line_is_found(at: int, tmp_path: Path) -> None:
    for place in (30, 60, 200, 500, 700, -200, -30):
        lines = write_chain()
        raw = bytearray(lines[at])
        raw[place] ^= 1
        lines[at] = bytes(raw)
        report = _look(tmp_path, lines)
        assert report.exit_code == 1, (at, place)
        assert {finding.line for finding in report.findings} <= {at + 1, at + 2, len(lines)}


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda lines: [*lines[:3], *lines[4:]], [("chain.link", 4)]),
        (
            lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
            [("chain.link", line) for line in (4, 5, 6)],
        ),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], [("chain.link", line) for line in (5, 6, 7, 8)]),
        (lambda lines: [*lines[:3], b"{}\n", *lines[3:]], [("chain.link", line) for line in (4, 5, 6, 7, 8)]),
        (lambda lines: [*lines[:3], b"\n", b"\xff\n", *lines[4:]], None),
        (lambda lines: [line.replace(b'","', b'", "', 1) for line in lines], None),
        (lambda lines: [*lines[:3], b"x" * LINE_BYTES + b"\n", *lines[3:]], [("line.length", 4)]),
        (lambda lines: lines[1:], None),
        (lambda lines: [*lines, lines[-1]], None),
        (lambda lines: [*lines[:-1], sign(json.loads(lines[-1]), STRANGER)[0]], [("signature.key", 8)]),
    ],
)
def test_broken_links_are_found_where_they_are(
    tamper: Callable[[list[bytes]], list[bytes]], found: list[tuple[str, int]] | None, tmp_path: Path
) -> None:
    report = _look(tmp_path, tamper(write_chain()))
    assert report.verdict is Verdict.INVALID
    if found is not None:
        assert [item for item in _find(report) if item[1] <= found[-1][1] and item[0] in dict(found)] == found


ESCAPED = Scribe().open().block(target="\u00e9").allow(target="\u00e9").block(target="\u00e9").close().lines
"""Lines whose hash is not that of their bytes."""


def _cut(line: bytes) -> bytes:
    """No receipt at all, with the link and the number of one."""
    link = line[line.index(b',"chain_prev_hash"') :]
    return b"\\u" + link[: link.index(b",", link.index(b'"chain_seq"')) + 1] + b"\n"


@pytest.mark.parametrize(
    "tamper",
    [
        _cut,
        lambda line: line.replace(b'"verdict":', b'"verdict":"allow","verdict":', 1),
        lambda line: line.replace(b'","', b'", "', 1),
        lambda line: line.replace(b"\\u00e9", b"\\u00E9", 1),
        lambda line: line.replace(b'"transport":"t', b'"transport":"\\u0074', 1),
    ],
)
@pytest.mark.parametrize("at", range(1, len(ESCAPED) - 1))
def test_a_line_with_escapes_in_another_spelling_breaks_the_next_link(
    at: int, tamper: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    assert _look(tmp_path, ESCAPED).findings == ()
    tampered = [*ESCAPED[:at], tamper(ESCAPED[at]), *ESCAPED[at + 1 :]]
    assert tampered != ESCAPED
    assert _find(_look(tmp_path, tampered)) == [("chain.link", at + 2)]


@pytest.mark.parametrize(
    ("member", "value"),
    [("final_seq", 6), ("receipt_count", 7), ("root_hash", "0" * 64), ("open_nonce", "x")],
)
def test_a_close_that_says_otherwise_is_found(member: str, value: object, tmp_path: Path) -> None:
    lines = rewrite(write_chain(), {CLOSE: setting_control("close", member, value)})
    assert _find(_look(tmp_path, lines)) == [("session.member", 8)]


def test_a_rotation_that_was_not_endorsed_here_is_found(tmp_path: Path) -> None:
    lines = Scribe().open().allow().block().rotate(STRANGER).allow().close().lines
    report = _look(tmp_path, [*lines[:3], *lines[4:]])
    assert ("chain.rotation", 4) in _find(report)


def test_a_chain_of_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    assert _find(_look(tmp_path, write_chain(key=STRANGER))) == [("key.not_trusted", 1)]


def test_what_stands_between_is_not_read_and_it_says_so(tmp_path: Path) -> None:
    lines = rewrite(write_chain(), {3: setting("verdict", "banana")})
    assert verify(write_evidence(tmp_path, lines), PINNED).exit_code == 1
    assert _look(tmp_path, lines).verdict is Verdict.LINKED


@pytest.mark.parametrize("raw", [b"", b"\n", b"x", b"{}\n", b'{"version":1', write_chain()[0][:-1]])
def test_what_is_no_log_is_not_linked(raw: bytes, tmp_path: Path) -> None:
    report = _look(tmp_path, [raw])
    assert report.exit_code == (3 if raw in (b"", b'{"version":1', write_chain()[0][:-1]) else 1)
    assert report.verdict in (Verdict.LINKED, Verdict.INVALID)


def test_a_torn_end_is_a_note(tmp_path: Path) -> None:
    report = _look(tmp_path, [*write_chain()[:4], write_chain()[4][:200]])
    assert report.verdict is Verdict.LINKED
    assert any("torn" in note for note in report.notes)


def test_the_manifest_of_a_packet_is_checked(tmp_path: Path) -> None:
    make_packet(tmp_path)
    report = verify(tmp_path, PINNED, quick=True)
    assert (report.verdict, report.findings) == (Verdict.LINKED, ())
    (tmp_path / "policy.toml").write_text("# other\n")
    assert [finding.code for finding in verify(tmp_path, PINNED, quick=True).findings] == ["manifest.changed"]
    (tmp_path / "manifest.json.sig").unlink()
    assert "manifest.missing" in {finding.code for finding in verify(tmp_path, PINNED, quick=True).findings}


def test_the_expected_run_and_policy_are_checked(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, write_chain())
    report = verify(
        path, PINNED, quick=True, expect_run="run-2", policy_hash=OTHER_HASH, expect_head="0" * 64
    )
    assert {finding.code for finding in report.findings} == {"expect.run", "expect.policy", "expect.head"}
