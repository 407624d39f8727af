"""What a run tells outside while it lives: `--events` and `--metrics`. What that takes is loaded where it is asked for.

Rule 1: files and sockets are opened with the caller's rights, before anything runs, and the agent can't reach them.
Rule 2: nothing of it ever ends a run or holds it up: what goes wrong is told.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from trio_egress.cli.plain_file import open_appended, open_plain
from trio_egress.cli.voice import Say
from trio_egress.errors import UsageError
from trio_egress.evidence.receipt import Draft
from trio_egress.runtime.places import refuse_reach
from trio_egress.runtime.spec import RunSpec

if TYPE_CHECKING:
    from trio_egress.telemetry.feed import Feed, Form, Sink
    from trio_egress.telemetry.metrics import Metrics

UNIX, OTLP = "unix:", "otlp:"
JSONL, OCSF = "jsonl", "ocsf"


@contextmanager
def open_outside(options: argparse.Namespace, spec: RunSpec, say: Say) -> Iterator[RunSpec]:
    """The run with what it tells outside, for as long as it lives. Raises UsageError."""
    if not (options.events or options.metrics):
        yield spec
        return
    with ExitStack() as stack:
        feeds = [_open_feed(given, options.events_format, spec, say) for given in options.events]
        metrics, starts = _open_metrics(options.metrics, spec, feeds, say, stack)
        for feed in feeds:
            stack.callback(feed.close)  # before the figures of it are written

        def durable(lines: Sequence[bytes], seconds: float) -> None:
            while starts:
                starts.pop()()
            if metrics is not None:
                metrics.take(lines, seconds)
            for feed in feeds:
                feed.take(lines)

        yield attrs.evolve(
            spec,
            hidden=(*spec.hidden, *_list_hidden(options)),
            watch=spec.watch if metrics is None else _watch(metrics, spec.watch),
            durable=durable,
            count_dropped=partial(_count_dropped, feeds) if feeds else None,
        )


def _count_dropped(feeds: Sequence[Feed]) -> int:
    return sum(feed.dropped for feed in feeds)


def _watch(metrics: Metrics, watch: Callable[[Draft], None] | None) -> Callable[[Draft], None]:
    def both(draft: Draft) -> None:
        metrics.note(draft)
        if watch is not None:
            watch(draft)

    return both


def _open_feed(given: str, form: str, spec: RunSpec, say: Say) -> Feed:
    from trio_egress.telemetry.feed import Feed, Lines

    def tell(text: str) -> None:
        say(f"--events {given}: {text}")

    made: Form = Lines()
    if form == OCSF:
        from trio_egress.telemetry.ocsf import Ocsf

        made = Ocsf(spec.evidence.name, spec.run_id)
    return Feed(spec.redactor.redact(given), _open_sink(given, spec, tell), made, tell)


def _open_sink(given: str, spec: RunSpec, tell: Say) -> Sink:
    if given.startswith(OTLP):
        from trio_egress.telemetry.otlp import OtlpSink

        try:
            return OtlpSink(given.removeprefix(OTLP), spec.run_id, tell)
        except UsageError as error:
            raise UsageError(f"--events {given}: {error}") from None
    if given.startswith(UNIX):
        from trio_egress.telemetry.unix import UnixSink

        sink = UnixSink(_find_socket("--events", given, spec), tell)
        sink.connect()
        return sink
    from trio_egress.telemetry.file import FileSink

    return FileSink(open_appended("--events", given), tell)


def _open_metrics(
    given: Sequence[str], spec: RunSpec, feeds: Sequence[Feed], say: Say, stack: ExitStack
) -> tuple[Metrics | None, list[Callable[[], None]]]:
    """With what is to begin when the run has the rights that it keeps."""
    if not given:
        return None, []
    from trio_egress.telemetry.metrics import Metrics
    from trio_egress.telemetry.scrape import Scrape

    metrics = Metrics(spec.run_id, time.time_ns(), feeds)
    starts: list[Callable[[], None]] = []
    for place in given:
        if place.startswith(UNIX):
            try:
                scrape = Scrape(_find_socket("--metrics", place, spec), metrics.render)
            except OSError as error:
                raise UsageError(f"--metrics {place}: {error.strerror or error}") from None
            starts.append(scrape.start)
            stack.callback(scrape.close)
        else:
            descriptor = open_plain("--metrics", place)
            stack.callback(os.close, descriptor)
            stack.callback(_write_metrics, place, descriptor, metrics, say)
    return metrics, starts


def _write_metrics(place: str, descriptor: int, metrics: Metrics, say: Say) -> None:
    raw = metrics.render().encode()
    try:
        os.ftruncate(descriptor, 0)
        done = os.pwrite(descriptor, raw, 0)
        why = "" if done == len(raw) else f"wrote {done} of {len(raw)} bytes"
    except OSError as error:
        why = str(error.strerror)
    if why:
        say(f"--metrics {place}: {why}: it doesn't hold the figures")


def _find_socket(option: str, given: str, spec: RunSpec) -> str:
    """Its absolute path. Where the agent can write, it could put a socket of its own there, and reach a later one."""
    path = os.path.abspath(given.removeprefix(UNIX))
    home = spec.environment.get("HOME", "")
    refuse_reach(option, given, path, spec.policy.files, str(spec.directory), home)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _list_hidden(options: argparse.Namespace) -> Iterator[Path]:
    """Files, and our own sockets. One that others listen on no sandbox shows, and it may be gone at any time."""
    for given in options.events:
        if not given.startswith((OTLP, UNIX)):
            yield Path(given).absolute()
    for given in options.metrics:
        yield Path(given.removeprefix(UNIX)).absolute()
