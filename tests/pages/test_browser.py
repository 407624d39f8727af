"""The page in a real browser: nothing is fetched, nothing runs, nothing sticks out, and everybody can read it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.evidence.specimens import rewrite, setting
from tests.pages.browser import Tab, open_browser
from tests.pages.specimens import (
    HOSTILE,
    POLICY,
    begin,
    make_dossier,
    write_hostile,
    write_huge,
    write_usual,
)

from trio_egress.pages.dossier import Dossier
from trio_egress.pages.report import render_report

pytestmark = pytest.mark.programs

RUNS: dict[str, Callable[[], Dossier]] = {
    "usual": lambda: make_dossier(write_usual()),
    "empty": lambda: make_dossier(begin().close().lines),
    "huge": lambda: make_dossier(write_huge(600)),
    "hostile": lambda: make_dossier(write_hostile(), policy=f"# {HOSTILE}\n{POLICY}"),
    "observed": lambda: make_dossier(begin().allow("x.example", layer="observe").close().lines),
    "invalid": lambda: make_dossier(rewrite(write_usual(), {3: setting("verdict", HOSTILE)})),
    "denied": lambda: make_dossier(begin().block().close().lines, pinned=False, claimed=False),
}
BAD_PAGE = """<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width"><title>x</title>
<script>console.log("ran")</script><script>throw new Error("x")</script><img src="beside.png" alt="">
<p style="width: 500px; color: #aaa">wide and pale</p>"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in RUNS}
    for name, path in found.items():
        path.write_bytes(render_report(RUNS[name]()))
    return found


def find_overflow(tab: Tab, width: int) -> list[str]:
    """What reaches beyond the right edge."""
    found: list[str] = tab.ask(
        f"[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} + 1)"
        ".map(e => e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 30))"
    )
    return found or (["the page"] if tab.ask("document.documentElement.scrollWidth") > width else [])


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_fetched_nothing_runs_and_nothing_sticks_out(
    tab: Tab, pages: dict[str, Path], name: str
) -> None:
    for width, scheme in ((360, "light"), (360, "dark"), (700, "light"), (1280, "dark")):
        tab.open(pages[name], width, scheme)
        assert tab.behind == {}
        assert find_overflow(tab, width) == [], f"{width} px"
        assert tab.ask("document.scripts.length + document.images.length") == 0


def test_what_is_bad_would_be_seen(tab: Tab, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(BAD_PAGE)
    tab.open(bad, 360)
    assert {"requests", "console", "exceptions"} <= set(tab.behind)
    assert find_overflow(tab, 360)


def test_the_policy_of_the_page_stops_what_would_get_in(
    tab: Tab, pages: dict[str, Path], tmp_path: Path
) -> None:
    """A second wall: were a text not escaped, still nothing would run or be fetched."""
    page = pages["usual"].read_text()
    planted = (
        '<script>document.title = "ran"</script><img src="beside.png"><p style="color: red" id="red">x</p>'
    )
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace("<main>", f"<main>{planted}"))
    tab.open(broken)
    assert tab.ask("document.title") != "ran"
    assert tab.ask("getComputedStyle(document.getElementById('red')).color") != "rgb(255, 0, 0)"
    blocked = [
        one for one in tab.behind.get("issues", ()) if one["issue"]["code"] == "ContentSecurityPolicyIssue"
    ]
    assert len(blocked) >= 3
    assert [one["blockedReason"] for one in tab.behind["failures"]] == ["csp"]


def test_it_is_light_or_dark_as_the_reader_has_it(tab: Tab, pages: dict[str, Path]) -> None:
    shades = []
    for scheme in ("light", "dark"):
        tab.open(pages["usual"], scheme=scheme)
        shades.append(tab.ask("getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(250, 249, 246)", "rgb(19, 21, 24)"]


def test_paper_shows_what_a_screen_folds_away(tab: Tab, pages: dict[str, Path]) -> None:
    hidden = (
        "[...document.querySelectorAll('.probes dd, .source li')].filter(e => !e.checkVisibility()).length"
    )
    tab.open(pages["usual"], scheme="dark")
    assert tab.ask(hidden) > 0
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.call("Page.printToPDF")["data"]
    tab.call("Emulation.setEmulatedMedia", media="")


def test_a_link_leads_to_the_line_of_the_policy(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["usual"])
    assert tab.ask("document.querySelector('a[href=\"#L7\"]').click(); location.hash") == "#L7"
    assert tab.ask("document.querySelector(':target').textContent.trim()") == "[[egress]]"


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkers that no one here wrote, from npm."""
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    subprocess.run([*command, "axe-core@4", "html-validate@9"], cwd=folder, check=True, timeout=600)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["usual", "observed", "invalid", "empty"])
def test_axe_finds_nothing_that_keeps_anybody_from_reading(
    tab: Tab, pages: dict[str, Path], npm: Path, name: str, scheme: str
) -> None:
    """Contrast, headings, landmarks, names of tables and lists: WCAG 2.2 AA, and what is good practice."""
    tab.open(pages[name], 360 if name == "usual" else 1280, scheme)
    tab.ask((npm / "node_modules/axe-core/axe.min.js").read_text() + ";0")
    tab.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    found = tab.ask(
        "axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).slice(0, 3)))"
    )
    assert found == []


def test_axe_would_find_something(tab: Tab, npm: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(BAD_PAGE)
    tab.open(bad)
    tab.ask((npm / "node_modules/axe-core/axe.min.js").read_text() + ";0")
    assert "color-contrast" in tab.ask("axe.run().then(r => r.violations.map(v => v.id))")


def test_html_validate_finds_nothing_wrong(pages: dict[str, Path], npm: Path) -> None:
    rules = {"extends": ["html-validate:standard"], "rules": {"no-inline-style": "error"}}
    (npm / ".htmlvalidate.json").write_text(json.dumps({"root": True, **rules}))
    command = ["node_modules/.bin/html-validate", "--config", ".htmlvalidate.json", "--formatter", "json"]
    ran = subprocess.run(
        [*command, *map(str, pages.values())], cwd=npm, capture_output=True, text=True, check=False
    )
    told = [(m["ruleId"], m["message"]) for one in json.loads(ran.stdout) for m in one["messages"]]
    assert told == []
    bad = npm / "bad.html"
    bad.write_text(BAD_PAGE + "<p><div></p>")
    assert subprocess.run([*command, "bad.html"], cwd=npm, capture_output=True, check=False).returncode == 1
