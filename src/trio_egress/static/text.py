"""An outcome for a terminal: a line for each finding that counts, its line of text, masked, and a sum at the end."""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.static.excerpt import escape_name
from trio_egress.static.outcome import Outcome, Told


def render_text(outcome: Outcome, *, quiet: bool = False) -> Iterator[str]:
    """Lines without their ends. `quiet`: no sum."""
    for told in outcome.new:
        yield from _render(told)
    if not quiet:
        yield render_sum(outcome)


def render_sum(outcome: Outcome) -> str:
    """One line."""
    counts = outcome.count()
    parts = [_number(counts["block"], "finding that blocks", "findings that block")]
    parts.append(f"{counts['warn']} to be warned of")
    parts += [f"{counts[word]} {said}" for word, said in _ASIDE if counts[word]]
    return f"{_number(outcome.sources, 'file', 'files')} looked through: {', '.join(parts)}"


_ASIDE = (("baseline", "known by the baseline"), ("comment", "allowed by a comment"))


def describe(told: Told) -> str:
    """What it is, and how it was spelt."""
    hit = told.hit
    via = f", in {', in '.join(hit.via)}" if hit.via else ""
    return f"{hit.detector.description.rstrip('.')} ({hit.detector.name}{via})"


def _render(told: Told) -> Iterator[str]:
    hit, place = told.hit, told.hit.place
    word = "error" if told.blocks else "warning"
    yield f"{escape_name(hit.path)}:{place.line}:{place.column}: {word}: {describe(told)}"
    gutter = " " * len(str(place.line))
    yield f"    {place.line} | {hit.excerpt.text}"
    yield f"    {gutter} | {' ' * hit.excerpt.at}{'^' * hit.excerpt.mark}"


def _number(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
