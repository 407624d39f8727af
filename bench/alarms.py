"""How often scanning is wrong: `python bench/alarms.py` scans ordinary traffic both ways, and prints each finding.

With `--write` both tables, alarms and recall, are written into docs/scanning.md. Goal: fewer than 1 false finding in
10,000 messages. What is found and is no mistake (a private key in a library's tests) is listed as that, each with its
argument in ARGUED; no file is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench import recall  # noqa: E402  found by the line above
from bench.traffic import Message, fetch_scripts, make_traffic  # noqa: E402

from trio_egress.content.detector import Finding, Way  # noqa: E402
from trio_egress.model import Kind  # noqa: E402

PAGE = ROOT / "docs" / "scanning.md"
MARKS = {name: (f"<!-- {name} -->\n", f"<!-- end of {name} -->\n") for name in ("alarms", "recall")}
SCRIPTS = Path.home() / ".cache" / "trio-egress-alarms"

ARGUED: list[tuple[str, str, str]] = [
    (
        "private-key",
        "*/libxmlsec1-dev/examples/*",
        "whole private keys, of the examples of a library for signatures",
    ),
    (
        "private-key",
        "*/libio-socket-ssl-perl/examples/*",
        "whole private keys, of the examples of a library for TLS",
    ),
    (
        "private-key",
        "*/libnet-ssleay-perl/examples/*",
        "whole private keys, of the examples of a library for TLS",
    ),
    (
        "private-key",
        "*!io/netty/handler/ssl/*",
        "a whole private key, with which a library tries what TLS can",
    ),
    ("password-hash", "*/man5/table*.5.gz*", "whole hashes of passwords, of the manual of a table of users"),
    ("private-key", "*/gsutil/*/tests/*", "whole private keys of service accounts, of a library's tests"),
    ("private-key", "*/src/crypto/tls/*_test.go*", "whole private keys, of Go's tests of TLS"),
    ("json-web-token", "*/gsutil/*/tests/*", "whole signed tokens, of a library's tests"),
    (
        "azure-signature",
        "*/botocore/data/datasync/*",
        "a whole signed URL, in the documentation of a service",
    ),
    ("json-web-token", "*/python3-jwt/*", "whole signed tokens, in the documentation of a library for them"),
    ("basic-credentials", "*: patch *", "user and password of a proxy, in this project's own tests"),
    ("database-url", "*: patch *", "a URL with a password, in this project's own examples"),
]
"""A detector, what the source looks like, and why what it finds there is what it looks for."""


class Found(NamedTuple):
    message: Message
    way: Way
    finding: Finding

    @property
    def argument(self) -> str:
        """Why it is no mistake, or ''."""
        name, source = self.finding.detector.name, self.message.source
        return next((why for detector, like, why in ARGUED if detector == name and fnmatch(source, like)), "")

    def tell(self) -> str:
        finding, message = self.finding, self.message
        text = mask(finding)
        place = f"{message.kind}: {message.source}: {self.way.name}: {finding.start}"
        return f"{place}: {finding.detector.name} {'/'.join(finding.via)} {text} {self.argument and 'ARGUED'}"


class Count(NamedTuple):
    messages: int
    size: int
    false: int
    argued: int


def mask(finding: Finding) -> str:
    """What instructs is shown, what may be secret is not."""
    if finding.detector.kind in (Kind.INSTRUCTION, Kind.HIDDEN):
        return repr(finding.value[:160].decode("utf-8", "replace"))
    return f"{finding.value[:4]!r} and {len(finding.value) - 4} more bytes"


def scan_all(messages: Iterable[Message]) -> tuple[dict[str, Count], list[Found]]:
    """By kind, how many messages there were, and how many of them had a finding that is a mistake, or is none."""
    scanner = recall.open_catalogue()
    counted: Counter[tuple[str, str]] = Counter()
    told: list[Found] = []
    for message in messages:
        here = [
            Found(message, way, each) for way in (Way.OUT, Way.IN) for each in scanner.scan(message.data, way)
        ]
        told += here
        counted[message.kind, "messages"] += 1
        counted[message.kind, "size"] += len(message.data)
        if here:
            counted[message.kind, "argued" if all(each.argument for each in here) else "false"] += 1
    kinds = dict.fromkeys(kind for kind, _ in counted)
    return {kind: Count(*(counted[kind, field] for field in Count._fields)) for kind in kinds}, told


def render_alarms(counts: dict[str, Count], told: list[Found]) -> str:
    rows = [
        f"| {kind} | {count.messages:,} | {count.size / 1e6:,.0f} | {count.false} | {count.argued} |"
        for kind, count in [*counts.items(), ("all", add(counts))]
    ]
    head = [
        "| kind | messages | MB | with a false finding | with one that is true |",
        "|---|---:|---:|---:|---:|",
    ]
    total = add(counts)
    rate = f"That is {total.false * 10_000 / max(1, total.messages):.2f} false findings in 10,000 messages."
    lines = ["\n".join([*head, *rows]), rate]
    false = Counter(each.finding.detector.name for each in told if not each.argument)
    if false:
        lines.append("False: " + ", ".join(f"`{name}` {count}" for name, count in false.most_common()) + ".")
    argued = dict.fromkeys((each.finding.detector.name, each.argument) for each in told if each.argument)
    if argued:
        lines.append(
            "True, although nobody sent them:\n\n" + "\n".join(f"- `{name}`: {why}" for name, why in argued)
        )
    return "\n\n".join(lines)


def add(counts: dict[str, Count]) -> Count:
    return Count(*map(sum, zip(*counts.values(), strict=True)))


def write(name: str, text: str, page: str) -> str:
    """The page with that text between its marks."""
    first, last = MARKS[name]
    before, _, rest = page.partition(first)
    _, _, after = rest.partition(last)
    return f"{before}{first}{text}\n{last}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=60_000, metavar="N")
    parser.add_argument("--seed", type=int, default=11, metavar="N")
    parser.add_argument("--scripts", type=Path, default=SCRIPTS, help="where npm puts scripts for browsers")
    parser.add_argument("--recall", action="store_true", help="measure what is found alone")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/scanning.md")
    wanted = parser.parse_args()
    tables = {"recall": recall.render(recall.measure_all())}
    if not wanted.recall:
        fetch_scripts(wanted.scripts)
        counts, told = scan_all(make_traffic(wanted.messages, wanted.seed, wanted.scripts))
        print(*(each.tell() for each in told), sep="\n")
        tables["alarms"] = render_alarms(counts, told)
    for name, table in tables.items():
        print(f"\n{table}")
        if wanted.write:
            PAGE.write_text(write(name, table, PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
