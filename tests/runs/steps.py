"""The steps of a run at which it can be struck for certain (`strike.py`), in their order, and a place to do it in."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.runs.launch import Place, Started, write_policy

NOTHING = write_policy()
STRIKE = str(Path(__file__).with_name("strike.py"))

BEFORE_RECORD = {
    "evidence directory": "runtime.seal:open_evidence:call:1",
    "journal made": "runtime.seal:_open_journal:return:1",
    "before the launcher": "kernel.apply:start_launcher:call:1",
    "launcher started": "kernel.apply:start_launcher:return:1",
    "unshared": "kernel.apply:_map_ids:call:1",
    "mapped": "kernel.apply:_map_ids:return:1",
    "sockets": "kernel.apply:_receive_sockets:return:1",
    "configured": "kernel.apply:_configure_network:return:1",
    "ready": "kernel.apply:build_sandbox:return:1",
    "probing": "runtime.agent:_hear:call:1",
    "measured": "runtime.measure:_forget:return:1",
}
BEFORE_AGENT = {
    **BEFORE_RECORD,
    "opening the record": "writer.process:_frame:call:1",
    "record open": "evidence.journal:Journal.learn:return:1",
    "doors open": "runtime.agent:run_agent:call:1",
}
WITH_AGENT = {
    "agent starting": "runtime.agent:_live:call:1,runtime.agent:_say:call:1",
    "agent running": "runtime.agent:_wait_end:call:1",
}
_AGAIN = "runtime.measure:measure_again:call:1"
AFTER_AGENT = {
    "agent ended": "runtime.agent:_ended:call:1",
    "ending what is left inside": "runtime.agent:end_inside:call:1",
    "probing again": f"{_AGAIN},runtime.agent:_hear:call:1",
    "measured again": f"{_AGAIN},kernel.netlink:read_counters:return:2",
    "books read": "kernel.counters:read_books:return:1",
    "sandbox ended": "runtime.protected:read_report:call:1",
    "closing the record": "recorder:Recorder.conclude:call:1",
}
_SEALING = "runtime.seal:seal:call:1"
SEALING = {
    "record closed": _SEALING,
    "manifest": f"{_SEALING},evidence.packet:_sign_all:call:1",
    "first file": f"{_SEALING},evidence.journal:_write_aside:call:1",
    "third file": f"{_SEALING},evidence.journal:_write_aside:return:3",
    "packet file": f"{_SEALING},evidence.journal:_put_group:return:1",
}
SEALED = {
    "sealed": "runtime.seal:seal:return:1",
    "telling": "cli.status:write_status:call:1",
    "told": "cli.status:write_status:return:1",
}
STEPS = {**BEFORE_AGENT, **WITH_AGENT, **AFTER_AGENT, **SEALING, **SEALED}
EARLY = {**BEFORE_AGENT, **WITH_AGENT}
"""While these go on the agent has not ended; so it never ends by itself."""


class StruckPlace(Place):
    """A place whose next run has its `strike`, if that is set."""

    strike: Sequence[str] = ()

    def program(self, command: str, number: int) -> list[str]:
        given = super().program(command, number)
        return (
            [sys.executable, STRIKE, *self.strike, *given[given.index(command) :]] if self.strike else given
        )

    def start_struck(self, step: str, number: signal.Signals, whom: str = "supervisor") -> Started:
        """A run in which `whom` gets a signal at that step; its agent ends with 7 where the step comes after it.

        `step` has a name, or is one as in `strike.py`.
        """
        self.strike = (STEPS.get(step, step), whom, number.name)
        return self.start_clean("exec sleep 600" if step in EARLY else "exit 7")

    def start_clean(self, script: str) -> Started:
        """A run whose temporary files go where they are looked at."""
        temporary = self.path / "temporary"
        temporary.mkdir(mode=0o777, exist_ok=True)
        return self.start(
            NOTHING, "sh", "-c", script, environment={"TMPDIR": str(temporary)}, start_new_session=True
        )
