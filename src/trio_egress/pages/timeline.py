"""A run over time, as inline SVG: allowed above the line, denied below it, for all hosts and for the busiest.

Rule 1: place tells allowed from denied, and then texture; colour only repeats it.
Rule 2: no text in the SVG, which is stretched to the width of the page; what it shows is said beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.pages.markup import Html, show, tag
from trio_egress.pages.story import BINS, Story, Strip
from trio_egress.pages.words import count_of, render_seconds

LANES = 12
NAME_CHARS = 29
TICKS = 4
_STEP = 6
_BAR = 5


def render_timeline(story: Story) -> Html:
    """A list of strips and their axis. There is something to show."""
    busiest = sorted(
        (host for host in story.hosts.values() if host.attempts),
        key=lambda host: (-host.attempts, host.name),
    )
    lanes = [_lane("All hosts", story.strip, story.allowed, story.denied, whole=True)]
    lanes += [_lane(_cut(show(host.name)), host.strip, host.allowed, host.denied) for host in busiest[:LANES]]
    left = len(busiest) - LANES
    return tag(
        "div",
        tag("ol", *lanes, class_="lanes"),
        _axis(story),
        tag("p", f"… and {count_of(left, 'more host')}, in the first row alone.", class_="more")
        if left > 0
        else None,
        class_="timeline",
    )


def _lane(name: str, strip: Strip, allowed: int, denied: int, *, whole: bool = False) -> Html:
    said = f"{allowed:,} allowed, {denied:,} denied"
    return tag(
        "li",
        tag("span", name, class_="lane-name" if whole else "lane-name mono"),
        tag("span", said, class_="lane-count"),
        draw_strip(strip, 28 if whole else 10),
        class_="whole" if whole else None,
    )


def _cut(name: str) -> str:
    """The end of a long name: there stands whose it is."""
    return name if len(name) <= NAME_CHARS else f"…{name[1 - NAME_CHARS :]}"


def draw_strip(strip: Strip, height: int) -> Html:
    """Two rows of bars; a bar is as high as its moment was busy, against the busiest."""
    most = max(1, *strip.allowed, *strip.denied)
    width = BINS * _STEP
    return tag(
        "svg",
        tag("path", d=f"M0 {height}h{width}v1h-{width}z", class_="line"),
        _path(_bars(strip.allowed, most, height, 0), "yes"),
        _path(_bars(strip.denied, most, height, height + 1), "no"),
        viewBox=f"0 0 {width} {2 * height + 1}",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )


def _path(bars: Iterator[str], class_: str) -> Html | None:
    drawn = "".join(bars)
    return tag("path", d=drawn, class_=class_) if drawn else None


def _bars(row: bytearray, most: int, height: int, top: int) -> Iterator[str]:
    for place, count in enumerate(row):
        if count:
            tall = max(height * 2 // 5, round(height * count / most))
            start = height - tall if top == 0 else top
            yield f"M{place * _STEP} {start}h{_BAR}v{tall}h-{_BAR}z"


def _axis(story: Story) -> Html:
    span = story.ended_ns - story.started_ns
    marks = [render_seconds(span * tick // TICKS) for tick in range(TICKS + 1)]
    return tag("div", *(tag("span", mark) for mark in ["0", *marks[1:]]), class_="axis", aria_hidden="true")


def draw_share(part: int, whole: int) -> Html:
    """A bar of that share, for the eye alone: the number stands beside it."""
    width = min(100, max(1, round(100 * part / whole))) if whole and part else 0
    return tag(
        "svg",
        tag("rect", width=100, height=3, class_="line"),
        tag("rect", width=width, height=3, class_="share") if width else None,
        viewBox="0 0 100 3",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="bar",
    )
