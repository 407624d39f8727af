"""What was measured, and its three forms: a table, JSON, and a page with plots that loads nothing from anywhere."""

from __future__ import annotations

import html
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from bench.subjects import OURS
from bench.workloads import Row, Workload

WIDTH, BAR, LEFT, RIGHT = 760, 22, 170, 150
COLOURS = ("#0b6e4f", "#8d99ae", "#c1666b", "#4a6fa5", "#d4a017", "#7b5ea7", "#5c6f3b", "#2f4858", "#999")


@attrs.frozen
class Figure:
    """One subject's values in one row, a value for each round."""

    subject: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@attrs.frozen
class Measured:
    """One workload: by row, each subject's figure; and who was not run, with the reason."""

    name: str
    workload: Workload
    figures: Mapping[str, Sequence[Figure]]
    not_run: Mapping[str, str]


def show(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def compare(row: Row, ours: float | None, other: float) -> str:
    """How many times as good ours is."""
    if not ours or not other:
        return ""
    return f"{other / ours if row.less else ours / other:.2f}"


def list_rows(each: Measured) -> Iterator[tuple[str, Row, Sequence[Figure]]]:
    """By title, best first."""
    for key, row in each.workload.rows.items():
        figures = sorted(each.figures.get(key, ()), key=lambda figure: figure.median, reverse=not row.less)
        title = f"{each.workload.title}: {row.title}" if row.title else each.workload.title
        if figures:
            yield f"{title}, {row.unit}", row, figures


def render_table(measured: Sequence[Measured]) -> str:
    """Markdown: medians, the least and the most of all rounds, and how many times as good ours is."""
    lines = ["| | | median | from – to | trio-egress is |", "|---|---|---|---|---|"]
    for each in measured:
        for title, row, figures in list_rows(each):
            ours = next((figure.median for figure in figures if figure.subject == OURS), None)
            for place, figure in enumerate(figures):
                spread = f"{show(min(figure.values))} – {show(max(figure.values))}"
                ratio = "" if figure.subject == OURS else compare(row, ours, figure.median)
                name = f"**{OURS}**" if figure.subject == OURS else figure.subject
                lines.append(
                    f"| {'' if place else title} | {name} | {show(figure.median)} | {spread} | {ratio} |"
                )
        for subject, reason in each.not_run.items():
            told = " ".join(reason.replace("|", "/").split())
            lines.append(f"| {each.workload.title} | {subject} | not run | {told} | |")
    return "\n".join(lines) + "\n"


def render_json(measured: Sequence[Measured], about: Mapping[str, Any]) -> str:
    workloads = [
        {
            "workload": each.name,
            "title": each.workload.title,
            "rows": [
                {
                    "row": key,
                    "title": row.title,
                    "unit": row.unit,
                    "less_is_better": row.less,
                    "subjects": {figure.subject: list(figure.values) for figure in each.figures.get(key, ())},
                }
                for key, row in each.workload.rows.items()
            ],
            "not_run": dict(each.not_run),
        }
        for each in measured
    ]
    return json.dumps({"version": 1, **about, "workloads": workloads}, indent=1, ensure_ascii=False) + "\n"


def render_page(measured: Sequence[Measured], about: Mapping[str, Any]) -> str:
    """One file: SVG in it, no script, nothing from elsewhere."""
    parts = []
    for each in measured:
        parts.append(f"<h2>{html.escape(each.workload.title)}</h2>")
        if each.workload.growth:
            parts.append(draw_curves(each))
        else:
            parts += [draw_bars(title, figures) for title, _, figures in list_rows(each)]
        told = "".join(
            f"<li>{html.escape(name)}: not run: {html.escape(why)}</li>" for name, why in each.not_run.items()
        )
        parts.append(f"<ul>{told}</ul>" if told else "")
    facts = html.escape(", ".join(f"{name} {value}" for name, value in about.items()))
    style = (
        "body{font:15px sans-serif;max-width:800px;margin:2em auto;padding:0 1em}text{font:13px sans-serif}"
    )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>trio-egress: what it costs</title>'
    return f"{head}<style>{style}</style><h1>What it costs</h1><p>{facts}</p>{''.join(parts)}</html>\n"


def draw_bars(title: str, figures: Sequence[Figure]) -> str:
    """A bar for each median, with a line from the least to the most."""
    top = max(max(figure.values) for figure in figures) or 1.0
    room = WIDTH - LEFT - RIGHT
    drawn = [f'<text x="0" y="14" font-weight="bold">{html.escape(title)}</text>']
    for place, figure in enumerate(figures):
        y = 24 + place * BAR
        wide, low, high = (
            LEFT + room * value / top for value in (figure.median, min(figure.values), max(figure.values))
        )
        colour = COLOURS[0] if figure.subject == OURS else COLOURS[1]
        drawn.append(
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{html.escape(figure.subject)}</text>'
        )
        drawn.append(
            f'<rect x="{LEFT}" y="{y + 2}" width="{wide - LEFT:.1f}" height="{BAR - 6}" fill="{colour}"/>'
        )
        drawn.append(
            f'<path d="M{low:.1f} {y + BAR // 2 - 1}H{high:.1f}" stroke="#222" stroke-width="1.5" fill="none"/>'
        )
        drawn.append(f'<text x="{max(wide, high) + 6:.1f}" y="{y + 14}">{show(figure.median)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {30 + len(figures) * BAR}" role="img">{"".join(drawn)}</svg>'


def draw_curves(each: Measured) -> str:
    """A curve for each subject over the sizes; both axes are logarithmic."""
    sizes = [int(key) for key in each.workload.rows]
    curves: dict[str, dict[int, float]] = {}
    for key, figures in each.figures.items():
        for figure in figures:
            curves.setdefault(figure.subject, {})[int(key)] = figure.median
    values = [value for curve in curves.values() for value in curve.values() if value > 0]
    if not values:
        return ""
    low, high = math.log10(min(values)), math.log10(max(values)) + 1e-9
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])
    drawn = []
    for place, (subject, curve) in enumerate(curves.items()):
        points = [
            (
                60 + (WIDTH - 240) * (math.log10(size) - first) / (last - first),
                250 - 220 * (math.log10(value) - low) / (high - low),
            )
            for size, value in curve.items()
            if value > 0
        ]
        if not points:
            continue
        colour = COLOURS[place % len(COLOURS)]
        told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1]
        named = html.escape(f"{subject} {show(curve[max(curve)])}")
        drawn.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="{colour}">{named}</text>')
    for size in sizes:
        x = 60 + (WIDTH - 240) * (math.log10(size) - first) / (last - first)
        drawn.append(f'<text x="{x:.1f}" y="275" text-anchor="middle">{size:,}</text>')
    return f'<svg viewBox="0 0 {WIDTH} 285" role="img">{"".join(drawn)}</svg>'
