"""What each key of a policy means, in one sentence: for the JSON Schema and for docs/policy.md, which tests hold equal.

Reads nothing and judges nothing. A new key has its line here, in the words that people will read.
"""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.model import RuleLimits
from trio_egress.policy.approval import Ask
from trio_egress.policy.cases import Case
from trio_egress.policy.document import Document
from trio_egress.policy.environment import Env
from trio_egress.policy.files import Files
from trio_egress.policy.limits import Limits
from trio_egress.policy.mcp_table import McpTable
from trio_egress.policy.roots import Roots
from trio_egress.policy.rule import Terms
from trio_egress.policy.scan import Scan
from trio_egress.policy.scan_keys import ScanTable
from trio_egress.policy.secret import From, Secret
from trio_egress.policy.services import Git, GraphQL, Headers, JsonRpc, Mcp, WebSocket
from trio_egress.policy.sought import Canary
from trio_egress.policy.suppressed import Suppress
from trio_egress.policy.upstream_proxy import UpstreamProxy

_SCAN: Mapping[str, str] = {
    "secret": "what becomes of credentials, known by their form: `block`, `warn` or `off`",
    "exact": "what becomes of values of this run: those that are secret in it, or look so",
    "canary": "what becomes of canaries",
    "instruction": "what becomes of text that is made to be obeyed by a model: `block`, `strip`, `warn` or `off`",
    "hidden": "what becomes of text that a model reads and a person does not see",
    "entropy": "what becomes of what looks random enough to be a secret",
    "detectors": 'what becomes of the findings of single detectors, by their names: `{ "github-token" = "warn" }`',
    "requests": "whether requests are looked through; `true` without it",
    "answers": "whether answers are looked through; `true` without it",
    "whole": (
        "up to which size a body is looked through whole before any of it goes on; a larger one goes on in pieces, "
        'each when it has been looked through. `"1 MiB"` without it'
    ),
    "unreadable": "what becomes of what can't be looked into: `block`, which it is without it, or `warn`",
}
"""Of a rule, or of all of them."""

_MCP = {
    "methods": "the methods that may be called; without it, all of them",
    "tools": "the tools that `tools/call` may call; without it, all of them",
    "arguments": '[what a tool may be called with](#arguments-of-tools): `{ "read_*" = { path = "/src/**" } }`',
    "server_methods": "the methods that the server may call of its client, and its notifications; without it, all",
}

