"""Collecting is held while modules are loaded, and goes on for whatever works then; leaving takes nothing apart."""

from __future__ import annotations

import gc
import subprocess
import sys

from trio_egress.cli.main import main

TOLD = """
import atexit, gc, sys
from trio_egress.cli import main, {module}
{module}.main = lambda *_: print("enabled", gc.isenabled(), "kept", gc.get_freeze_count() > 1000) or 0
sys.argv = ["trio-egress", *{arguments}]
atexit.register(lambda: print("leaving, enabled", gc.isenabled(), flush=True))
{before}
main.main()
print("still there")
"""


def told(module: str, *arguments: str, before: str = "") -> list[str]:
    program = TOLD.format(module=module, arguments=arguments, before=before)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_a_command_collects_once_it_is_loaded_and_leaves_without() -> None:
    assert told("verify", "verify", "x") == ["enabled True kept True", "leaving, enabled False"]


def test_a_run_goes_on_loading() -> None:
    assert told("run", "run", "true") == ["enabled False kept False", "leaving, enabled False"]


def test_it_leaves_at_once_with_its_status_and_nothing_is_taken_apart() -> None:
    program = "import sys; from trio_egress.cli.main import main; sys.argv = ['trio-egress', 'verify', '/none']; main()"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.returncode == 2


def test_a_thread_that_works_on_is_waited_for() -> None:
    thread = "import threading; threading.Thread(target=threading.main_thread().join).start()"
    assert told("verify", "verify", "x", before=thread)[1:] == ["still there", "leaving, enabled False"]


def test_somebody_elses_process_is_left_as_it_is() -> None:
    frozen = gc.get_freeze_count()
    assert main(["policy", "check", "/nonexistent.toml"]) != 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
