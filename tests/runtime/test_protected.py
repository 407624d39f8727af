"""What became of the protected files, for the receipt and in words."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from trio_egress.runtime.agent import AgentEnd
from trio_egress.runtime.protected import UNKNOWN, add_message, read_report
from trio_egress.runtime.spec import End

WORK = Path("/here")
NONE: dict[str, Any] = {
    **{kind: [] for kind in ("changed", "created", "removed")},
    **{f"{kind}_count": 0 for kind in ("changed", "created", "removed")},
    "searched": "all",
}
LOOK = " (look at them before you go on in this directory)"


def message(said: str = "", **report: Any) -> str:
    return add_message(AgentEnd(End.EXITED, 0, said), {**NONE, **report}, WORK).message


def test_where_nothing_became_of_them_nothing_is_said() -> None:
    assert message() == ""
    assert message("as it was") == "as it was"
    assert message(searched="not all") == ""
    assert add_message(AgentEnd(End.EXITED, 0), None, WORK) == AgentEnd(End.EXITED, 0)


def test_files_are_named_as_in_the_working_directory() -> None:
    said = message(
        changed=["/here/a", "/other/b"], changed_count=2, removed=["/here/c\n\x1b[31m\udc80"], removed_count=1
    )
    assert said == f"protected files: changed a, /other/b; removed c\ufffd\ufffd[31m\ufffd{LOOK}"


def test_a_few_are_named_and_the_rest_is_counted() -> None:
    said = message(created=[f"/here/{n}" for n in range(20)], created_count=30)
    assert said == f"protected files: created 0, 1, 2, 3, 4, 25 more{LOOK}"


def test_it_is_said_after_what_ended_the_run() -> None:
    assert (
        message("ended", created=["/here/a"], created_count=1) == f"ended; protected files: created a{LOOK}"
    )


@pytest.mark.parametrize("report", [UNKNOWN, {**NONE, "searched": "less than before"}])
def test_what_could_not_be_looked_at_is_said(report: dict[str, Any]) -> None:
    said = add_message(AgentEnd(End.EXITED, 0), report, WORK).message
    assert said == f"protected files: could not be searched for all that was there before{LOOK}"


def test_who_goes_by_the_exit_code_is_told_too() -> None:
    assert not add_message(AgentEnd(End.EXITED, 0), NONE, WORK).touched
    assert add_message(AgentEnd(End.EXITED, 0), {**NONE, "removed": ["a"], "removed_count": 1}, WORK).touched
    assert add_message(AgentEnd(End.EXITED, 0), UNKNOWN, WORK).touched


def test_an_agent_that_never_ran_has_touched_nothing() -> None:
    assert add_message(AgentEnd(End.REFUSED), UNKNOWN, WORK) == AgentEnd(End.REFUSED)


def test_a_report_is_read_to_its_end() -> None:
    ours, theirs = socket.socketpair()
    report = {**NONE, "created": ["x" * 50_000], "created_count": 1}
    with ours, theirs:
        theirs.sendall(json.dumps(report).encode("ascii"))
        theirs.close()
        assert read_report(ours) == report


@pytest.mark.parametrize("raw", [b"", b'{"changed": [', b"\xff"])
def test_a_launcher_that_said_nothing_whole_leaves_it_unknown(raw: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(raw)
        theirs.close()
        assert read_report(ours) is UNKNOWN


def test_a_report_that_does_not_come_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert read_report(ours) is UNKNOWN
