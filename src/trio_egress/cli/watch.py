"""`trio-egress watch`: a live run in the terminal, a line for each attempt, until its chain is closed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from trio_egress.cli.paint import choose_paint
from trio_egress.errors import EvidenceError
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.report import Report, Verdict
from trio_egress.evidence.trust import read_trust
from trio_egress.views.follow import Newest, Tail, is_closed
from trio_egress.views.lines import Paint
from trio_egress.views.picture import NOT_VERIFIED
from trio_egress.views.watching import Said, Trust, Watching

FASTEST_SECONDS, SLOWEST_SECONDS = 0.1, 1.0
"""Between two looks: soon after something came, then ever more seldom. Both are less than a person notices."""

SILENT_BEATS = 3
"""So many heartbeats must be missing before the run is said to be silent."""


def main(options: argparse.Namespace) -> int:
    """0 the chain was closed, and holds together; 1 it does not; 2 it can't be read."""
    directory = Path(options.directory)
    try:
        trusted = read_trust(options.public_key)
        return _follow(directory, choose_paint(sys.stdout, os.environ), trusted, as_json=options.json)
    except EvidenceError as error:
        _say(escape_text(str(error)))
        return 2


def _follow(directory: Path, paint: Paint, trusted: Trust, *, as_json: bool) -> int:
    """The run, and any newer one that begins meanwhile, until one has ended."""
    newest = Newest(directory)
    file: Path | None = _wait_run(newest, directory)
    while file is not None:
        watching = Watching(paint, trusted)
        with closing(Tail(file)) as tail:
            newer = _follow_one(tail, watching, newest, as_json=as_json)
        if newer is None:
            _print(watching.finish(), as_json=as_json)
            return _end(watching.conclude(str(file.parent)))
        _say(f"a newer run has begun: {escape_text(str(newer.parent))}")
        file = newer
    return 0


def _wait_run(newest: Newest, directory: Path) -> Path:
    """The evidence file of the run to follow. Of several runs that have all ended, it is the next, however short."""
    file = last = newest.find()
    if last is not None and not (newest.is_one_of_many(last) and is_closed(last)):
        return last
    ended = "no run yet" if last is None else f"the newest run, {last.parent.name}, has ended"
    _say(f"{escape_text(f'{directory}: {ended}')}; waiting for the next")
    pause = _Pause()
    while file is None or file == last:
        pause.wait()
        file = newest.find()
    return file


def _follow_one(tail: Tail, watching: Watching, newest: Newest, *, as_json: bool) -> Path | None:
    """None when the chain is closed, or the evidence file of a newer run."""
    pause, last, told = _Pause(), time.monotonic(), False
    while True:
        came = False
        for raw in tail.read_lines():
            came = True
            _print(watching.feed_overlong() if raw is None else watching.feed(raw), as_json=as_json)
        if watching.is_closed:
            return None
        if came:
            pause, last, told = _Pause(), time.monotonic(), False
        elif (file := newest.find()) not in (None, tail.file):
            return file
        silent = time.monotonic() - last
        if silent > SILENT_BEATS * watching.heartbeat_seconds and not told:
            _say(
                f"nothing recorded for {silent:.0f} s, not even that the recorder lives: the run may have been killed"
            )
            told = True
        pause.wait()


class _Pause:
    """Longer each time."""

    def __init__(self) -> None:
        self._seconds = FASTEST_SECONDS

    def wait(self) -> None:
        time.sleep(self._seconds)
        self._seconds = min(2 * self._seconds, SLOWEST_SECONDS)


def _end(report: Report) -> int:
    if report.verdict is not Verdict.INVALID:
        return 0
    _say(f"{NOT_VERIFIED[report.verdict]}: {report.finding_count} findings")
    return 1


def _print(said: Iterable[Said], *, as_json: bool) -> None:
    for one in said:
        line = json.dumps(one.members) if as_json else one.line
        if line:
            print(line, flush=True)


def _say(text: str) -> None:
    print(f"trio-egress watch: {text}", file=sys.stderr, flush=True)
