"""`trio-egress packet reveal`: value and key show what a commitment stands for, and nothing else does."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.found import COMMITMENT_KEY, TOKEN, write_found
from tests.evidence.specimens import KEY, SESSION, Scribe

from trio_egress.content.fingerprint import fingerprint
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.redact import Redactor, Withheld, commit
from trio_egress.policy.load import load_policy

RUN_KEY = b"\x07" * 32
VALUE = b"sk-live-9f3a7c51"


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    """Receipts 1 and 3 have the secret, 2 has a query value, 4 has none."""
    scribe = Scribe()
    scribe.chain = Chain(KEY, SESSION, Redactor(RUN_KEY, {"token": VALUE}))
    scribe.open().block(target=f"http://a.example/{VALUE.decode()}")
    scribe.block(facts={"query_values": Withheld("query", (VALUE, b"other"))})
    scribe.block(facts={"reason": VALUE.hex()}).block().close()
    (tmp_path / "evidence.jsonl").write_bytes(scribe.raw)
    write_key(tmp_path, RUN_KEY)
    return tmp_path


def write_key(directory: Path, key: bytes, mode: int = 0o600) -> None:
    (directory / "key").write_text(f"{key.hex()}\n")
    (directory / "key").chmod(mode)


def render_command(packet: Path, given: Path) -> list[str]:
    command = [sys.executable, "-m", "trio_egress", "packet", "reveal", str(given)]
    return [*command, "--commitment-key", str(packet / "key")]


def reveal(packet: Path, value: bytes, *more: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [*render_command(packet, packet), *more],
        input=value,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return subprocess.CompletedProcess(ran.args, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_value_is_shown_to_be_behind_its_commitments(packet: Path, end: bytes) -> None:
    token, query = (commit(RUN_KEY, kind, VALUE) for kind in ("token", "query"))
    ran = reveal(packet, VALUE + end)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        f"{token} is this value, in receipts 1, 3",
        f"{query} is this value, in receipts 2",
    ]
    assert VALUE.decode() not in ran.stdout


def test_the_same_as_json(packet: Path) -> None:
    ran = reveal(packet, b"other", "--json")
    assert json.loads(ran.stdout) == {
        "found": [{"commitment": commit(RUN_KEY, "query", b"other"), "receipts": [2]}]
    }


def test_a_value_that_a_scan_found_comes_with_what_would_suppress_it(tmp_path: Path) -> None:
    (tmp_path / "evidence.jsonl").write_bytes(b"".join(write_found()))
    write_key(tmp_path, COMMITMENT_KEY)
    ran = reveal(tmp_path, TOKEN)
    assert ran.returncode == 0
    stands, mark = commit(COMMITMENT_KEY, "acme-token", TOKEN), fingerprint("acme-token", TOKEN)
    first, _, said, *table = ran.stdout.splitlines()
    assert first.startswith(f"{stands} is this value, in receipts 1, ")
    assert said.startswith("acme-token found it. If it is nothing secret")
    assert table[2:4] == [f'finding = "{mark}"', 'detector = "acme-token"']
    suppress = [{"finding": mark, "detector": "acme-token"}]
    assert json.loads(reveal(tmp_path, TOKEN, "--json").stdout)["suppress"] == suppress
    head = 'version = "1.0"\ndefault_deny = true\n'
    filled = "\n".join(table[1:]).replace('"..."', '"a value of a test"').replace("...", "2099-12-31")
    policy = load_policy(head + filled, "policy.toml")
    assert [one.suppression.finding for one in policy.suppressions] == [mark]


def test_an_evidence_file_alone_is_enough(packet: Path) -> None:
    ran = subprocess.run(
        render_command(packet, packet / "evidence.jsonl"),
        input=VALUE,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0


def test_another_value_is_behind_none(packet: Path) -> None:
    ran = reveal(packet, VALUE[:-1])
    assert (ran.returncode, ran.stdout) == (1, "this value is behind no commitment in this packet\n")


def test_the_key_of_another_run_shows_nothing(packet: Path) -> None:
    write_key(packet, b"\x08" * 32)
    ran = reveal(packet, VALUE)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "not the commitment key of this run" in ran.stderr


@pytest.mark.parametrize(
    ("text", "mode"), [("", 0o600), ("zz", 0o600), ("07" * 33, 0o600), ("07" * 32, 0o640)]
)
def test_a_key_that_is_none_or_that_others_may_read_is_refused(packet: Path, text: str, mode: int) -> None:
    (packet / "key").write_text(text)
    (packet / "key").chmod(mode)
    ran = reveal(packet, VALUE)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("trio-egress packet reveal: ")
    assert "Traceback" not in ran.stderr


def test_no_value_is_a_usage_error(packet: Path) -> None:
    assert reveal(packet, b"").returncode == reveal(packet, b"\n").returncode == 64


def test_what_is_no_packet_is_told(packet: Path) -> None:
    (packet / "evidence.jsonl").unlink()
    ran = reveal(packet, VALUE)
    assert ran.returncode == 2
    assert "is no packet: there is no evidence.jsonl in it" in ran.stderr


def test_at_a_terminal_the_value_is_asked_for_and_not_shown(packet: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        render_command(packet, packet),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        while b"The value" not in shown:
            shown += terminal.read(1024)
        terminal.write(VALUE + b"\n")
        with contextlib.suppress(OSError):  # EIO: the other end is closed, and all has been read
            while read := terminal.read(1024):
                shown += read
    assert process.wait(60) == 0
    assert b"in receipts 2" in shown
    assert VALUE not in shown
