"""Annotations of a packet: bounded, at the policy's lines, and no agent's to forge."""

from __future__ import annotations

import re
from pathlib import Path

from tests.evidence.specimens import Scribe
from tests.views.pictures import HOSTILE, RULED, take, take_broken, write_lines, write_packet

from trio_egress.texts.workflow import ANNOTATIONS_SHOWN, render_command
from trio_egress.views.annotations import render_annotations
from trio_egress.views.picture import Picture

COMMAND = re.compile(r"::(error|warning|notice) [^:\r\n]*::[^\r\n]*\n")


def render(picture: Picture) -> list[str]:
    lines = list(render_annotations(picture))
    assert all(COMMAND.fullmatch(line) for line in lines), lines
    return lines


def test_a_denial_stands_at_the_line_of_the_rule_that_denied_it(tmp_path: Path) -> None:
    lines = render(take(write_packet(tmp_path / "audit", write_lines()), root=tmp_path))
    post = next(line for line in lines if "POST" in line)
    assert post.startswith("::warning file=ci/agent.toml,line=5,title=trio-egress%3A denied::POST http")
    assert "file=ci/agent.toml,line=3," in next(line for line in lines if "tls://evil.example" in line)


def test_a_policy_that_is_no_file_of_the_repository_has_no_place(tmp_path: Path) -> None:
    picture = take(
        write_packet(tmp_path / "audit", write_lines(), config_path="/etc/agent.toml"), root=tmp_path
    )
    assert not [line for line in render(picture) if "file=" in line]


def test_no_more_than_github_shows_and_the_last_counts_the_rest(tmp_path: Path) -> None:
    scribe = Scribe(RULED).open()
    for number in range(200):
        scribe.block(target=f"tls://x{number}.example:443")
    lines = render(take(write_packet(tmp_path / "audit", scribe.close().lines)))
    warnings = [line for line in lines if line.startswith("::warning")]
    assert len(warnings) == ANNOTATIONS_SHOWN
    assert "and 191 more of this kind" in warnings[-1]


def test_equal_denials_are_one_with_a_count(tmp_path: Path) -> None:
    scribe = Scribe(RULED).open().block().block().block()
    lines = render(take(write_packet(tmp_path / "audit", scribe.close().lines)))
    assert [line for line in lines if "(3 times)" in line] == [
        line for line in lines if line.startswith("::warning")
    ]


def test_a_packet_that_does_not_verify_is_an_error_before_all_else(tmp_path: Path) -> None:
    first, *_ = render(take_broken(tmp_path / "audit"))
    assert first.startswith("::error title=trio-egress::THE PACKET DOES NOT VERIFY")


def test_a_hostile_name_neither_ends_a_command_nor_begins_one(tmp_path: Path) -> None:
    evil = f"{HOSTILE}::set-env name=PATH::/evil\n::error::forged"
    scribe = Scribe(RULED).open()
    scribe.block(target=f"tls://{evil}", facts={"reason": evil})
    lines = render(take(write_packet(tmp_path / "audit", scribe.close().lines)))
    assert all(line.isascii() for line in lines)
    assert not [line for line in lines if line.startswith(("::set-env", "::error::forged"))]


def test_a_command_escapes_as_the_runner_reads() -> None:
    assert render_command("error", "50%\r\n::x::", {"title": "a:b,c\n", "file": ""}) == (
        "::error title=a%3Ab%2Cc%0A::50%25%0D%0A::x::"
    )
    assert render_command("endgroup") == "::endgroup::"
