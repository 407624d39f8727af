"""A run struck at every step from start to end: SIGKILL leaves nothing, a signal to end is obeyed in good order.

Each step is hit for certain (`strike.py`), and then moments are that no step names.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.runs.launch import Place, Started, write_policy
from tests.runs.remains import Remains, watch_remains

pytestmark = pytest.mark.sandbox

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
    "opening the record": "evidence.journal:Journal.write:call:1",
    "record open": "evidence.journal:Journal.sync:return:1",
    "doors open": "runtime.agent:run_agent:call:1",
}
WITH_AGENT = {
    "agent starting": "runtime.agent:_live:call:1,runtime.agent:_hear:call:1",
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
SEALING = {
    "record closed": "runtime.seal:seal:call:1",
    "first file": "evidence.packet:_put:call:1",
    "third file": "evidence.packet:_put:return:3",
    "packet file": "evidence.packet:_put:call:7",
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
        """A run in which `whom` gets a signal at that step; its agent ends with 7 where the step comes after it."""
        self.strike = (STEPS[step], whom, number.name)
        return self.start_clean("exec sleep 600" if step in EARLY else "exit 7")

    def start_clean(self, script: str) -> Started:
        """A run whose temporary files are looked at."""
        return self.start(NOTHING, "sh", "-c", script, environment={"TMPDIR": str(self.path / "temporary")})


@pytest.fixture
def place() -> Iterator[StruckPlace]:
    place = StruckPlace()
    yield place
    place.close()


@pytest.fixture
def remains(place: StruckPlace) -> Iterator[Remains]:
    with watch_remains(place.path / "temporary") as found:
        yield found


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_supervisor_leaves_nothing_but_a_valid_prefix(
    place: StruckPlace, remains: Remains, step: str
) -> None:
    started = place.start_struck(step, signal.SIGKILL)
    ended = started.wait()
    assert ended.code == -signal.SIGKILL
    assert "Traceback" not in ended.err
    remains.assert_none()
    journal = started.evidence / "evidence.jsonl"
    assert journal.exists() == (step != "evidence directory")
    if journal.exists():
        assert ended.verify() == (0 if step in SEALED else 3)


@pytest.mark.parametrize("step", ["launcher started", "configured", "agent running", "packet file"])
def test_a_run_right_after_a_killed_one_works(place: StruckPlace, remains: Remains, step: str) -> None:
    struck = place.start_struck(step, signal.SIGKILL).wait()
    place.strike = ()
    ended = place.start_clean("exit 3").wait()
    assert (ended.code, ended.verify()) == (3, 0)
    assert struck.verify_by_command() == 3
    remains.assert_none()


@pytest.mark.parametrize(
    ("step", "number"),
    [(step, signal.SIGTERM) for step in STEPS] + [(step, signal.SIGINT) for step in tuple(STEPS)[::4]],
)
def test_a_signal_ends_the_run_in_good_order_whenever_it_comes(
    place: StruckPlace, remains: Remains, step: str, number: signal.Signals
) -> None:
    ended = place.start_struck(step, number).wait()
    code = 128 + number if step in EARLY else 7
    assert (ended.code, ended.status["exit_code"]) == (code, code)
    assert "Traceback" not in ended.err
    assert ended.verify() == 0
    if step in BEFORE_RECORD:
        assert ended.status["end"] == "interrupted"
        assert f"ended by {number.name} before the agent ran" in ended.err
    remains.assert_none()
