"""The pages hang together: each is in the site's list, each link and anchor leads somewhere, what they quote is there.

`nox -s docs` builds the site of them and is as strict; this needs nothing but the files.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

import trio_egress

ROOT = Path(__file__).parents[1]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
NAV = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMES = {"EVIDENCE_NAME": "evidence.jsonl"}
"""What stands for itself in a message of the source."""


def read_prose(page: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", (ROOT / page).read_text("utf-8"))


def find_anchors(page: str) -> set[str]:
    """As GitHub and the site name them: of equal ones the second ends in -1."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ (.+)$", read_prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.strip("` ").lower()).strip().replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def find_faults(page: str, text: str) -> Iterator[str]:
    """Links that lead nowhere; what is outside of the repository is not looked at."""
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        if not target.is_file():
            yield f"{page}: {link}: no such file"
        elif anchor and anchor not in find_anchors(str(target.relative_to(ROOT))):
            yield f"{page}: {link}: no such heading"


def test_the_comparison_has_a_row_for_each_attack_that_is_tried() -> None:
    tree = ast.parse((ROOT / "bench/neighbours/main.py").read_text("utf-8"))
    (rows,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROWS"
    )
    table = re.findall(
        r"^\| ([^|]+) \| (?!-)", (ROOT / "docs/comparison.md").read_text("utf-8"), re.MULTILINE
    )
    assert [row for row in table if row.strip()] == list(rows.values())
    attacks = (ROOT / "bench/neighbours/attacks.py").read_text("utf-8")
    assert set(re.findall(r"mark\(.(\w+).\)", attacks)) | {"dns", "sni", "exfiltrate"} == set(rows)


def test_the_reference_has_each_public_name_where_it_is_and_each_has_a_docstring() -> None:
    listed = re.findall(
        r"^::: trio_egress\.(\S+)\.(\w+)$", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE
    )
    public = {name: place for name, place in trio_egress._PLACES.items() if name != "PIPE"}
    assert {name: place for place, name in listed} == public
    assert [name for name in public if not getattr(trio_egress, name).__doc__] == []


def test_every_page_is_in_the_list_of_the_site_once() -> None:
    assert len(PAGES) > 20
    assert sorted(NAV) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    assert list(find_faults(page, read_prose(page))) == []


@pytest.mark.parametrize("link", ["docs/no-such.md", "docs/policy.md#no-such-heading", "#no-such-heading"])
def test_a_link_that_leads_nowhere_is_seen(link: str) -> None:
    assert len(list(find_faults("README.md", f"[so]({link})"))) == 1


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [page for page in PAGES if page != "README.md" and f"]({page}" not in text] == []


# Messages


def read_messages() -> Iterator[str]:
    """Every text of the source, with an ellipsis for what is put in."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(map(render_part, node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def render_part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    named = isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name)
    return NAMES.get(part.value.id, "…") if named else "…"  # type: ignore[attr-defined]


def test_every_message_of_the_questions_still_stands_in_the_source() -> None:
    headings = re.findall(r"^### (`.*`)$", read_prose("docs/faq.md"), re.MULTILINE)
    quoted = {
        heading.strip("`").strip() if heading.startswith("`` ") else strip_one(heading)
        for heading in headings
    }
    assert len(quoted) > 12
    messages = list(read_messages())
    assert [one for one in sorted(quoted) if not any(one in message for message in messages)] == []


def strip_one(heading: str) -> str:
    """What stands between as many backticks as it begins with."""
    ticks = len(heading) - len(heading.lstrip("`"))
    return heading[ticks:-ticks].strip()


# Dependencies


def test_every_dependency_is_bounded_and_has_its_reason() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(f"{one} ({name})" for name, ones in project["optional-dependencies"].items() for one in ones),
    ]
    rows = re.findall(
        r"^\| `([^`]+)`(?: \(`([\w-]+)`\))? \| (\S.+) \|$", read_prose("docs/dependencies.md"), re.MULTILINE
    )
    assert [f"{one} ({extra})" if extra else one for one, extra, _ in rows] == wanted
    assert [one for one in wanted if not re.search(r"[>=]=\d", one)] == []
