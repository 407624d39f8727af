"""Tries: what counts as a refusal, and that whatever else happened is told."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest

from trio_egress.attack.tries import answer_of, connect, in_child, judge_answer, refuse_all, talk


def refuse(error: type[OSError] = PermissionError, number: int = 1) -> str:
    raise error(number, "refused")


def test_all_refused_is_a_refusal_with_its_reasons() -> None:
    tries = [("a", refuse), ("b", refuse), ("c", lambda: refuse(FileNotFoundError, 2))]
    assert refuse_all(tries) == "denied:3 times EPERM 2, ENOENT 1"
    assert refuse_all(tries[:1]) == "denied:EPERM"


def test_one_that_got_through_is_named_and_no_refusal() -> None:
    tries = [("a", refuse), ("b", lambda: "opened"), ("c", refuse)]
    assert refuse_all(tries) == "b opened"


def test_of_many_that_got_through_some_are_named() -> None:
    tries = [(str(number), lambda: "opened") for number in range(7)]
    assert refuse_all(tries) == "0 opened, 1 opened, 2 opened, 3 opened, 4 opened, and 2 more"


def test_nothing_tried_is_no_refusal() -> None:
    assert not refuse_all([]).startswith("denied:")


def test_a_time_out_is_a_refusal_that_says_so() -> None:
    def wait() -> str:
        raise TimeoutError

    assert answer_of(wait) == "denied:no answer"


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"", "denied:closed"),
        (b"\x15\x03\x03\x00\x02\x02\x31", "denied:TLS alert"),
        (b"HTTP/1.1 403 Denied By Egress Policy\r\nX-Trio-Egress: 1\r\n\r\n", "denied:HTTP 403"),
        (b"HTTP/1.1 403 Forbidden\r\nServer: somebody\r\n\r\n", "answered b'HTTP/1.1 403 Forbidden"),
        (b"HTTP/1.1 200 OK\r\nX-Trio-Egress: 1\r\n\r\n", "answered b'HTTP/1.1 200 OK"),
        (b"SSH-2.0-OpenSSH", "answered b'SSH-2.0-OpenSSH'"),
    ],
)
def test_only_the_proxys_own_ways_of_refusing_are_refusals(raw: bytes, answer: str) -> None:
    assert judge_answer(raw).startswith(answer)


def test_whoever_answers_is_told_and_whoever_does_not_listen_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"welcome")

        thread = threading.Thread(target=answer)
        thread.start()
        assert talk(socket.AF_INET, ("127.0.0.1", port), b"hello") == "answered b'welcome'"
        thread.join()
    assert (
        answer_of(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)))
        == "denied:ECONNREFUSED"
    )


def test_what_a_child_does_stays_with_it() -> None:
    def move() -> str:
        os.chdir("/")
        return "moved"

    def die() -> str:
        os.kill(os.getpid(), signal.SIGSYS)
        return "still here"

    here = os.getcwd()
    assert (in_child(move), os.getcwd()) == ("moved", here)
    assert in_child(refuse) == "denied:EPERM"
    assert in_child(die) == "denied:SIGSYS"
