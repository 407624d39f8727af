"""Chromium without a window and in its documented no-sandbox mode: inside one it can't build its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import PROXY, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PAGE = """<!DOCTYPE html><p id="one">as served</p>
<script src="late.js"></script>
<img src="http://evil.example/hello" onerror="document.body.dataset.denied = 'yes'">
"""
LATE = "document.getElementById('one').textContent = 'as changed by ' + 2 * 21"

BROWSE = """
chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --no-first-run \\
  --no-default-browser-check --disable-background-networking --disable-sync "${@:2}" \\
  --dump-dom "$1"
"""


@pytest.fixture
def page(web: Web) -> Path:
    folder = web.root / "pages"
    folder.mkdir(exist_ok=True)
    (folder / "one.html").write_text(PAGE)
    (folder / "late.js").write_text(LATE)
    return folder


@pytest.mark.parametrize(
    ("scheme", "options", "transport"),
    [
        ("http", [], "transparent"),
        ("https", ["--ignore-certificate-errors"], "transparent"),
        ("http", [f"--proxy-server={PROXY}"], "forward"),
    ],
)
def test_a_page_is_shown_with_its_script_and_without_what_is_denied(
    place: Place, web: Web, page: Path, scheme: str, options: list[str], transport: str
) -> None:
    policy = write_policy("api.example.com", pins=web.pins("api.example.com", "evil.example"))
    ended = run_job(place, BROWSE, f"{scheme}://api.example.com/pages/one.html", *options, policy=policy)
    assert ended.code == 0, ended.err
    assert '<p id="one">as changed by 42</p>' in ended.text
    assert 'data-denied="yes"' in ended.text
    reached = [outcome for outcome in ended.outcomes if outcome.facts["host"] == "api.example.com"]
    assert transport in {outcome.transport for outcome in reached}
    assert {r["host"].partition(":")[0] for r in web.take_requests()} == {"api.example.com"}
    denied = {str(r.facts["host"]) for r in (*ended.blocks, *ended.queries) if r.verdict == "block"}
    assert "evil.example" in denied
    assert ended.verify() == 0
