"""What the schema says of each key is what the pages say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.policy.test_reference import TEXT, quoted, table

from trio_egress.model import RuleLimits
from trio_egress.policy.approval import Ask
from trio_egress.policy.cases import Case
from trio_egress.policy.document import Document
from trio_egress.policy.environment import Env
from trio_egress.policy.files import Files
from trio_egress.policy.limits import Limits
from trio_egress.policy.mcp_table import McpTable
from trio_egress.policy.meanings import MEANINGS
from trio_egress.policy.roots import Roots
from trio_egress.policy.rule import Terms
from trio_egress.policy.scan import Scan
from trio_egress.policy.scan_keys import ScanTable
from trio_egress.policy.secret import From, Secret
from trio_egress.policy.services import Git, GraphQL, Headers, JsonRpc, Mcp, WebSocket
from trio_egress.policy.sought import Canary
from trio_egress.policy.suppressed import Suppress
from trio_egress.policy.upstream_proxy import UpstreamProxy

_TABLES = {
    name: f"[{name}]" for name in ("resolve", "files", "env", "limits", "tls", "upstream", "scan", "mcp")
}


@pytest.mark.parametrize(
    ("header", "keys", "named"),
    [
        (
            "| key | | meaning",
            Document,
            {
                "egress": "[[egress]]",
                "test": "[[test]]",
                "secret": "[[secret]]",
                "canary": "[[canary]]",
                **_TABLES,
            },
        ),
        ("| key of a rule", Terms, {}),
        ("| key of a secret", Secret, {}),
        ("| key of `from`", From, {}),
        ("| key | default | meaning |\n|---|---|---|\n| `write`", Files, {}),
        ("| key | default | meaning |\n|---|---|---|\n| `pass`", Env, {}),
        ("| key | at least", Limits, {}),
        ("| key of `[tls]`", Roots, {}),
        ("| key of `[upstream]`", UpstreamProxy, {}),
        ("| key of `[scan]`", ScanTable, {}),
        ("| key of a suppression", Suppress, {}),
        ("| key of a canary", Canary, {}),
        ("| key of `[mcp]`", McpTable, {}),
    ],
)
def test_each_key_means_on_its_page_what_the_schema_says(
    header: str, keys: type, named: dict[str, str]
) -> None:
    _, _, after = TEXT.partition(f"\n{header}")
    rows = [line for line in (header + after).split("\n\n")[0].splitlines() if line.startswith("| `")]
    found = {quoted(row)[0]: row.strip("|").split(" | ")[-1].strip() for row in rows}
    assert found == {named.get(key, key): meaning for key, meaning in MEANINGS[keys].items()}


def test_each_key_of_a_table_inside_a_rule_means_on_its_page_what_the_schema_says() -> None:
    inner = {"headers": Headers, "git": Git, "graphql": GraphQL, "jsonrpc": JsonRpc, "mcp": Mcp}
    tables = {**inner, "scan": Scan, "websocket": WebSocket, "limits": RuleLimits, "ask": Ask}
    assert {quoted(key)[0]: meaning for key, meaning in table("| key inside a rule")} == {
        f"{name}.{key}": meaning for name, keys in tables.items() for key, meaning in MEANINGS[keys].items()
    }


def test_each_key_of_a_test_means_what_the_schema_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "working-with-policies.md").read_text(encoding="utf-8")
    rows = page.partition("| key of a test")[2].split("\n\n")[0].splitlines()[2:]
    found = {quoted(row)[0]: row.strip("|").split(" | ")[-1].strip() for row in rows}
    assert found == dict(MEANINGS[Case])
