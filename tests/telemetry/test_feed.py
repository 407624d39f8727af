"""The queue between a run and whoever follows it: bounded, never waited for, and true about what it dropped."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from trio_egress.telemetry import feed as feeds
from trio_egress.telemetry.feed import BATCH_LINES, QUEUE_BYTES, QUEUE_LINES, Feed, Lines, Patience

PATIENCE_SECONDS = 120.0


class Gated:
    """A sink that takes nothing until its gate is opened, and says when it was first asked to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.taken: list[bytes] = []
        self.closed = threading.Event()

    def send(self, events: Sequence[bytes], patience: Patience) -> int:
        if events:
            self.asked.set()
            assert self.gate.wait(PATIENCE_SECONDS)
        self.taken += events
        return len(events)

    def close(self) -> None:
        self.closed.set()


class Refusing(Gated):
    """Takes the first event of each batch, and gives up on the others."""

    def send(self, events: Sequence[bytes], patience: Patience) -> int:
        self.taken += events[:1]
        return len(events[:1])


def make(count: int, size: int = 10) -> list[bytes]:
    return [b"%0*d\n" % (size, number) for number in range(count)]


def open_feed(sink: Gated, said: list[str]) -> Feed:
    return Feed("events.jsonl", sink, Lines(), said.append)


def test_lines_are_handed_on_in_order_and_all_of_them_by_the_end() -> None:
    sink, said, lines = Gated(), list[str](), make(3 * BATCH_LINES)
    sink.gate.set()
    feed = open_feed(sink, said)
    for line in lines:
        feed.take([line])
    feed.close()
    assert sink.taken == lines
    assert (feed.sent, feed.dropped, feed.queued, said) == (len(lines), 0, 0, [])
    assert sink.closed.is_set()


@pytest.mark.parametrize(("count", "size"), [(QUEUE_LINES, 10), (16, QUEUE_BYTES // 16 - 1)])
def test_a_full_queue_drops_what_comes_then_and_holds_up_nobody(count: int, size: int) -> None:
    sink, said = Gated(), list[str]()
    feed = open_feed(sink, said)
    feed.take([b"first\n"])
    assert sink.asked.wait(PATIENCE_SECONDS)  # it has that one, and is stuck with it
    lines = make(count, size)
    feed.take([*lines, b"eleven\n", b"no room\n"])  # returns
    assert (feed.dropped, feed.queued) == (2, count + 1)
    sink.gate.set()
    feed.close()
    assert sink.taken == [b"first\n", *lines]
    assert (feed.sent, feed.dropped) == (count + 1, 2)
    assert said == [f"2 of {count + 3:,} events were dropped"]


def test_the_end_waits_for_nobody_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "END_SECONDS", 0.05)
    sink, said = Gated(), list[str]()
    feed = open_feed(sink, said)
    feed.take([b"stuck\n"])
    assert sink.asked.wait(PATIENCE_SECONDS)
    feed.take([b"behind it\n"])
    feed.close()  # returns
    assert said == ["2 of 2 events were dropped"]
    assert not sink.closed.is_set()  # it is in use
    feed.take([b"late\n"])
    assert feed.dropped == 3
    sink.gate.set()


def test_what_a_sink_gives_up_on_is_counted() -> None:
    sink, said = Refusing(), list[str]()
    feed = open_feed(sink, said)
    feed.take(make(3))
    feed.close()
    assert feed.sent == len(sink.taken)
    assert (feed.sent + feed.dropped, feed.dropped > 0) == (3, True)


def test_where_no_thread_can_begin_everything_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sink, said = Gated(), list[str]()
    feed = open_feed(sink, said)
    feed.take(make(3))
    feed.close()
    assert said == ["3 of 3 events were dropped"]
    assert sink.closed.is_set()
