"""The line of status: below whole lines, out of the way of everything else, and gone once somebody draws."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from trio_egress.runtime.live_line import ERASE, UNFINISHED_BYTES, LiveLine

DRAWN = b"status" + ERASE + b"\r"
WIDE = 80


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


def make_line(text: str = "status") -> LiveLine:
    line = LiveLine()
    line.render = lambda columns: text[:columns]
    return line


def draw(line: LiveLine, pipe: tuple[int, int], columns: int = WIDE) -> bytes:
    line.draw(pipe[1], columns)
    try:
        return os.read(pipe[0], 65536)
    except BlockingIOError:
        return b""


def test_it_is_taken_away_before_what_comes_next_and_once(pipe: tuple[int, int]) -> None:
    line = make_line()
    assert draw(line, pipe) == DRAWN
    assert line.make_way(b"") == b""
    assert line.make_way(b"one\n") == ERASE + b"one\n"
    assert line.make_way(b"two\n") == b"two\n"
    assert draw(line, pipe) == DRAWN
    line.take_away(pipe[1])
    assert os.read(pipe[0], 100) == ERASE
    line.take_away(pipe[1])
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 100)


def test_it_leaves_the_last_column_free(pipe: tuple[int, int]) -> None:
    assert draw(make_line("x" * 200), pipe, 30) == b"x" * 29 + ERASE + b"\r"


@pytest.mark.parametrize(
    "output", [b"Password: ", b" 50 %\r", b"a\n\x1b[3", b"\n\x1b]0;a title", b"one\n\x1b"], ids=repr
)
def test_it_is_not_there_while_a_line_has_not_ended(output: bytes, pipe: tuple[int, int]) -> None:
    line = make_line()
    line.make_way(output)
    assert draw(line, pipe) == b""
    assert not line.draws


@pytest.mark.parametrize(
    "output",
    [
        b"\x1b[1;31mred\x1b[0m\n",
        b"\x1b[38:2::1:2:3mred\x1b[m\n",
        b"\r\x1b[K100 %\n",
        b"\x1b[?25ldone\x1b[?25h\n",
        b"\x1b]0;a title\x07\n",
        b"\x1b]8;;https://a.example/\x1b\\a link\x1b]8;;\x1b\\\n",
        b"\x1b(B\x1b[m\n",
        "\N{CHECK MARK} done\n".encode(),
    ],
    ids=repr,
)
def test_colours_titles_and_bars_are_in_its_way_at_no_split(output: bytes, pipe: tuple[int, int]) -> None:
    for at in range(len(output)):
        line = make_line()
        line.make_way(output[:at])
        line.make_way(output[at:])
        assert draw(line, pipe) == DRAWN


@pytest.mark.parametrize(
    "output",
    [
        b"\x1b[2J\n",
        b"\x1b[A\n",
        b"\x1b[?1049h\n",
        b"\x1b[5;5H\n",
        b"\x1b7\n",
        b"\x1bM\n",
        b"\x1b\x1b[m[A\n",
        b"\x1b]0;" + b"x" * UNFINISHED_BYTES,
    ],
    ids=lambda output: repr(output[:12]),
)
def test_whoever_moves_the_cursor_is_left_alone_from_then_on(output: bytes, pipe: tuple[int, int]) -> None:
    for at in range(min(len(output), 20)):
        line = make_line()
        line.make_way(output[:at])
        line.make_way(output[at:])
        line.make_way(b"a plain line\n")
        assert line.draws
        assert draw(line, pipe) == b""


def test_the_other_screen_is_the_agents_until_it_goes_back() -> None:
    output = b"\x1b[?1049h\x1b[2Jan editor"
    for at in range(len(output)):
        line, states = make_line(), []
        for part in (b"", output[:at], output[at:], b"\x1b[?10", b"49l"):
            line.make_way(part)
            states.append(line.covered)
        assert [states[0], *states[2:]] == [False, True, True, False]


def test_a_message_of_ours_takes_it_away_and_has_it_drawn_again(pipe: tuple[int, int]) -> None:
    line, woken = make_line(), []
    draw(line, pipe)
    line.arm(lambda: woken.append(1))
    with line.aside() as first:
        assert first == ERASE
        assert line.make_way(b"meanwhile\n") == b"meanwhile\n"  # nobody waits
        assert draw(line, pipe) == b""
        line.arm(lambda: woken.append(2))
    assert woken == [1, 2]
    assert draw(line, pipe) == DRAWN


def test_a_terminal_that_takes_nothing_holds_up_nobody(pipe: tuple[int, int]) -> None:
    while True:
        try:
            os.write(pipe[1], b"x" * 4096)
        except BlockingIOError:
            break
    line = make_line()
    line.draw(pipe[1], WIDE)
    line.take_away(pipe[1])


def test_where_there_is_nothing_to_say_nothing_is_written(pipe: tuple[int, int]) -> None:
    assert draw(make_line(""), pipe) == b""


def test_a_run_that_is_over_is_not_called() -> None:
    def wake() -> None:
        raise RuntimeError

    line = make_line()
    line.arm(wake)
    line.note()
    line.note()
