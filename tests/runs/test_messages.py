"""What the run says on standard error, which is the agent's too: no use that the agent makes of it stops the run."""

from __future__ import annotations

import os
import subprocess

import pytest
from tests.runs.launch import Place, wait_until, write_policy

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()
DENIED = "getent ahosts evil.example"


def test_a_standard_error_that_the_agent_has_filled_holds_nothing_up(place: Place) -> None:
    """The agent fills the pipe, and is denied something while nobody reads."""
    script = f"timeout 0.2 yes >&2; {DENIED}; touch denied; sleep 600"
    started = place.start(NOTHING, "bash", "-c", script, stderr=subprocess.PIPE, options=["--timeout", "8"])
    wait_until((place.work / "denied").exists, "the denial")
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (124, "timed_out")
    assert {query.target for query in ended.queries} == {"dns:evil.example"}
    assert ended.verify() == 0


def test_a_standard_error_that_nobody_reads_any_more_ends_nothing(place: Place) -> None:
    script = f"until [ -e go ]; do sleep 0.01; done; {DENIED}; exit 3"
    started = place.start(NOTHING, "bash", "-c", script, stderr=subprocess.PIPE)
    assert started.process.stderr is not None
    started.process.stderr.close()
    (place.work / "go").touch()
    ended = started.wait()
    assert (ended.code, ended.status["denied"] > 0) == (3, True)
    assert ended.verify() == 0


def test_a_standard_error_made_non_blocking_loses_nothing(place: Place) -> None:
    """As node leaves the pipes that it was given."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    started = place.start(
        NOTHING, "bash", "-c", f"timeout 0.2 yes >&2; {DENIED}; touch denied", stderr=writer
    )
    os.close(writer)
    wait_until((place.work / "denied").exists, "the denial")
    with os.fdopen(reader, "rb") as file:
        text = file.read().decode()
    ended = started.wait()
    assert "trio-egress: denied dns:evil.example: no rule allows evil.example\n" in text
    assert f"head {ended.status['head']}\n" in text
    assert ended.verify() == 0


def test_each_different_denial_is_told_once_and_a_flood_is_cut(place: Place) -> None:
    script = f"for n in $(seq 110); do getent ahosts $n.evil.example; done; {DENIED}; {DENIED}"
    ended = place.run(NOTHING, "bash", "-c", script)
    told = [line for line in ended.err.splitlines() if line.startswith("trio-egress: denied ")]
    assert len(told) == len(set(told)) == 100
    assert "more was denied or found; the receipts have all of it" in ended.err
    assert len({query.target for query in ended.queries}) == 111
    assert ended.verify() == 0


def test_what_the_agent_had_a_hand_in_is_no_terminal_command(place: Place) -> None:
    raw = r"GET / HTTP/1.1\r\nHost: evil\033]0;owned\007.example\r\n\r\n"
    script = f"exec 3<>/dev/tcp/203.0.113.7/80; printf '{raw}' >&3; cat <&3"
    ended = place.run(NOTHING, "bash", "-c", script)
    assert "\x1b" not in ended.err
    assert "\x07" not in ended.err
    assert "denied" in ended.err
    assert ended.verify() == 0
