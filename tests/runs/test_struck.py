"""A run struck at every step from start to end: SIGKILL leaves nothing, a signal to end is obeyed in good order.

Each step is hit for certain (`strike.py`), and then moments are that no step names.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from tests.runs.launch import PATIENCE_SECONDS, write_policy
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


@pytest.mark.parametrize("step", ["launcher started", "agent starting"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
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
INSIDE = {
    "launcher": STANDS,
    "init": STANDS[STANDS.index("ready") :],
    "agent": ("agent running",),
}


@pytest.mark.parametrize(
    ("whom", "step"),
    [(whom, step) for whom, steps in INSIDE.items() for step in steps if step not in GONE],
)
def test_a_sandbox_killed_from_outside_ends_the_run_in_good_order(
    place: StruckPlace, remains: Remains, step: str, whom: str
) -> None:
    ended = place.start_struck(step, signal.SIGKILL, whom).wait()
    ends = {
        **dict.fromkeys(BEFORE_AGENT, (125, "refused")),
        "agent starting": (125, "refused"),
        "agent running": (137, "agent_exited" if whom == "agent" else "sandbox_killed"),
    }
    assert (ended.code, ended.status["end"]) == ends.get(step, (7, "agent_exited"))
    assert "Traceback" not in ended.err
    assert ended.verify() == 0
    remains.assert_none()


MOMENTS = 8
FAR = 1 << 30


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_moments_that_no_step_names(place: StruckPlace, remains: Remains, number: signal.Signals) -> None:
    """At even distances, from the first call after the command line is loaded almost to the last."""
    whole = place.start_struck(f"::call:{FAR}", number).wait()
    calls = FAR - int(whole.err.rpartition("left ")[2])
    assert calls > 10_000
    for at in range(1, calls * 9 // 10, calls // MOMENTS):
        ended = place.start_struck(f"::call:{at}", number).wait()
        journal = ended.evidence / "evidence.jsonl"
        packet = (ended.evidence / "packet.json").exists()
        if number is signal.SIGKILL:
            assert ended.code == -number
            assert not journal.exists() or ended.verify() == (0 if packet else 3)
        elif ended.status_file.exists():
            assert ended.code == ended.status["exit_code"] in (128 + number, 7)
            assert not journal.exists() or ended.verify() == 0
        else:
            assert ended.code in (-number, 1)
            assert not ended.evidence.exists()
        remains.assert_none()
