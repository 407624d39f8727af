"""Rows: what was seen outside counts more than what was said inside, and a control is told as one."""

from __future__ import annotations

from trio_egress.attack.judgement import Row, find_through, judge_longer, judge_start, render_rows
from trio_egress.kernel.attacks import ATTACKS, DENIED, ROWS
from trio_egress.kernel.posture import EXPECTED, find_wrong

PROBES = {
    **{name: answer if answer != DENIED else "denied:EPERM" for name, answer in EXPECTED.items()},
    "processes": "2",
}
ANSWERS = {
    row.name: "denied:EPERM" if row.expected == DENIED else row.expected
    for row in ATTACKS
    if not row.at_start
}


def test_right_answers_are_refusals() -> None:
    rows = [*judge_start(PROBES, find_wrong(PROBES)), *judge_longer(ANSWERS, {}, {}, {})]
    assert len(rows) == len(ATTACKS)
    assert all(row.refused for row in rows)


def test_a_wrong_probe_is_a_hole() -> None:
    probes = {**PROBES, "udp": "sent"}
    (hole,) = [row for row in judge_start(probes, find_wrong(probes)) if not row.refused]
    assert (hole.name, hole.answer) == ("udp", "sent")


def test_a_canary_outweighs_the_word_of_the_program() -> None:
    rows = judge_longer(ANSWERS, {"places": "left a file"}, {}, {})
    assert [(row.name, row.answer) for row in rows if not row.refused] == [("places", "left a file")]


def test_an_attack_that_was_not_tried_is_a_hole() -> None:
    rows = judge_longer({}, {}, {}, {})
    assert not any(row.refused for row in rows)


def test_what_works_outside_and_what_does_not_is_told() -> None:
    outside = {"namespaces": "user was made", "netlink": "denied:EPERM", "variables": "reads GITHUB_ENV"}
    rows = {
        row.name: row.control for row in judge_longer(ANSWERS, {}, outside, {"daemon": "was still there"})
    }
    assert (rows["namespaces"], rows["variables"], rows["daemon"]) == ("", "", "")
    assert rows["netlink"] == "denied:EPERM"
    assert rows["flood"] is None


def test_an_exact_answer_is_asked_for_where_there_is_one() -> None:
    assert find_through(ROWS["variables"], {"variables": "hidden"}, {}) == ""
    assert find_through(ROWS["variables"], {"variables": "denied:EPERM"}, {}) == "denied:EPERM"


def test_a_table_is_narrow_and_shows_holes() -> None:
    rows = [
        Row("a", "try something with very many words " * 4, True, "denied:EPERM", control=""),
        Row("b", "try another", False, "got\x1b[31m through", control="denied:EACCES"),
        Row("c", "try a third", True, "denied:ENOENT"),
    ]
    text = render_rows(rows, colour=False)
    assert max(map(len, text.splitlines())) <= 100
    assert "refused    try something" in text
    assert "EPERM (outside: it works)" in text
    assert "HOLE       try another" in text
    assert "got?[31m through (outside: EACCES)" in text
    assert "try a third                                      ENOENT\n" in text
    assert "\x1b[" in render_rows(rows, colour=True)
