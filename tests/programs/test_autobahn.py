"""The Autobahn test suite has the same verdicts through the relay as without it, in both roles.

Here it is sections 1 to 10, and of compression each kind with small messages; the rest takes half an hour:
`nox -s autobahn` (AUTOBAHN_WHOLE=true).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from tests.programs.autobahn import (
    ECHO_CLIENT,
    ECHO_SERVER,
    FUZZING_CLIENT,
    FUZZING_SERVER,
    QUICK,
    WHOLE,
    Verdicts,
    find_losses,
)
from tests.programs.jobs import run_job, run_outside
from tests.programs.servers import find_ports
from tests.runs.launch import ENVIRONMENT, Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

GROUPS, LEAST, SOUND = (WHOLE, 6, 0.5) if os.environ.get("AUTOBAHN_WHOLE") else ([QUICK], 300, 0.9)
"""The groups of cases, how many each has at least, and how many of them a peer gets right without the relay."""
SECONDS = 1500.0
"""For one group, at most: the slowest of the whole take minutes of CPU."""
TRIES = 5
HOST = "api.example.com"
URL = f"ws://{HOST}/ws"
RUN = '"$PYTHON" -c "$@"'
PYTHON = {"PYTHON": sys.executable}
RULE = f'[[egress]]\ndestination = "{HOST}"\nwebsocket = {{ enabled = true }}\n'


each_group = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])


@contextmanager
def start(program: str, port: int, *cases: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", program, str(port), *cases]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listens\n"
            yield process
        finally:
            process.terminate()


def read_verdicts(text: str) -> Verdicts:
    return {case: (did, closed) for case, (did, closed) in json.loads(text).items()}


def policy_for(port: int) -> str:
    return write_policy(more=RULE, pins={f"{HOST}:80": f"127.0.0.1:{port}"})


def assert_same(
    cases: Sequence[str],
    run_direct: Callable[[Sequence[str]], Verdicts],
    run_relayed: Callable[[Sequence[str]], tuple[Verdicts, Ended]],
) -> None:
    """Cases wait a second for most things: what is worse is tried again, fewer and fewer at a time."""
    tries = 0
    while True:
        direct, (relayed, ended) = run_direct(cases), run_relayed(cases)
        assert ended.verify() == 0
        assert sum(o.facts.get("websocket") is True for o in ended.outcomes) >= len(direct)
        if not tries:
            assert len(direct) >= LEAST
            fine = ("OK", "NON-STRICT", "INFORMATIONAL")
            assert sum(did in fine for did, _ in direct.values()) >= SOUND * len(direct)  # or it says nothing
        losses = find_losses(direct, relayed)
        if not losses:
            return
        cases, tries = list(losses), tries + 1
        assert tries < TRIES, losses


@each_group
def test_a_fuzzing_client_gets_from_a_server_what_it_gets_without_the_relay(
    place: Place, group: Sequence[str]
) -> None:
    (port,) = find_ports(1)

    def run_direct(cases: Sequence[str]) -> Verdicts:
        address = f"ws://127.0.0.1:{port}/ws"
        return read_verdicts(
            run_outside(place, RUN, FUZZING_CLIENT, address, *cases, environment=PYTHON, seconds=SECONDS)
        )

    def run_relayed(cases: Sequence[str]) -> tuple[Verdicts, Ended]:
        ended = run_job(
            place,
            RUN,
            FUZZING_CLIENT,
            URL,
            *cases,
            policy=policy_for(port),
            environment=PYTHON,
            seconds=SECONDS,
        )
        return read_verdicts(ended.text), ended

    with start(ECHO_SERVER, port, "quiet"):
        assert_same(group, run_direct, run_relayed)


@each_group
def test_a_fuzzing_server_gets_from_a_client_what_it_gets_without_the_relay(
    place: Place, group: Sequence[str]
) -> None:
    (port,) = find_ports(1)

    def run_direct(cases: Sequence[str]) -> Verdicts:
        with start(FUZZING_SERVER, port, *cases) as server:
            run_outside(
                place, RUN, ECHO_CLIENT, f"ws://127.0.0.1:{port}", environment=PYTHON, seconds=SECONDS
            )
            return read_verdicts(server.communicate()[0].decode())

    def run_relayed(cases: Sequence[str]) -> tuple[Verdicts, Ended]:
        with start(FUZZING_SERVER, port, *cases) as server:
            policy = policy_for(port)
            ended = run_job(
                place, RUN, ECHO_CLIENT, f"ws://{HOST}", policy=policy, environment=PYTHON, seconds=SECONDS
            )
            return read_verdicts(server.communicate()[0].decode()), ended

    assert_same(group, run_direct, run_relayed)
