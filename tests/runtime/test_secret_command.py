"""Commands that tell a secret: what they say, and every way in which they don't."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.load import load_policy
from trio_egress.runtime import secret_command
from trio_egress.runtime.secret_command import run_command
from trio_egress.runtime.secrets import MOST_BYTES, open_redactor

ENVIRON = {"PATH": os.defpath}


def sh(script: str, directory: Path, most_bytes: int = 100, **environ: str) -> bytes:
    return run_command(["sh", "-c", script], {**ENVIRON, **environ}, directory, most_bytes)


def test_what_it_writes_is_the_value_without_its_last_line_end(tmp_path: Path) -> None:
    assert sh("printf 'a b\\n'", tmp_path) == b"a b"
    assert sh("printf 'a b\\r\\n'; exec >&-; exit 0", tmp_path) == b"a b"
    assert sh("printf '%s\\n\\n' \"$GIVEN\"", tmp_path, GIVEN="x") == b"x\n"


def test_no_shell_reads_it_and_it_runs_where_the_run_does(tmp_path: Path) -> None:
    assert run_command(["echo", "$(true)", "a;b"], ENVIRON, tmp_path, 100) == b"$(true) a;b"
    assert run_command(["pwd", "-P"], ENVIRON, tmp_path, 1000) == os.fsencode(tmp_path.resolve())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo hunter2-hunter2; exit 3", "ended with exit code 3; try it by itself"),
        ("echo hunter2-hunter2; kill -9 $$", "ended by signal 9"),
    ],
)
def test_one_that_fails_is_an_error_that_tells_nothing_of_what_it_said(
    tmp_path: Path, script: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        sh(script, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the command no-such-program can't be run: No such file"):
        run_command(["no-such-program"], ENVIRON, tmp_path, 100)


def test_one_that_writes_without_end_is_ended(tmp_path: Path) -> None:
    assert len(sh("while :; do echo yyyyyyyy; done", tmp_path)) >= 100


@pytest.mark.parametrize("script", ["exec sleep 1000", "exec >&-; exec sleep 1000", "sleep 5 & wait"])
def test_one_that_takes_too_long_is_ended(
    tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_command, "COMMAND_SECONDS", 0.2)
    with pytest.raises(ValueError, match=r"the command sh was not done after 0\.2 s"):
        sh(script, tmp_path)


def test_what_goes_wrong_is_told_at_the_line_of_the_policy(tmp_path: Path) -> None:
    head = 'version = "1.0"\ndefault_deny = true\n[[secret]]\nname = "token"\n'
    for command, said in (
        ("'false'", "ended with exit code 1"),
        ("'true'", "fewer than 8 bytes"),
        ("'yes'", "more than"),
    ):
        policy = load_policy(f"{head}from = {{ command = [{command}] }}\n", "f.toml")
        with pytest.raises(PolicyError, match=said) as caught:
            open_redactor(policy, ENVIRON, tmp_path, b"k" * 32)
        assert caught.value.problems[0].line == 5
    assert MOST_BYTES == 65_536


def test_a_signal_that_ends_the_run_ends_it_too(tmp_path: Path) -> None:
    """As `trio-egress run` takes one while it gets ready: by an exception."""
    started = tmp_path / "pid"

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    # It writes more than a pipe holds: once that is written, somebody reads.
    script = f"echo $$ >{started}; head -c 100000 /dev/zero; kill -USR1 {os.getpid()}; exec sleep 1000"
    try:
        with pytest.raises(KeyboardInterrupt):
            sh(script, tmp_path, 1 << 20)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
