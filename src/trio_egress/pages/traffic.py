"""Of report.html: when, who was contacted, and what was denied with what would allow it.

Rule 1: a table shows the first of a long list and says how many more there are; its sums are of all.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.pages.advice import Advice, Place, find_place
from trio_egress.pages.dossier import Dossier
from trio_egress.pages.markup import Content, Html, code, show, tag
from trio_egress.pages.story import Denial, Host, Story
from trio_egress.pages.timeline import draw_share, render_timeline
from trio_egress.pages.words import count_of, render_bytes, render_count, render_seconds

HOSTS_SHOWN = 100
DENIALS_SHOWN = 40
SOURCE_LINES = 240
"""Lines of a policy that are shown, and linked to."""

_KINDS = {"dns": "name lookup", "tls": "TLS", "ssh": "SSH", "tcp": "TCP", "udp": "UDP", "icmp": "ICMP"}


def render_section(name: str, title: str, lede: Content, *content: Content) -> Html:
    return tag(
        "section",
        tag("header", tag("h2", title, id=f"{name}-title"), tag("p", lede, class_="lede") if lede else None),
        tag("div", *content),
        id=name,
        aria_labelledby=f"{name}-title",
    )


def render_times(dossier: Dossier) -> Html:
    story = dossier.story
    if not story.allowed and not story.denied:
        empty = tag("p", "There was no traffic: nothing to draw.", class_="empty")
        return render_section("timeline", "Timeline", None, empty)
    legend = tag(
        "p",
        tag("span", _swatch("yes"), "above the line: allowed"),
        tag("span", _swatch("no"), "below it: denied"),
        tag("span", "the higher, the more at that moment"),
        class_="legend",
    )
    lasted = render_seconds(story.ended_ns - story.started_ns)
    return render_section(
        "timeline",
        "Timeline",
        f"{lasted}, from the first receipt to the last",
        legend,
        render_timeline(story),
    )


def _swatch(class_: str) -> Html:
    top = 0 if class_ == "yes" else 4
    return tag(
        "svg",
        tag("rect", width=10, height=1, y=5, class_="line"),
        tag("rect", width=10, height=6, y=top, class_=class_),
        viewBox="0 0 10 10",
        aria_hidden="true",
    )


# who was contacted


def render_contacts(dossier: Dossier) -> Html:
    story = dossier.story
    reached, looked_up = story.reached, sum(1 for h in story.hosts.values() if h.lookups and not h.attempts)
    notes = []
    if looked_up:
        names = count_of(looked_up, "name was", "names were")
        notes.append(tag("p", f"{names} looked up and not contacted.", class_="more"))
    if story.missed:
        shown, more = ", ".join(story.missed[:HOSTS_SHOWN]), len(story.missed) - HOSTS_SHOWN
        others = f" and {more:,} more" if more > 0 else ""
        notes.append(tag("p", f"Allowed, and not reached: {shown}{others}.", class_="more"))
    said = [_tabulate(_SAID, story.said)] if story.said else []
    if not reached:
        words = "Nothing was contacted." if said else "Nothing was contacted: no byte left the sandbox."
        return render_section("contacted", "Contacted", None, tag("p", words, class_="empty"), *notes, *said)
    left = reached[HOSTS_SHOWN:]
    if left or story.others.allowed:
        notes.insert(0, tag("p", _tell_others(left, story.others), class_="more"))
    table = _tabulate(_CONTACTED, reached, story.others)
    return render_section("contacted", "Contacted", count_of(len(reached), "host"), table, *notes, *said)


_CONTACTED = (
    "Hosts that something was let through to, those that were sent most first.",
    ("Host", "Allowed", "Denied", "Sent", "Received"),
)
_SAID = (
    "What an MCP server and its client said to each other over standard streams, what was said most first.",
    ("Message", "Allowed", "Denied", "Sent", "Answered"),
)


def _tabulate(words: tuple[str, tuple[str, ...]], hosts: list[Host], *others: Host) -> Html:
    """The first of them, and the sums of all."""
    caption, columns = words
    most = max(host.bytes_up for host in hosts)
    heads = (
        tag("th", name, scope="col", class_="number" if place else None) for place, name in enumerate(columns)
    )
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *(_contact(columns, host, most) for host in hosts[:HOSTS_SHOWN])),
        _total(columns, [*hosts, *others]) if len(hosts) > 1 else None,
        class_="folds",
    )


def _tell_others(left: list[Host], others: Host) -> str:
    allowed = sum(host.allowed for host in left) + others.allowed
    up, down = (
        sum(getattr(h, name) for h in left) + getattr(others, name) for name in ("bytes_up", "bytes_down")
    )
    more = count_of(len(left), "more host") if not others.allowed else f"more than {len(left):,} more hosts"
    sums = f"{allowed:,} allowed, {render_bytes(up)} sent, {render_bytes(down)} received"
    return f"… and {more}: {sums}. See evidence.jsonl."


def _contact(columns: tuple[str, ...], host: Host, most: int) -> Html:
    return tag(
        "tr",
        tag(
            "th",
            code(show(host.name, 200)),
            tag("span", ", ".join(show(way, 24) for way in sorted(host.ways)), class_="ways"),
            scope="row",
        ),
        _number(columns[1], render_count(host.allowed)),
        _number(columns[2], render_count(host.denied)),
        _number(columns[3], _size(host.bytes_up), draw_share(host.bytes_up, most)),
        _number(columns[4], _size(host.bytes_down)),
    )


def _total(columns: tuple[str, ...], hosts: list[Host]) -> Html:
    allowed, denied, up, down = (
        sum(getattr(host, name) for host in hosts) for name in ("allowed", "denied", "bytes_up", "bytes_down")
    )
    return tag(
        "tfoot",
        tag(
            "tr",
            tag("th", "In all", scope="row"),
            _number(columns[1], render_count(allowed)),
            _number(columns[2], render_count(denied)),
            _number(columns[3], _size(up)),
            _number(columns[4], _size(down)),
        ),
    )


def _size(size: int) -> Html:
    return tag("span", render_bytes(size), title=f"{size:,} bytes")


def _number(label: str, *content: Content) -> Html:
    return tag("td", *content, class_="number", data_label=label)


# what was denied


def sort_denials(story: Story) -> list[Denial]:
    """The most frequent first."""
    return sorted(story.denials.values(), key=lambda d: (-d.count, d.first_ns, str(d.record.get("target"))))


def render_denials(dossier: Dossier) -> Html:
    story = dossier.story
    denials = sort_denials(story)
    if not denials:
        return render_section("denied", "Denied", None, tag("p", "Nothing was denied.", class_="empty"))
    shown, left = denials[:DENIALS_SHOWN], denials[DENIALS_SHOWN:]
    notes = []
    if left or story.denials_left_out:
        times = sum(denial.count for denial in left) + story.denials_left_out
        kinds = "more kinds" if story.denials_left_out else f"{count_of(len(left), 'more kind')} of attempts"
        notes.append(tag("p", f"… and {kinds}, {times:,} times. See evidence.jsonl.", class_="more"))
    intro = (
        "A rule that is shown is the smallest that would let the attempt through. It is no advice to add it."
    )
    observed = sum(denial.count for denial in denials if denial.observed)
    title = "Would be denied" if observed and not story.denied else "Denied"
    lede = count_of(story.denied + observed, "attempt")
    items = tag("ol", *(_denial(dossier, denial) for denial in shown), class_="denials")
    return render_section("denied", title, lede, tag("p", intro, class_="more"), items, *notes)


def _denial(dossier: Dossier, denial: Denial) -> Html:
    word = "let through" if denial.observed else "denied"
    advice = dossier.advise(denial)
    return tag(
        "li",
        tag(
            "div",
            tag("h3", show(name_target(denial))),
            tag(
                "p",
                tag(
                    "span", f"{denial.count:,} × {word}", class_="times warn" if denial.observed else "times"
                ),
                tag("span", ", ".join(_describe(dossier, denial)), class_="soft small"),
            ),
            tag("p", show(denial.facts.get("reason"), 300), _link(dossier, denial), class_="reason"),
        ),
        tag("div", *_advise(advice)),
    )


def _advise(advice: Advice) -> Iterator[Content]:
    if advice.rule:
        yield tag("p", "This would allow it:", class_="would")
        yield tag("pre", tag("code", show_lines(advice.rule)))
    elif advice.words:
        yield tag("p", advice.words, class_="would")


def name_target(denial: Denial) -> str:
    """What was tried, without the word before it that `describe_kind` says better."""
    target = denial.record.get("target")
    return target.removeprefix("dns:").removeprefix("syscall:") if isinstance(target, str) else ""


def describe_kind(denial: Denial) -> str:
    """`name lookup`, `HTTP POST`, `UDP`, `system call`."""
    proto, method = show(denial.facts.get("proto"), 24), show(denial.record.get("method"), 24)
    if denial.record.get("transport") == "syscall":
        return "system call"
    return f"HTTP {method}".strip() if proto == "http" else _KINDS.get(proto, proto)


def _describe(dossier: Dossier, denial: Denial) -> Iterator[str]:
    if kind := describe_kind(denial):
        yield kind
    if denial.targets > 1:
        yield "the first of several"
    at = max(0, denial.first_ns - dossier.story.started_ns)
    yield f"first after {render_seconds(at)}"


def _link(dossier: Dossier, denial: Denial) -> Content:
    """To the rule's line, where that is on this page."""
    place = find_place(denial.facts)
    if place is None or not is_shown(dossier, denial, place):
        return None
    return [" ", tag("a", f"policy line {place.line}", href=f"#L{place.line}", class_="small")]


def is_shown(dossier: Dossier, denial: Denial, place: Place) -> bool:
    """Whether that line of that policy is on the page: not of an included file, nor of a policy that came later."""
    first = denial.record.get("policy_hash") == dossier.report.policy_hash
    lines = dossier.policy_text.count("\n") + 1 if dossier.policy_name else 0
    return first and not place.file and 0 < place.line <= min(SOURCE_LINES, lines)


def show_lines(text: str) -> str:
    return "\n".join(show(line) for line in text.splitlines())
