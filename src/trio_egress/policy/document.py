"""The tables of a policy file: the whole document, and what messages say of each.

Reads nothing (`keys`).
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from trio_egress.model import RuleLimits
from trio_egress.policy.approval import Ask
from trio_egress.policy.cases import Case
from trio_egress.policy.environment import Env
from trio_egress.policy.files import Files
from trio_egress.policy.includes import Include
from trio_egress.policy.limits import Limits
from trio_egress.policy.mcp_table import McpTable
from trio_egress.policy.problems import Table
from trio_egress.policy.roots import Roots
from trio_egress.policy.rule import Resolve, Terms
from trio_egress.policy.scan import Scan
from trio_egress.policy.scan_keys import ScanTable
from trio_egress.policy.secret import From, Secret
from trio_egress.policy.services import Git, GraphQL, Headers, JsonRpc, Mcp, WebSocket
from trio_egress.policy.sought import Canary
from trio_egress.policy.suppressed import Suppress
from trio_egress.policy.upstream_proxy import UpstreamProxy
from trio_egress.values import frozen


@frozen(kw_only=True)
class Document:
    """The whole file, a field for each key at its top."""

    version: str
    default_deny: bool
    dns_resolution: str = "proxy_only"
    include: tuple[Include, ...] = ()
    egress: tuple[Terms, ...] = ()
    resolve: Resolve = attrs.field(factory=Resolve)
    files: Files = attrs.field(factory=Files)
    env: Env = attrs.field(factory=Env)
    limits: Limits = attrs.field(factory=Limits)
    test: tuple[Case, ...] = ()
    secret: tuple[Secret, ...] = ()
    tls: Roots = attrs.field(factory=Roots)
    upstream: UpstreamProxy | None = None
    scan: ScanTable = attrs.field(factory=ScanTable)
    mcp: McpTable | None = None
    canary: tuple[Canary, ...] = ()


TABLES: Mapping[type, Table] = {
    Document: Table(
        "at the top of the file", {"version": 'version = "1.0"', "default_deny": "default_deny = true"}
    ),
    Terms: Table("in an [[egress]] table", {"destination": 'destination = "api.example.com"'}),
    Files: Table("in the [files] table", {}),
    Env: Table("in the [env] table", {}),
    Limits: Table("in the [limits] table", {}),
    Roots: Table("in the [tls] table", {}),
    UpstreamProxy: Table("in the [upstream] table", {"proxy": 'proxy = "http://proxy.corp.example:3128"'}),
    Case: Table(
        "in a [[test]] table",
        {"attempt": 'attempt = "POST https://api.example.com/v1"', "expect": 'expect = "deny"'},
    ),
    Headers: Table("in a `headers` table", {}),
    Git: Table("in a `git` table", {}),
    GraphQL: Table("in a `graphql` table", {}),
    JsonRpc: Table("in a `jsonrpc` table", {"methods": 'methods = ["eth_call"]'}),
    Mcp: Table("in an `mcp` table", {}),
    McpTable: Table("in the [mcp] table", {}),
    Scan: Table("in a `scan` table", {}),
    ScanTable: Table("in the [scan] table", {}),
    Canary: Table("in a [[canary]] table", {"name": 'name = "aws"'}),
    Suppress: Table(
        "in a [[scan.suppress]] table",
        {
            "finding": 'finding = "sha256:…"',
            "detector": 'detector = "github-token"',
            "reason": 'reason = "an example of the handbook"',
            "expires": 'expires = "2027-03-31"',
        },
    ),
    WebSocket: Table("in a `websocket` table", {}),
    RuleLimits: Table("in a rule's `limits` table", {}),
    Ask: Table("in an `ask` table", {}),
    Secret: Table(
        "in a [[secret]] table", {"name": 'name = "api-token"', "from": 'from = { env = "API_TOKEN" }'}
    ),
    From: Table("in a `from` table", {}),
}
"""What messages say of each table: where it stands, and how a required key is written."""
