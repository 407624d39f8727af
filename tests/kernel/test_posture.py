"""What the probes must answer: every wrong, missing or unforeseen answer stops the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.kernel.attacks import DENIED
from trio_egress.kernel.posture import BY_SECCOMP, EXPECTED, UNSUPPORTED_PATHS, find_wrong
from trio_egress.kernel.selftest import list_probes

GOOD = {
    **{name: "denied:EPERM" if expected == DENIED else expected for name, expected in EXPECTED.items()},
    "processes": "2",
    "refused_calls": "notified",
}


def test_right_answers_are_right() -> None:
    assert find_wrong(GOOD) == ()


@pytest.mark.parametrize("probe", sorted(GOOD))
def test_a_missing_answer_is_wrong(probe: str) -> None:
    answers = {name: answer for name, answer in GOOD.items() if name != probe}
    assert [wrong.probe for wrong in find_wrong(answers)] == [probe]


@pytest.mark.parametrize("probe", sorted(GOOD))
@pytest.mark.parametrize("answer", ["allowed", "opened", "sent", "connected", "", "3", "0,0,0,0,1"])
def test_an_answer_that_is_no_refusal_is_wrong(probe: str, answer: str) -> None:
    assert [wrong.probe for wrong in find_wrong({**GOOD, probe: answer})] == [probe]


@pytest.mark.parametrize("probe", sorted(BY_SECCOMP))
def test_a_refusal_by_something_else_than_the_filter_is_wrong(probe: str) -> None:
    (wrong,) = find_wrong({**GOOD, probe: "denied:ENOSYS"})
    assert str(wrong) == f"{probe}: denied:ENOSYS, expected denied:EPERM"


def test_every_probe_is_judged_and_every_judged_one_is_a_probe() -> None:
    assert {*list_probes({}), "refused_calls"} == set(GOOD)


def test_a_kernel_that_cannot_notify_is_told_and_not_wrong() -> None:
    assert find_wrong({**GOOD, "refused_calls": "unsupported:EBUSY"}) == ()


def test_a_listener_that_heard_nothing_of_the_probes_is_wrong() -> None:
    (wrong,) = find_wrong({**GOOD, "refused_calls": "not notified"})
    assert str(wrong) == "refused_calls: not notified, expected notified, or unsupported: with the reason"


def test_what_is_outside_the_control_point_is_in_the_readme_too() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    for path in UNSUPPORTED_PATHS:
        assert f"- **{path.partition(':')[0]}**" in readme


@pytest.mark.parametrize("word", ["other steps", "docker", "MCP", "standard output", "TLS"])
def test_nothing_of_what_is_outside_is_passed_over(word: str) -> None:
    assert any(word in path for path in UNSUPPORTED_PATHS)
