"""A launcher that waits for its plan: it has nothing, and is never left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.runs.launch import wait_until

from trio_egress.kernel.waiting import start_waiting
from trio_egress.kernel.watch import read_memory_files

NOTHING = (subprocess.DEVNULL, subprocess.DEVNULL, subprocess.DEVNULL)


def test_it_is_told_nothing_but_where_libraries_are_and_holds_only_its_channel() -> None:
    os.environ["LAUNCHERS_SECRET"] = "a secret of the caller's"
    secret = os.memfd_create("secret", 0)
    os.set_inheritable(secret, True)
    waiting = start_waiting(NOTHING)
    try:
        folder = Path(f"/proc/{waiting.process.pid}")
        wait_until(lambda: b"launcher.py" in (folder / "cmdline").read_bytes(), "the launcher's own program")
        assert b"secret" not in (folder / "environ").read_bytes()
        held = [os.readlink(folder / "fd" / name) for name in ("0", "1", "2")]
        assert held == ["/dev/null"] * 3
        assert read_memory_files(waiting.process.pid)[1] == {}, "the secret is one"
    finally:
        del os.environ["LAUNCHERS_SECRET"]
        os.close(secret)
        waiting.dismiss()
    assert waiting.process.returncode is not None


def test_it_ends_when_nobody_is_there_to_give_it_a_plan() -> None:
    waiting = start_waiting(NOTHING)
    waiting.control.close()
    assert waiting.process.wait() == 1


def test_it_ends_with_the_process_that_started_it() -> None:
    program = (
        "import os; from trio_egress.kernel.waiting import start_waiting\n"
        "waiting = start_waiting((None, None, None)); print('started', flush=True); os.kill(os.getpid(), 9)"
    )
    # It has the same standard output: that this ends shows that it is gone.
    ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert (ran.returncode, ran.stdout) == (-9, b"started\n")


def test_one_that_was_taken_is_not_dismissed() -> None:
    waiting = start_waiting(NOTHING)
    socket.send_fds(waiting.control, [json.dumps({"step": "plan", "group": []}).encode()], [])
    said = json.loads(waiting.control.recv(65536))
    assert (said["step"], said["message"].partition(":")[0]) == ("failed", "reading the plan")
    waiting.control.close()
    assert waiting.process.wait() == 1
    waiting.dismiss()
    assert waiting.process.returncode == 1
