"""summary.md: a screen, and inert."""

from __future__ import annotations

from tests.evidence.specimens import KEY, Scribe, replay, rewrite, setting, write_chain

from trio_egress.evidence.report import conclude
from trio_egress.evidence.summary import ROWS, render_summary


def _summarize(lines: list[bytes], *, pinned: bool = True, exit_code: int | None = 0) -> str:
    played = replay(lines)
    report = conclude("e", played, played.findings, pinned=pinned)
    return render_summary(report, played, exit_code, "agent.toml")


def test_a_summary_says_the_verdict_who_was_contacted_and_what_was_denied() -> None:
    text = _summarize(write_chain())
    assert text.startswith("# trio-egress: 2 allowed, 1 denied\n")
    assert "The agent ended with exit code 0. The record is complete and signed by the key" in text
    assert "| `api.example.com` | 1 | 10 | 20 |" in text
    assert "| `tls://evil.example:443` | 1 | `a reason` |" in text
    assert f"trio-egress verify . --public-key {KEY.public_hex}" in text
    assert len(text.splitlines()) < 45


def test_a_summary_of_nothing_says_so() -> None:
    text = _summarize(Scribe().open().close().lines, exit_code=None)
    assert "The agent did not end by itself." in text
    assert "Nothing was contacted." in text
    assert "Nothing was denied." in text


def test_each_weak_verdict_is_said_in_the_first_lines() -> None:
    first = {
        "made for this run": _summarize(write_chain(), pinned=False),
        "has no end": _summarize(write_chain()[:4]),
        "does not hold together": _summarize(rewrite(write_chain(), {3: setting("verdict", "x")})),
    }
    for sentence, text in first.items():
        assert sentence in text.splitlines()[2]
    assert "--public-key KEY" in _summarize([])


def test_a_long_table_is_cut_and_says_by_how_much() -> None:
    scribe = Scribe().open()
    for number in range(ROWS + 3):
        scribe.block(f"h{number}.example")
    assert "… and 3 more: see evidence.jsonl." in _summarize(scribe.close().lines)


def test_what_an_agent_chose_stays_inert() -> None:
    hostile = "`|[x](http://evil)\n# a <img src=x> \x1b[2J" + "y" * 500
    scribe = Scribe().open().block(target=hostile, facts={"host": hostile, "reason": hostile})
    scribe.allow(hostile)
    for line in _summarize(scribe.close().lines).splitlines():
        if "evil" in line:
            assert line.startswith("| `")
            assert line.count("`") % 2 == 0
            assert line.replace("\\|", "").count("|") in (4, 5)
            assert "\x1b" not in line
            assert len(line) < 400
