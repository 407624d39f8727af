"""A key outside the run: its receipts are as good, the agent can't reach it, and without it the run is over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.runs.launch import AS_ROOT, ENVIRONMENT, Place, find_processes, wait_until, write_policy
from tests.runs.test_evidence_incomplete import AGENT, Canary, assert_incomplete, canary, mark

from trio_egress.signer.serve import serve_run

__all__ = ["canary", "mark"]

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    place.keyed = False
    yield place
    place.close()


def command(place: Place) -> str:
    return f"trio-egress signer --key {place.key_file}"


def test_a_run_that_a_command_signs_for_is_as_valid_as_any(place: Place) -> None:
    ended = place.run(NOTHING, "sh", "-c", "getent ahosts evil.example", options=["--signer", command(place)])
    assert ended.code == 2
    assert "signed by another process" in ended.err
    assert "made for this run only" not in ended.err
    assert f"of run {ended.status['run_id']}, closed, head {ended.status['head']}" in ended.err
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    assert find_processes(str(place.key_file)) == []


@contextmanager
def waiting(place: Place, path: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """`trio-egress signer` at a socket."""
    arguments = ["signer", "--key", str(place.key_file), "--socket", str(path), *more]
    signer = subprocess.Popen(
        [sys.executable, "-m", "trio_egress", *arguments], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        wait_until(lambda: path.exists() or signer.poll() is not None, "the signer's socket")
        yield signer
    finally:
        signer.kill()
        signer.communicate()


def test_a_signer_at_a_socket_serves_one_run_and_is_gone(place: Place) -> None:
    path = place.path / "signer.sock"
    with waiting(place, path) as signer:
        assert path.stat().st_mode & 0o777 == 0o600
        ended = place.run(NOTHING, "true", options=["--signer", str(path)])
        assert ended.code == 0
        assert ended.verify() == 0
        _, said = signer.communicate(timeout=120)
        assert signer.returncode == 0
        assert f"of run {ended.status['run_id']}, closed" in said
        assert not path.exists()
    again = place.run(NOTHING, "true", options=["--signer", str(path)])
    assert again.code == 125


@pytest.mark.root
def test_a_connection_of_another_user_is_hung_up_on(place: Place) -> None:
    path = place.path / "signer.sock"
    program = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); print(s.recv(1))"
    with waiting(place, path, "--peer", "daemon"):
        assert path.stat().st_mode & 0o777 == 0o666
        asked = subprocess.run(["python3", "-c", program], user="nobody", capture_output=True, check=False)
        assert asked.stdout == b"b''\n"  # connected, and hung up on by its id alone
        asked = subprocess.run(
            ["python3", "-c", program.replace("s.recv(1)", "s.send(b'H\\0\\0\\0\\1x'), s.recv(1)")],
            user="daemon",
            capture_output=True,
            check=False,
        )
        assert asked.stdout == b"6 b'X'\n"  # the control: listened to, and refused for what it says


def test_nothing_leaves_once_the_signer_is_gone(place: Place, canary: Canary, mark: str) -> None:
    options = ["--json", "--signer", command(place)]
    started = place.start(canary.policy, "bash", "-c", AGENT, mark, options=options)
    wait_until((place.work / "first-done").exists, "the first request")
    (signer,) = find_processes(str(place.key_file))
    os.kill(signer, signal.SIGKILL)
    (place.work / "go").touch()
    ended = started.wait()
    assert_incomplete(ended, mark)
    assert "the signer is gone" in ended.err
    assert canary.seen == ["/first"]
    assert ended.verify() == 3


WRONG = """
import socket, struct
from trio_egress.evidence.packet import read_private_key
from trio_egress.signer import serve
key, asked = read_private_key({key!r}), []
class Wrong:
    public_hex = key.public_hex
    def sign(self, message):
        return key.sign(message)
    def sign_receipt(self, record, ext):
        asked.append(1)
        signature = key.sign_receipt(record, ext)
        return signature if len(asked) < {after} else bytes(64)
