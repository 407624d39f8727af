"""Trials in children: what they tell, and that nothing of them stays in this process."""

from __future__ import annotations

import os
import signal

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import find_identities
from trio_egress.kernel.trial import (
    Outcome,
    try_in_child,
    use_mounts,
    use_network,
    use_notification,
    use_seccomp,
)


def test_trial_tells_what_it_saw() -> None:
    assert try_in_child(lambda: "seen") == Outcome("seen", "")


def test_trial_that_saw_nothing_did_not_fail() -> None:
    assert try_in_child(lambda: "") == Outcome("", "")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SandboxError("no such rule"), "no such rule"),
        (
            OSError(1, "unshare(0x10000000): Operation not permitted"),
            "unshare(0x10000000): Operation not permitted",
        ),
        (
            PermissionError(13, "Permission denied", "/proc/self/uid_map"),
            "/proc/self/uid_map: Permission denied",
        ),
        (OSError("without a number"), "without a number"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_exception_of_a_trial_is_its_outcome(error: Exception, text: str) -> None:
    def fail() -> str:
        raise error

    assert try_in_child(fail) == Outcome("", text)


def test_trial_that_is_killed_is_an_outcome() -> None:
    def die() -> str:
        os.kill(os.getpid(), signal.SIGSYS)
        return "still here"

    assert try_in_child(die) == Outcome("", "the trial ended with status -31 and told nothing")


def test_trial_that_hangs_is_ended() -> None:
    def hang() -> str:
        while True:
            signal.pause()

    assert try_in_child(hang, seconds=0.1) == Outcome("", "no answer for 0 s")


def test_trial_leaves_no_child_behind() -> None:
    try_in_child(lambda: "seen")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.sandbox
@pytest.mark.parametrize("use", [use_mounts, use_network])
def test_caller_stays_in_its_namespaces(use: object) -> None:
    before = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in os.listdir("/proc/self/ns")}
    identities = find_identities(None, os.environ)
    assert callable(use)
    try_in_child(lambda: str(use(identities)))
    assert {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in before} == before
    assert os.getuid() == identities.supervisor.uid or identities.root


def test_caller_stays_without_a_filter() -> None:
    assert try_in_child(use_seccomp).failure == ""


def test_a_refused_call_is_told_to_whoever_answers_it() -> None:
    assert try_in_child(use_notification).failure == ""
    with open("/proc/self/status", encoding="ascii") as status:
        assert "NoNewPrivs:\t1\n" not in status.read()