MEANINGS: Mapping[type, Mapping[str, str]] = {
    Document: {
        "version": '`"1.0"`',
        "default_deny": (
            "`true`; nothing else is accepted. It is written out so that a reader need not know it"
        ),
        "dns_resolution": (
            '`"proxy_only"`, which is also the default: the agent never reaches a resolver, and a denied name is never '
            "resolved by anybody"
        ),
        "include": "[other files and presets](#several-files-include) that belong to the policy",
        "egress": "one rule: what is allowed",
        "resolve": "where a host is, whatever a resolver says",
        "files": "what the agent may write, does not see, and must not change",
        "env": "which variables it gets",
        "limits": "how much of the machine it may use",
        "test": "[what the policy must decide](working-with-policies.md#testing-one); a test means nothing else",
        "secret": "[what is secret](#secrets-secret): it is in no receipt, log, report or message",
        "tls": "[further roots](#further-roots-tls) under which upstreams are verified",
        "upstream": "[a company's proxy](#a-companys-proxy-upstream) by which everything goes out",
        "scan": "[how it is looked through](#scanning-scan), for all rules, and what for",
        "mcp": "[what an MCP server and its client say](#mcp-servers-mcp) to each other over standard streams",
        "canary": "[values in the agent's way](#canaries-canary) that nothing good would send",
    },
    Terms: {
        "destination": "a host, the names below a domain, or a network; perhaps with a port",
        "name": "a short word for the rule, which receipts and denials show",
        "reason": "why the rule is there, in one line; a rule with `deny` tells it with each denial",
        "deny": "the rule denies instead, whatever other rules allow",
        "ports": 'the ports it is for: numbers, and ranges such as `"8000-8099"`',
        "protocol": "what may be spoken: `http`, `https`, `ws`, `wss`, `ssh`, `tcp`; one, or a list",
        "host_keys": "[the keys](ssh.md) of which an SSH server must show one: fingerprints, or the keys themselves",
        "methods": "the HTTP methods that are allowed; without it, all of them",
        "paths": "patterns over the path of a request",
        "query": "the names of the parameters that a query may have",
        "headers": "header fields: `required`, `forbidden`",
        "git": "repositories for git, over HTTP(S) or [SSH](ssh.md#git-with-a-key-outside): `fetch`, `push`",
        "graphql": (
            "what a GraphQL request may ask for: `operations`, `queries`, `mutations`, `subscriptions`"
        ),
        "jsonrpc": "`methods` of JSON-RPC",
        "mcp": "`methods` and `tools` of MCP over HTTP",
        "tls": '`"intercept"` or `"passthrough"`',
        "scan": "whether what is sent and answered is [looked through](#scan): `true`, or a table that says how",
        "websocket": "[WebSockets](websocket.md#what-a-rule-says): whether, by whom, and with what messages",
        "times": "when the rule holds",
        "limits": "how much it may be used: `requests`, `connections`, `bytes_up`, `bytes_down`, `body`",
        "ask": "whether somebody is [asked first](#ask): `true`, or a table that says how long is waited",
        "allow_private": "whether the rule may lead to addresses that are not outside",
    },
    Ask: {
        "seconds": "how long an answer is waited for, 1 to 3600; then it is a denial. 60 without it",
    },
    Headers: {
        "required": "fields that a request must have",
        "forbidden": "fields that it must not have",
    },
    Git: {
        "fetch": 'repositories that may be cloned and fetched, such as `"org/*"`',
        "push": "repositories that may be pushed to",
    },
    GraphQL: {
        "operations": "names of operations",
        "queries": "fields at the root of a query",
        "mutations": "fields at the root of a mutation",
        "subscriptions": "fields at the root of a subscription",
    },
    JsonRpc: {"methods": "the methods that may be called; `*` stands for any characters"},
    Mcp: _MCP,
    McpTable: {
        **_MCP,
        "scan": "whether what both say is [looked through](#scan): `true`, or a table that says how",
    },
    Scan: _SCAN,
    WebSocket: {
        "enabled": "whether the rule allows WebSockets; `true` where the table stands without it",
        "frame_scan": "whether their messages are scanned",
        "origins": "the origins, one of which has to ask",
        "subprotocols": "the subprotocols that may be offered, one at least",
        "binary": "whether binary messages are allowed, as without it",
        "message": 'bytes of the largest message, beneath its compression; a number, or a size such as `"1 MiB"`',
        "messages": 'messages of each side in an interval: `"100/second"`, or by `minute`, `hour`, `day`',
        "seconds": "how long one may last",
        "proxy_path": 'the path and parameter by which another address is asked for, such as `"/ws?url="`',
    },
    RuleLimits: {
        "requests": 'requests in an interval: `"100/minute"`, or by `second`, `hour`, `day`',
        "connections": "connections at once",
        "bytes_up": 'bytes to the host, in the whole run; a number, or a size such as `"1 GiB"`',
        "bytes_down": "bytes from the host, in the whole run",
        "body": "bytes of one request's body; `0` is none",
    },
    Case: {
        "attempt": "what is tried: a URL, perhaps after a method, or `host:port`",
        "expect": '`"allow"` or `"deny"`',
        "rule": "the name or the destination of the rule that must decide",
        "at": "the time at which it is decided, for rules with `times`; without an offset it is UTC",
    },
    Secret: {
        "name": "what stands for it in receipts, with a commitment: `[api-token:5f0c…]`",
        "from": (
            'where its value is: `{ env = "API_TOKEN" }`, `{ file = "~/.config/api-token" }` or '
            '`{ command = ["pass", "show", "api-token"] }`'
        ),
        "to": (
            "the destinations that get it, as a rule writes them. The agent [never has it](#secrets-that-the-agent-"
            "never-has) then: it gets a placeholder, and the proxy puts the value in"
        ),
        "as": (
            "where in a request it may stand: `basic` (the credentials of `Authorization: Basic`), `header:NAME`, "
            '`query:NAME`; one, or a list. Without it `["basic", "header:authorization"]`. Or `ssh`, for a private key '
            "with which [git is carried over SSH](ssh.md#git-with-a-key-outside); `ssh:USER` for another user than "
            "`git`"
        ),
        "env": "the variable in which the agent finds the placeholder; without it the one of `from`",
        "placeholder": (
            "what the agent sees instead of the value, for programs that look at its form; without it a new one is "
            "made for each run"
        ),
    },
    From: {
        "env": "a variable of whoever starts the run",
        "file": (
            "a file; a relative one is in the working directory, and one line end at its end does not count"
        ),
        "command": (
            "a program and its arguments, run once before the sandbox is made and outside of it: what it writes to "
            "standard output, without one line end at its end"
        ),
    },
    Files: {
        "write": (
            "further directories in which changes are real. They must exist, and the agent's user must have the right "
            "to write there"
        ),
        "hide": "files and directories that look empty. They must exist; this goes before `write`",
        "protect": (
            "what is read-only although it is where the agent may write. `*` and `?` stand for characters of one name, "
            "`**/` for directories at any depth"
        ),
    },
    Env: {
        "pass": (
            "the variables that are passed to the agent, as names with `*` and `?` for characters. With this key "
            "nothing else is: mind `PATH`, `HOME`, `LANG`"
        ),
        "set": (
            "variables with their values, set last. No place for a secret: the policy is part of the audit packet"
        ),
    },
    Roots: {
        "extra_ca": (
            "files with certificates in PEM, named like [included ones](#several-files-include): roots that count "
            "besides those of the machine, for the boundary and for the agent"
        ),
    },
    ScanTable: {
        **_SCAN,
        "every_rule": (
            "whether rules that say nothing of `scan` have it as well, those of included files and presets too; "
            "`false` without it"
        ),
        "detector_files": (
            "files with detectors of your own, in the form that gitleaks reads, named like "
            "[included ones](#several-files-include)"
        ),
        "env": "variables whose values are looked for, as names with `*` and `?` for characters",
        "files": "files whose contents are looked for; a relative one is in the working directory",
        "guess": "whether values of variables that look secret are looked for, named or not; `true` without it",
        "suppress": "findings that are known and are none",
    },
    Canary: {
        "name": "what it is called in receipts",
        "env": "the variable in which the agent finds it, whatever the caller has there",
        "file": (
            'a file of its HOME that is planted for the run, such as `"~/.aws/credentials"`; the agent sees nothing '
            "else in its place, and the host keeps what it has"
        ),
        "from": (
            "where its value is, as for a [secret](#secrets-secret), such as a file that you have planted; without it "
            "one is made for each run"
        ),
    },
    Suppress: {
        "finding": 'the fingerprint of the finding, `"sha256:…"`: of the value and the detector, the same in every run',
        "detector": "the detector that finds it",
        "reason": "why it is none, in one line",
        "expires": "the last day on which it holds (UTC), as in `2027-03-31`",
    },
    UpstreamProxy: {
        "proxy": 'where it is: `"http://proxy.corp.example:3128"`. Its own address may be a private one',
        "username": "who it is told that we are (basic authentication)",
        "password": (
            'where the password is found: `{ env = "PROXY_PASSWORD" }` or `{ file = "/run/secrets/proxy" }`, as for a '
            "[secret](#secrets-secret); the agent gets neither"
        ),
        "no_proxy": "what is dialled directly: hosts, domains and networks, as a rule's `destination`",
        "resolve": (
            "whether names are looked up here, and the proxy is asked for the checked address; otherwise it looks them "
            "up itself"
        ),
    },
    Limits: {
        "processes": "processes and threads of the agent, all together; 4096 where the policy says nothing",
        "open_files": "descriptors of one process",
        "memory": "all of the agent's memory, and what it keeps in its `/tmp` and HOME",
        "file_size": "one file",
        "cpu_seconds": "processor time",
        "wall_seconds": "the run's time, as with `--timeout`; of the two the shorter one holds",
    },
}