serve.serve_run(socket.socket(fileno=0), Wrong(), [])
"""


def test_a_wrong_signature_ends_the_run(place: Place, canary: Canary, mark: str) -> None:
    program = place.write("wrong.py", WRONG.format(key=str(place.key_file), after=6))
    options = ["--json", "--signer", f"{sys.executable} {program}"]
    (place.work / "go").touch()
    ended = place.run(canary.policy, "bash", "-c", AGENT, mark, options=options)
    assert_incomplete(ended, mark)
    assert ended.verify() == 3
    assert bytes(64).hex() not in (ended.evidence / "evidence.jsonl").read_text()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--signer", "/nowhere/signer.sock"], "neither a socket nor a program"),
        (["--signer", "true"], "the signer is gone"),
        (["--signer", "trio-egress signer --key /nowhere"], "cannot open /nowhere"),
        (["--signer", "x", "--key", "y"], "give one of them"),
        (["--signer", ""], "is empty"),
    ],
)
def test_without_its_signer_no_run_begins(place: Place, options: list[str], reason: str) -> None:
    ended = place.run(NOTHING, "touch", "ran", options=options)
    assert ended.code == 125
    assert reason in ended.err
    assert not (place.work / "ran").exists()
    assert not ended.evidence.exists()


TRY = """
import socket, sys
for path in sys.argv[1:]:
    try:
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        print(path, "connected")
    except OSError as error:
        print(path, error.strerror)
    try:
        print(path, len(open(path, "rb").read()), "bytes")
    except OSError as error:
        print(path, error.strerror)
"""


@contextmanager
def listening(place: Place, path: Path) -> Iterator[list[str]]:
    """A signer that goes on to listen; who connects is noted."""
    came: list[str] = []

    def serve(sock: socket.socket) -> None:
        with sock:
            serve_run(sock, place.key, [str(place.key_file)])

    def listen() -> None:
        threads = []
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            came.append(str(path))
            threads.append(threading.Thread(target=serve, args=[connection]))
            threads[-1].start()
        for thread in threads:
            thread.join()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield came
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("folder", ["", "work"], ids=["beside the working directory", "in it"])
def test_the_agent_reaches_neither_the_signer_nor_its_key(place: Place, folder: str) -> None:
    """The control is the same program outside."""
    path, key = place.path / folder / "signer.sock", place.key_file
    read = f"{key} {key.stat().st_size} bytes"
    key.chmod(0o644)  # what hides it is not its mode
    with listening(place, path) as came:
        attack = [sys.executable, "-c", TRY, str(path), str(key)]
        ended = place.run(NOTHING, *attack, options=["--signer", str(path)])
        assert len(came) == 1  # the run's own
        outside = subprocess.run(attack, capture_output=True, text=True, check=True).stdout
        wait_until(lambda: len(came) == 2, "the connection from outside")
    print(ended.text, outside)
    assert ended.code == 0
    assert ended.verify() == 0
    assert "connected" not in ended.text
    assert read not in ended.text
    assert "connected" in outside
    assert read in outside


@pytest.mark.root
def test_a_signer_of_root_becomes_a_user_that_nobody_is(place: Place) -> None:
    """And so the proxy, which is nobody else, can neither read the key's file nor its memory."""
    agent = 'until [ -e go ]; do sleep 0.01; done; kill -0 "$PPID" 2>/dev/null'
    started = place.start(NOTHING, "sh", "-c", agent, options=["--signer", command(place)])
    wait_until(lambda: (started.evidence / "supervisor.pid").exists(), "the run")
    (signer,) = find_processes(str(place.key_file))
    ids = [
        Path(f"/proc/{pid}/status").read_text().split("Uid:\t")[1].split()[0] for pid in (signer, started.pid)
    ]
    owner = Path(f"/proc/{signer}/mem").stat().st_uid
    (place.work / "go").touch()
    started.wait()
    assert "0" not in ids
    assert len(set(ids)) == 2
    assert owner == 0  # not dumpable: not even its own user may look into it


@pytest.mark.skipif(not AS_ROOT, reason="as root the agent is somebody else")
@pytest.mark.root
def test_a_key_of_the_agents_user_is_refused_with_a_signer_too(place: Place) -> None:
    os.chown(place.key_file, place.work.stat().st_uid, -1)
    ended = place.run(NOTHING, "true", options=["--signer", command(place)])
    assert ended.code == 125
    assert "give it to root" in ended.err
