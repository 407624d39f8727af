"""A verifier that no one here wrote reads what we write: pipelock-verify, as a program, with the key pinned."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evidence.found import write_found
from tests.evidence.specimens import (
    KEY,
    START_NS,
    STRANGER,
    Scribe,
    codes,
    replay,
    rewrite,
    setting,
    setting_control,
    setting_fact,
    write_chain,
    write_evidence,
)

from trio_egress.evidence.chain import Chain
from trio_egress.evidence.recovery import Abandoned, write_recovery
from trio_egress.evidence.redact import Redactor

_BESIDE = os.path.join(os.path.dirname(sys.executable), "pipelock-verify")
PROGRAM = _BESIDE if os.path.exists(_BESIDE) else shutil.which("pipelock-verify")

Lines = list[bytes]


def _run(directory: Path, lines: Lines, key: str = KEY.public_hex) -> subprocess.CompletedProcess[str]:
    path = write_evidence(directory, lines)
    assert PROGRAM is not None, "pipelock-verify is not installed: it is in the dependency group `test`"
    return subprocess.run(
        [PROGRAM, "--mode", "chain", "--key", key, str(path)], capture_output=True, text=True, check=False
    )


def _write_long() -> Lines:
    scribe = Scribe().open()
    for number in range(1250):
        scribe.allow(f"host{number}.example", up=number).block()
        if number % 10 == 0:
            scribe.heartbeat()
    while len(scribe.lines) < 4999:
        scribe.block()
    return scribe.close().lines


def _write_strange() -> Lines:
    scribe = Scribe().open()
    for text in (
        "dns:münchen.example",
        "<script>&amp;",
        "\u2028\u2029\x85\x7f",
        "\U0001f600",
        '"\\\n\x00',
        "\udc80",
        "",
    ):
        scribe.block(
            target=text,
            pattern=text,
            facts={"host": text, "reason": text, "alpn": [text], "n": {"z": 1, "a": -5}},
        )
    return scribe.close("strange ü").lines


def _write_changed_policy() -> Lines:
    return Scribe().open().allow().change_policy().allow("b.example.com").close().lines


def _write_redacted() -> Lines:
    scribe = Scribe()
    scribe.chain = Chain(
        KEY, scribe.session, Redactor(b"k" * 32, {"b": b"secret <&> value", "a": b"12345678"})
    )
    scribe.open().allow(target="http://api.example.com/12345678?x=secret%20%3C&>+value")
    return scribe.block(method="12345678").close().lines


def _write_note() -> Lines:
    abandoned = Abandoned("run-1", "sha256:" + "0" * 64, 3, "ab" * 32, b"torn")
    return write_recovery(KEY, abandoned, "note-1", "cd" * 32, "someone", START_NS).splitlines(keepends=True)


def _write_deep() -> Lines:
    value: object = 1
    for _ in range(125):
        value = [value]
    return Scribe().open().block(facts={"deep": value}).close().lines


@pytest.mark.parametrize(
    "write",
    [
        write_chain,
        lambda: Scribe().open().close().lines,
        lambda: Scribe().open().lines,
        lambda: Scribe().open().heartbeat().heartbeat().close().lines,
        _write_changed_policy,
        _write_strange,
        _write_deep,
        _write_redacted,
        _write_note,
        write_found,
        _write_long,
    ],
    ids=[
        "all kinds",
        "empty session",
        "only open",
        "heartbeats",
        "another policy",
        "strange text",
        "deepest ext",
        "redacted",
        "note of recovery",
        "findings",
        "5000 receipts",
    ],
)
def test_it_accepts_what_we_write_and_names_the_same_head(write: Callable[[], Lines], tmp_path: Path) -> None:
    lines = write()
    played = replay(lines)
    assert played.findings.kept == []
    result = _run(tmp_path, lines)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Receipts:  {len(lines)}\n" in result.stdout
    assert f"Root hash: {played.head}\n" in result.stdout


def _flip(lines: Lines) -> Lines:
    return [line.replace(b"evil.example", b"good.example") for line in lines]


@pytest.mark.parametrize(
    "tamper",
    [
        _flip,
        lambda lines: lines[1:],
        lambda lines: lines[:3] + lines[4:],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [line.replace(b'"bytes_up":10', b'"bytes_up":99') for line in lines],
        lambda lines: rewrite(lines, {}, key=STRANGER),
        lambda lines: [*lines[:3], *rewrite(lines, {}, key=STRANGER)[3:]],
        lambda lines: rewrite(lines, {3: setting("chain_seq", 9)}),
        lambda lines: rewrite(lines, {3: setting("chain_prev_hash", "0" * 64)}),
        lambda lines: rewrite(lines, {0: setting_control("open", "genesis_hash", "g1:" + "0" * 64)}),
        lambda lines: rewrite(lines, {3: setting("run_nonce", "cc" * 16)}),
        lambda lines: rewrite(lines, {7: setting_control("close", "receipt_count", 3)}),
        lambda lines: rewrite(lines, {4: setting_control("heartbeat", "chain_head", "0" * 64)}),
        lambda lines: [
            *lines[:3],
            lines[3].replace(b'"verdict"', b'"verdict":"allow","verdict"'),
            *lines[4:],
        ],
        lambda lines: [
            *lines[:3],
            lines[3].replace(b'{"version":1,"action_id"', b'{"new":1,"version":1,"action_id"'),
            *lines[4:],
        ],
    ],
    ids=[
        *("target", "head cut", "middle cut", "swapped", "doubled", "second close", "ext", "stranger"),
        *(
            "stranger's tail",
            "gap",
            "link",
            "genesis",
            "nonce",
            "count",
            "heartbeat",
            "repeated",
            "unknown member",
        ),
    ],
)
def test_both_refuse_a_tampered_chain(tamper: Callable[[Lines], Lines], tmp_path: Path) -> None:
    lines = tamper(write_chain())
    assert replay(lines).findings.count > 0
    assert _run(tmp_path, lines).returncode == 1


def test_both_refuse_another_pinned_key(tmp_path: Path) -> None:
    assert _run(tmp_path, write_chain(), STRANGER.public_hex).returncode == 1
    assert codes(replay(write_chain(key=STRANGER))) == ["key.not_trusted"]


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda lines: rewrite(lines, {3: setting("verdict", "banana")}), "member.type"),
        (lambda lines: rewrite(lines, {3: setting("timestamp", "2020-01-01T00:00:00Z")}), "time.order"),
        (lambda lines: rewrite(lines, {3: setting_fact("port", "x")}), "ext.fact"),
        (lambda lines: [*lines[:7], lines[7].replace(b'"bytes_up":20', b'"bytes_up":99')], "ext.hash"),
        (lambda lines: [*lines[:7], lines[7].replace(b'"ed25519:', b'"ED25519:')], "member.type"),
    ],
    ids=["verdict", "time", "fact", "ext at the tail", "spelling"],
)
def test_ours_refuses_what_it_may_accept(
    tamper: Callable[[Lines], Lines], found: str, tmp_path: Path
) -> None:
    """The control is the other test above: the untampered chain is accepted by both."""
    assert found in codes(replay(tamper(write_chain())))
