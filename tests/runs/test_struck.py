"""A run struck at every step from start to end: SIGKILL leaves nothing, a signal to end is obeyed in good order.

Each step is hit for certain (`strike.py`), and then moments are that no step names.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from tests.runs.launch import PATIENCE_SECONDS, Ended, write_policy
from tests.runs.remains import Remains, watch_remains
from tests.runs.steps import (
    BEFORE_AGENT,
    BEFORE_RECORD,
    EARLY,
    SEALED,
    SEALING,
    STEPS,
    StruckPlace,
)

pytestmark = pytest.mark.sandbox


@pytest.fixture
def place() -> Iterator[StruckPlace]:
    place = StruckPlace()
    yield place
    place.close()


@pytest.fixture
def remains(place: StruckPlace) -> Iterator[Remains]:
    with watch_remains(place.path / "temporary") as found:
        yield found


def assert_prefix(ended: Ended, step: str) -> None:
    assert ended.code == -signal.SIGKILL
    assert "Traceback" not in ended.err
    journal = ended.evidence / "evidence.jsonl"
    assert journal.exists() == (step != "evidence directory")
    if journal.exists():
        assert ended.verify() == (0 if step in SEALED else 3)


def assert_good_order(ended: Ended, step: str, number: signal.Signals) -> None:
    code = 128 + number if step in EARLY else 7
    assert (ended.code, ended.status["exit_code"]) == (code, code)
    assert "Traceback" not in ended.err
    assert ended.verify() == 0
    if step in BEFORE_RECORD:
        assert ended.status["end"] == "interrupted"
        assert f"ended by {number.name} before the agent ran" in ended.err


@pytest.mark.parametrize("step", STEPS)
def test_a_supervisor_killed_leaves_a_valid_prefix_and_told_to_end_a_packet(
    place: StruckPlace, remains: Remains, step: str
) -> None:
    killed, told = (place.start_struck(step, number) for number in (signal.SIGKILL, signal.SIGTERM))
    assert_prefix(killed.wait(), step)
    assert_good_order(told.wait(), step, signal.SIGTERM)
    remains.assert_none()


@pytest.mark.parametrize("step", tuple(STEPS)[::6])
def test_an_interrupted_run_ends_in_good_order(place: StruckPlace, remains: Remains, step: str) -> None:
    assert_good_order(place.start_struck(step, signal.SIGINT).wait(), step, signal.SIGINT)
    remains.assert_none()


@pytest.mark.parametrize("step", ["launcher started", "configured", "agent running", "packet file"])
def test_a_run_right_after_a_killed_one_works(place: StruckPlace, remains: Remains, step: str) -> None:
    struck = place.start_struck(step, signal.SIGKILL).wait()
    place.strike = ()
    ended = place.start_clean("exit 3").wait()
    assert (ended.code, ended.verify()) == (3, 0)
    assert struck.verify_by_command() == 3
    remains.assert_none()


def test_open_connections_end_with_a_killed_supervisor(place: StruckPlace, remains: Remains) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        port = upstream.getsockname()[1]
        policy = write_policy(f"open.example:{port}", pins={"open.example": f"127.0.0.1:{port}"})
        script = f"exec 3<>/dev/tcp/open.example/{port}; echo hello >&3; exec sleep 600"
        started = place.start(policy, "bash", "-c", script)
        upstream.settimeout(PATIENCE_SECONDS)
        peer, _ = upstream.accept()
        with peer:
            peer.settimeout(PATIENCE_SECONDS)
            assert peer.recv(64) == b"hello\n"
            started.send(signal.SIGKILL)
            assert peer.recv(1) == b""
    ended = started.wait()
    remains.assert_none()
    assert [r.phase for r in ended.receipts if r.transport == "transparent"] == ["intent"]
    assert ended.verify() == 3


@pytest.mark.parametrize("step", ["launcher started", "agent starting"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR2])
def test_a_signal_to_the_whole_job_is_the_supervisors_to_pass_on(
    place: StruckPlace, remains: Remains, step: str, number: signal.Signals
) -> None:
    ended = place.start_struck(step, number, "group").wait()
    assert ended.code == 128 + number
    assert "Traceback" not in ended.err
    assert ended.verify() == 0
    remains.assert_none()


STANDS = tuple(step for step in STEPS if step not in tuple(BEFORE_AGENT)[:3])
GONE = ("sandbox ended", "closing the record", *SEALING, *SEALED)
BEFORE_INIT = STANDS[: STANDS.index("ready")]


@pytest.mark.parametrize("step", [step for step in STANDS if step not in GONE])
def test_a_sandbox_killed_from_outside_ends_the_run_in_good_order(
    place: StruckPlace, remains: Remains, step: str
) -> None:
    parts = ["launcher"] if step in BEFORE_INIT else ["launcher", "init"]
    refused, killed = (125, "refused"), (137, "sandbox_killed")
    ends = {
        **dict.fromkeys(BEFORE_AGENT, (refused,)),
        # PID 1 outlives the launcher for a moment, in which it may have begun the agent.
        **dict.fromkeys(("doors open", "agent starting"), (refused, killed)),
        "agent running": (killed,),
    }
    for started in [place.start_struck(step, signal.SIGKILL, part) for part in parts]:
        ended = started.wait()
        assert (ended.code, ended.status["end"]) in ends.get(step, ((7, "agent_exited"),))
        assert "Traceback" not in ended.err
        assert ended.verify() == 0
    remains.assert_none()


def test_a_killed_agent_ends_the_run_by_itself(place: StruckPlace, remains: Remains) -> None:
    ended = place.start_struck("agent running", signal.SIGKILL, "agent").wait()
    assert (ended.code, ended.status["end"]) == (137, "agent_exited")
    assert ended.verify() == 0
    remains.assert_none()


MOMENTS = 6
FAR = 1 << 30
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def test_moments_that_no_step_names(place: StruckPlace, remains: Remains) -> None:
    """At even distances, from the first call after the command line is loaded almost to the last."""
    whole = place.start_struck(f"::call:{FAR}", signal.SIGTERM).wait()
    calls = FAR - int(whole.err.rpartition("left ")[2])
    assert calls > 10_000
    for at in range(1, calls * 9 // 10, calls // MOMENTS):
        struck = [place.start_struck(f"::call:{at}", number) for number in SIGNALS]
        for number, started in zip(SIGNALS, struck, strict=True):
            assert_whole(started.wait(), number)
        remains.assert_none()


def assert_whole(ended: Ended, number: signal.Signals) -> None:
    journal = ended.evidence / "evidence.jsonl"
    if number is signal.SIGKILL:
        assert ended.code == -number
        assert not journal.exists() or ended.verify() == (
            0 if (ended.evidence / "packet.json").exists() else 3
        )
    elif ended.status_file.exists():
        assert ended.code == ended.status["exit_code"] in (128 + number, 7)
        assert not journal.exists() or ended.verify() == 0
    else:  # so early that nobody listened yet, and there was nothing to put in order
        assert ended.code in (-number, 1)
        assert not ended.evidence.exists()
