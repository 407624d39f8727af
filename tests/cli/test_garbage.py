"""Collecting is held while modules are loaded, and goes on for whatever works then."""

from __future__ import annotations

import gc
import subprocess
import sys

from trio_egress.cli.main import main

TOLD = """
import gc, sys
from trio_egress.cli import main, {module}
{module}.main = lambda *_: print("enabled", gc.isenabled(), "kept", gc.get_freeze_count() > 1000) or 0
sys.argv = ["trio-egress", *{arguments}]
main.main()
print("enabled", gc.isenabled())
"""


def told(module: str, *arguments: str) -> list[str]:
    program = TOLD.format(module=module, arguments=arguments)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_a_command_collects_once_it_is_loaded_and_leaves_without() -> None:
    assert told("verify", "verify", "x") == ["enabled True kept True", "enabled False"]


def test_a_run_goes_on_loading() -> None:
    assert told("run", "run", "true") == ["enabled False kept False", "enabled False"]


def test_somebody_elses_process_is_left_as_it_is() -> None:
    frozen = gc.get_freeze_count()
    assert main(["policy", "check", "/nonexistent.toml"]) != 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
