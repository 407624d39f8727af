"""`trio-egress packet prove`, as a person meets it; its proofs are also put to Go's own code."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.evidence.golang import REFUSED, ask, build
from tests.evidence.specimens import KEY, STRANGER, Scribe

from trio_egress.cli.main import main


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A run's directory, and beside it the checkpoint of when it had three lines."""
    directory = tmp_path / "packet"
    directory.mkdir()
    scribe = Scribe().open().allow()
    (tmp_path / "older.txt").write_bytes(scribe.chain.sign_checkpoint())
    scribe.block().heartbeat().allow("b.example.com").close()
    (directory / "evidence.jsonl").write_bytes(scribe.raw)
    (directory / "checkpoint.txt").write_bytes(scribe.chain.sign_checkpoint())
    return directory


@contextlib.contextmanager
def inside(directory: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_packet("prove", *arguments, cwd=cwd)


def run_packet(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command within this process: its exit code, and what it prints."""
    raw_out, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(raw_out, "ascii", write_through=True)
    with inside(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["packet", *map(str, arguments)])
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess([], code, raw_out.getvalue().decode(), err.getvalue())


def test_a_receipt_is_proven_without_the_log(log: Path, tmp_path: Path) -> None:
    made = run("packet", 3, "-o", "proof.tlog-proof", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    (tmp_path / "line").write_bytes((log / "evidence.jsonl").read_bytes().splitlines(keepends=True)[3])
    for path in log.iterdir():
        path.unlink()
    checked = run("--check", "proof.tlog-proof", "--public-key", KEY.public_hex, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("PROVEN: line 3 (from 0) of the log: block tls://evil.example:443\n")
    again = run(
        "--check",
        "proof.tlog-proof",
        "--line",
        "line",
        "--public-key",
        KEY.public_hex,
        "--json",
        cwd=tmp_path,
    )
    facts = json.loads(again.stdout)
    assert (facts["index"], facts["size"], facts["verdict"]) == (3, 8, "block")


@pytest.mark.parametrize("index", range(8))
def test_every_line_can_be_proven_and_its_neighbour_is_another(index: int, log: Path, tmp_path: Path) -> None:
    run("packet", index, "-o", "proof", cwd=tmp_path)
    lines = (log / "evidence.jsonl").read_bytes().splitlines()
    (tmp_path / "own").write_bytes(lines[index])
    (tmp_path / "other").write_bytes(lines[index - 1])
    given = ["--check", "proof", "--public-key", KEY.public_hex]
    assert run(*given, "--line", "own", cwd=tmp_path).returncode == 0
    refused = run(*given, "--line", "other", cwd=tmp_path)
    assert refused.returncode == 1
    assert "NOT PROVEN: the hashes do not lead from the line" in refused.stderr


def test_what_the_agent_chose_cannot_steer_a_terminal(tmp_path: Path) -> None:
    scribe = Scribe().open().block(target="\x1b[2J\u202e evil")
    (tmp_path / "evidence.jsonl").write_bytes(scribe.raw)
    (tmp_path / "checkpoint.txt").write_bytes(scribe.chain.sign_checkpoint())
    run(".", 1, "-o", "proof", cwd=tmp_path)
    checked = run("--check", "proof", "--public-key", KEY.public_hex, cwd=tmp_path)
    assert "block \\x1b[2J\\u202e evil\n" in checked.stdout


def test_a_zip_of_a_packet_is_as_good(log: Path, tmp_path: Path) -> None:
    assert run_packet("pack", "packet", cwd=tmp_path).returncode == 0
    assert run("packet.zip", 3, cwd=tmp_path).stdout == run("packet", 3, cwd=tmp_path).stdout
    assert run("packet.zip", "--since", "older.txt", cwd=tmp_path).returncode == 0


def test_a_log_of_one_line_is_proven_too(tmp_path: Path) -> None:
    scribe = Scribe().open()
    (tmp_path / "evidence.jsonl").write_bytes(scribe.raw)
    (tmp_path / "checkpoint.txt").write_bytes(scribe.chain.sign_checkpoint())
    run(".", 0, "-o", "proof", cwd=tmp_path)
    assert run("--check", "proof", "--public-key", KEY.public_hex, cwd=tmp_path).returncode == 0


def test_a_log_is_proven_to_be_what_it_was_and_more(log: Path, tmp_path: Path) -> None:
    made = run("packet", "--since", "older.txt", "-o", "proof", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    given = ["--check", "proof", "--since", "older.txt", "--public-key"]
    checked = run(*given, KEY.public_hex, cwd=tmp_path)
    assert checked.stdout.startswith("PROVEN: the log of 8 lines begins with the 3 that it had before\n")
    assert run(*given, STRANGER.public_hex, cwd=tmp_path).returncode == 1


def test_a_log_with_another_past_is_not(log: Path, tmp_path: Path) -> None:
    other = Scribe().open().allow("elsewhere.example").close()
    (log / "evidence.jsonl").write_bytes(other.raw)
    (log / "checkpoint.txt").write_bytes(other.chain.sign_checkpoint())
    refused = run("packet", "--since", "older.txt", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "does not begin with the lines of the older checkpoint" in refused.stderr


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw.replace(b"evil.example", b"good.example"), "are not those of its checkpoint"),
        (lambda raw: b"".join(raw.splitlines(keepends=True)[:7]), "fewer lines than"),
    ],
    ids=["changed", "cut"],
)
def test_no_proof_is_made_of_lines_that_are_not_the_checkpoints(
    change: object, reason: str, log: Path, tmp_path: Path
) -> None:
    assert callable(change)
    evidence = log / "evidence.jsonl"
    assert run("packet", 3, cwd=tmp_path).returncode == 0
    evidence.write_bytes(change(evidence.read_bytes()))
    for index in (3, 6, 7):
        refused = run("packet", index, cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "NOT PROVEN" in refused.stderr
    assert reason in run("packet", 3, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["packet", 8], 1, "the checkpoint is of 8 lines"),
        (["packet", -1], 64, "PACKET"),
        (["packet", "x"], 64, "not a line's number"),
        (["packet"], 64, "either SEQ or --since"),
        (["packet", 1, "--since", "older.txt"], 64, "either SEQ or --since"),
        (["nowhere", 1], 2, "nowhere is no packet"),
        (["packet", "--since", "packet/evidence.jsonl"], 2, "is no checkpoint"),
        (["packet", 1, "-o", "older.txt"], 2, "nothing is written over"),
        (["--check", "older.txt"], 64, "needs --public-key"),
        (["--check", "older.txt", "--public-key", KEY.public_hex], 1, "begins neither with"),
        (
            ["packet", "--check", "older.txt", "--public-key", KEY.public_hex],
            64,
            "takes a proof and no PACKET",
        ),
        (["--check", "older.txt", "--public-key", "nonsense"], 2, "nonsense"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    arguments: list[object], code: int, reason: str, log: Path, tmp_path: Path
) -> None:
    ended = run(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_go_is_convinced_by_the_same_two_files(log: Path, tmp_path: Path) -> None:
    """The proof and the line, read by hand as C2SP says; the rest is Go's."""
    go = build(tmp_path)
    run("packet", 3, "-o", "proof", cwd=tmp_path)
    run("packet", "--since", "older.txt", "-o", "grown", cwd=tmp_path)
    facts = json.loads(run("--check", "proof", "--public-key", KEY.public_hex, "--json", cwd=tmp_path).stdout)
    head, checkpoint = (tmp_path / "proof").read_text("utf-8").split("\n\n", 1)
    header, extra, index, *path = head.split("\n")
    assert (header, index) == ("c2sp.org/tlog-proof@v1", "index 3")
    line = base64.b64decode(extra.removeprefix("extra "))
    note: dict[str, object] = {"Kind": "note", "Note": checkpoint.encode(), "Keys": [facts["verifier_key"]]}
    _, size, root = ask(go, note)[0].splitlines()
    record: dict[str, object] = {
        "Kind": "check record",
        "Line": line,
        "Number": 3,
        "Size": int(size),
        "Root": base64.b64decode(root),
        "Path": [base64.b64decode(text) for text in path],
    }
    old, *grown = (tmp_path / "grown").read_text("utf-8").split("\n\n", 1)[0].split("\n")
    older_root = (tmp_path / "older.txt").read_text("utf-8").splitlines()[2]
    tree: dict[str, object] = {
        "Kind": "check tree",
        "OldSize": int(old.removeprefix("old ")),
        "OldRoot": base64.b64decode(older_root),
        "Size": int(size),
        "Root": base64.b64decode(root),
        "Path": [base64.b64decode(text) for text in grown],
    }
    assert ask(go, record, tree) == ["", ""]
    bent = ask(go, {**record, "Line": line + b" "}, {**record, "Number": 2}, {**tree, "OldSize": 4})
    assert all(said.startswith(REFUSED) for said in bent)
