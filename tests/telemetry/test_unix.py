"""Events to a Unix socket: a listener that dies, that comes late, that reads nothing."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from trio_egress.telemetry.feed import Patience
from trio_egress.telemetry.unix import UnixSink


def listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(120)
    listener.bind(str(path))
    listener.listen()
    return listener


def test_after_a_listener_that_died_the_next_gets_whole_events(tmp_path: Path) -> None:
    path, said = tmp_path / "events", list[str]()
    sink = UnixSink(str(path), said.append)
    with listen(path) as first:
        assert sink.send([b"1\n"], Patience()) == 1
        one, _ = first.accept()
        with one:
            assert one.recv(100) == b"1\n"
    with listen(path) as second:  # the first has gone without a word
        assert sink.send([b"2\n", b"3\n"], Patience()) == 2
        two, _ = second.accept()
        sink.close()
        with two, two.makefile("rb") as stream:
            assert stream.readlines() == [b"2\n", b"3\n"]
    assert said == ["Broken pipe: events wait, and are dropped when they are too many"]


def test_a_listener_that_comes_late_gets_what_waited(tmp_path: Path) -> None:
    path, missed, said = tmp_path / "events", threading.Event(), list[str]()

    def tell(text: str) -> None:
        said.append(text)
        missed.set()

    sink, sent = UnixSink(str(path), tell), list[int]()
    thread = threading.Thread(target=lambda: sent.append(sink.send([b"1\n"], Patience())))
    thread.start()
    assert missed.wait(120)
    with listen(path) as listener:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            assert stream.readline() == b"1\n"
    thread.join(120)
    sink.close()
    assert sent == [1]
    assert said == ["No such file or directory: events wait, and are dropped when they are too many"]


def test_at_the_end_nobody_is_waited_for(tmp_path: Path) -> None:
    patience = Patience()
    patience.end(3600)
    sink = UnixSink(str(tmp_path / "nobody"), print)
    assert sink.send([b"1\n"], patience) == 0


def test_a_listener_that_reads_nothing_is_waited_for_until_the_end(tmp_path: Path) -> None:
    patience, path = Patience(), tmp_path / "events"
    sink, sent = UnixSink(str(path), print), list[int]()
    with listen(path) as listener:
        event = b"x" * (8 << 20) + b"\n"
        thread = threading.Thread(target=lambda: sent.append(sink.send([b"1\n", event], patience)))
        thread.start()
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            patience.end(0)
            thread.join(120)
    sink.close()
    assert sent == [1]
