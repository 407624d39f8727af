"""Pipelock's configuration (pipelock.yaml): its allow-list and block-list become rules.

Pipelock denies what is not on `api_allowlist` in mode `strict` alone; its wildcards include the domain itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trio_egress.policy.foreign.draft import Draft, expect_table, expect_texts, is_unset

_NOTHING_TO_SAY = (
    "version",
    "mode",
    "enforce",
    "api_allowlist",
    "fetch_proxy",
    "forward_proxy",
    "trusted_domains",
    "internal",
    "ssrf",
    "logging",
)
_SCANNERS = (
    "dlp",
    "response_scanning",
    "request_body_scanning",
    "mcp_input_scanning",
    "mcp_tool_scanning",
    "mcp_tool_policy",
    "mcp_session_binding",
    "tool_chain_detection",
    "adaptive_enforcement",
    "websocket_proxy",
    "git_protection",
    "session_profiling",
    "canary_tokens",
)

_NOT_SAID = "what looks into requests and answers is no part of a rule's destination"
_LOOKS = (
    "here `every_rule = true` in [scan], or `scan = true` in a rule, has requests and answers looked through"
)
_SAID_HERE = {
    "dlp": _LOOKS,
    "request_body_scanning": _LOOKS,
    "response_scanning": _LOOKS,
    "canary_tokens": "here a [[canary]] is planted in a variable",
}
"""What can be said here, if not in a rule's destination."""


def read(document: Mapping[str, Any]) -> Draft:
    draft = Draft()
    mode = document.get("mode", "balanced")
    if mode != "strict":
        draft.note(
            f"mode: {mode}: Pipelock reaches every host that it does not block in this mode; here only "
            "the hosts of api_allowlist are reached, because what no rule allows is denied"
        )
    if is_unset(document.get("enforce")):
        draft.note("enforce: false: Pipelock only warns; a policy here is always enforced")
    trusted = expect_texts(document.get("trusted_domains"), "trusted_domains")
    for domain in expect_texts(document.get("api_allowlist"), "api_allowlist"):
        _add(draft, domain, "api_allowlist", allow_private=domain in trusted)
    for domain in trusted:
        _add(draft, domain, "trusted_domains", allow_private=True)
    _read_fetch_proxy(draft, expect_table(document.get("fetch_proxy"), "fetch_proxy"))
    ssrf = expect_table(document.get("ssrf"), "ssrf")
    for network in expect_texts(ssrf.get("ip_allowlist"), "ssrf.ip_allowlist"):
        draft.add(network, "ssrf.ip_allowlist", allow_private=True)
    draft.note_unknown(ssrf, ("ip_allowlist",), "ssrf.")
    for scanner in _SCANNERS:
        if scanner in document:
            draft.note(f"{scanner}: {_SAID_HERE.get(scanner, _NOT_SAID)}")
    draft.note_unknown(document, (*_NOTHING_TO_SAY, *_SCANNERS))
    return draft


def _read_fetch_proxy(draft: Draft, fetch: Mapping[str, Any]) -> None:
    monitoring = expect_table(fetch.get("monitoring"), "fetch_proxy.monitoring")
    place = "fetch_proxy.monitoring.blocklist"
    for domain in expect_texts(monitoring.get("blocklist"), place):
        _add(draft, domain, place, deny=True, reason="blocked by Pipelock's blocklist")
    for limit in ("max_requests_per_minute", "max_data_per_minute"):
        if monitoring.get(limit):
            draft.note(
                f"fetch_proxy.monitoring.{limit}: counts per domain; give rules `limits` where it matters"
            )
    for check in ("max_url_length", "entropy_threshold", "subdomain_entropy_threshold"):
        if check in monitoring:
            draft.note(f"fetch_proxy.monitoring.{check}: not converted")


def _add(draft: Draft, domain: str, place: str, **terms: Any) -> None:
    if domain.startswith("*."):
        draft.add_with_subdomains(domain[2:], place, **terms)
    else:
        draft.add(domain, place, **terms)
