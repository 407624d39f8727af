"""What came of each attack, as rows for a person or a program. Pure: answers and findings in, text out.

Rule 1: a row is refused when the program inside says so and nothing outside says otherwise.
Rule 2: a control says whether the same attack works outside. Where it does not, the row shows a closed door behind a
closed door, and says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from trio_egress.kernel.attacks import ATTACKS, DENIED, Attack
from trio_egress.kernel.posture import Wrong
from trio_egress.values import frozen

WIDTHS = (9, 47, 40)
GAP = "  "
HEADS = ("", "the agent tried to", "and what came of it")
GREEN, RED, BOLD, DIM = "32", "31", "1", "2"


@frozen
class Row:
    """One attack. `answer`: what the kernel or the proxy said inside, or what was seen outside.

    `control`: None where it is not tried outside; else what came of it there, empty where it works.
    """

    name: str
    tried: str
    refused: bool
    answer: str
    control: str | None = None


def judge_start(probes: Mapping[str, str], wrong: Sequence[Wrong]) -> list[Row]:
    """The rows of the posture, as measured before the run."""
    bad = {item.probe: item for item in wrong}
    rows = []
    for attack in ATTACKS:
        if attack.at_start:
            answer = probes.get(attack.name, "was not tried")
            rows.append(Row(attack.name, attack.tried, attack.name not in bad, answer))
    return rows


def judge_longer(
    answers: Mapping[str, str],
    found: Mapping[str, str],
    controls: Mapping[str, str],
    outside: Mapping[str, str],
) -> list[Row]:
    """The doctor's own rows. `found` and `outside`: what the canaries of the two passes saw, by row."""
    rows = []
    for attack in ATTACKS:
        if not attack.at_start:
            through = find_through(attack, answers, found)
            control = None
            if attack.control:
                control = "" if find_through(attack, controls, outside) else controls.get(attack.name, "")
            answer = through or answers[attack.name]
            rows.append(Row(attack.name, attack.tried, not through, answer, control))
    return rows


def find_through(attack: Attack, answers: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What got through; nothing where the attack was refused."""
    if attack.name in found:
        return found[attack.name]
    answer = answers.get(attack.name, "the attacking program did not get there")
    if answer.startswith(DENIED) if attack.expected == DENIED else answer == attack.expected:
        return ""
    return answer or "the attacking program said nothing"


def render_rows(rows: Sequence[Row], *, colour: bool) -> str:
    """At most 100 characters wide; ends with a line feed."""
    heads = (head.ljust(width) for head, width in zip(HEADS, WIDTHS, strict=True))
    lines = [_paint(GAP.join(heads).rstrip(), DIM, colour)]
    for row in rows:
        lines += _render_row(row, colour)
    return "".join(f"{line}\n" for line in lines)


def _render_row(row: Row, colour: bool) -> Iterator[str]:
    verdict = "refused" if row.refused else "HOLE"
    answer = row.answer.removeprefix(DENIED)
    if row.control is not None:
        works = f"outside: {row.control.removeprefix(DENIED) or 'it works'}"
        answer = f"{answer} ({works})"
    columns = (verdict, row.tried, answer)
    cells = [
        textwrap.wrap(_printable(text), width, break_on_hyphens=False)
        for text, width in zip(columns, WIDTHS, strict=True)
    ]
    for number, parts in enumerate(zip_longest(*cells, fillvalue="")):
        padded = [part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)]
        if number == 0:
            padded[0] = _paint(verdict, GREEN if row.refused else f"{BOLD};{RED}", colour) + " " * (
                WIDTHS[0] - len(verdict)
            )
        yield GAP.join(padded).rstrip()


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)
