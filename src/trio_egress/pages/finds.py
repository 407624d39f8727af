"""What a scan found in what passed: on report.html a section, in summary.md a table, and what to do about each.

Rule 1: nothing of what was found is here: receipts have only commitments to it.
Rule 2: what to do is said of what was done: a credential that left is another matter than one that did not.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.evidence.scan_form import ANSWER, BLOCK, STRIP, SUPPRESSED
from trio_egress.pages.dossier import Dossier
from trio_egress.pages.markup import Content, Html, code, show, tag
from trio_egress.pages.story import Find, Story
from trio_egress.pages.traffic import render_section
from trio_egress.pages.words import count_of

FINDS_SHOWN = 50

_GRAVE = {SUPPRESSED: 3, "warn": 0, BLOCK: 1, STRIP: 2}
"""What was let through goes first: it is past."""

_HARMLESS = "If it is none, suppress it in the policy, with a reason and an end."


def sort_finds(story: Story) -> list[Find]:
    """What was let through first, then the gravest."""
    severities = ("critical", "high", "medium", "low")
    return sorted(
        story.finds.values(),
        key=lambda find: (
            _GRAVE[find.finding.action],
            severities.index(find.finding.severity),
            -find.count,
            find.finding.describe(),
        ),
    )


def is_urgent(story: Story) -> bool:
    """Whether anything was found that the policy does not know to be harmless."""
    return any(find.finding.action != SUPPRESSED for find in story.finds.values())


def advise_find(find: Find) -> str:
    """What a person does about it."""
    finding, came_in = find.finding, find.finding.place.startswith(ANSWER)
    stopped = finding.action in (BLOCK, STRIP)
    match finding.kind:
        case _ if finding.action == SUPPRESSED:
            return "The policy says that it is none: see that its reason still holds."
        case "instruction" | "hidden" if came_in and stopped:
            return f"The agent did not get it. Look at the source: it holds text that is made for a model. {_HARMLESS}"
        case "instruction" | "hidden" if came_in:
            return f"The agent read it: look at the source, and at what the agent did next. {_HARMLESS}"
        case "instruction" | "hidden":
            return f"The agent passes on text that is made for a model: see where it has it from. {_HARMLESS}"
        case "canary" if not stopped:
            return "A value that was planted left: somebody made the agent read it and send it away."
        case "canary":
            return "A value that was planted was about to leave: somebody made the agent read it and send it away."
        case "entropy":
            return f"It looks random enough to be a secret: see what it is. {_HARMLESS}"
        case _ if came_in:
            return f"A credential came in an answer: whoever sent it should replace it. {_HARMLESS}"
        case _ if stopped:
            return f"It did not get there. See how the agent came by it, and replace it if others can have. {_HARMLESS}"
    return f"It left: replace the credential now. {_HARMLESS}"


def describe_find(find: Find) -> str:
    """What was done, how often, and to whom."""
    values = f", {count_of(len(find.values), 'value')}" if find.count > 1 else ""
    return f"{count_of(find.count, 'time')} {find.finding.done}{values}: {', '.join(sorted(find.hosts))}"


def render_finds(dossier: Dossier) -> Html:
    story = dossier.story
    finds = sort_finds(story)
    items = [
        tag(
            "li",
            tag(
                "div",
                tag("h3", show(find.finding.describe(), 300)),
                tag("p", *_tell(find)),
            ),
            tag("div", tag("p", advise_find(find), class_="would")),
        )
        for find in finds[:FINDS_SHOWN]
    ]
    left = sum(find.count for find in finds[FINDS_SHOWN:]) + story.finds_left_out
    more = tag("p", f"… and {count_of(left, 'more finding')}. See evidence.jsonl.", class_="more")
    meant = (
        "Nobody can read here what was found: receipts have a commitment in its place, and whoever has the value can "
        "show that it was that one."
    )
    unscanned = [
        tag("li", f"{count_of(times, 'message')} could not be looked into and went on: {show(reason, 200)}")
        for reason, times in story.unscanned.items()
    ]
    return render_section(
        "found",
        "Found in what passed",
        count_of(sum(find.count for find in story.finds.values()) + story.finds_left_out, "finding"),
        tag("p", meant, class_="more"),
        tag("ol", *items, class_="denials"),
        more if left else None,
        tag("ul", *unscanned, class_="points") if unscanned else None,
    )


def _tell(find: Find) -> Iterator[Content]:
    stopped = find.finding.action in (BLOCK, STRIP)
    yield tag("span", f"{find.count:,} × {find.finding.done}", class_="times" if stopped else "times warn")
    about = [find.finding.severity, f"{find.finding.kind}", count_of(len(find.values), "different value")]
    yield tag("span", ", ".join(about), class_="soft small")
    for host in sorted(find.hosts):
        yield " "
        yield code(show(host, 80))
