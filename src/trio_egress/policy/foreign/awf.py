"""The configuration of GitHub's agentic-workflow firewall (awf), and its plain lists of domains.

A domain there includes every name below it. `http://` or `https://` before it restricts the scheme.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from trio_egress.policy.foreign.draft import Draft, Unreadable, expect_table, expect_texts

_PORTS = {"http": 80, "https": 443}
_SEPARATORS = re.compile(r"[,\s]+")


def read(document: Mapping[str, Any]) -> Draft:
    draft = Draft()
    network = expect_table(document.get("network"), "network")
    for domain in expect_texts(network.get("allowDomains"), "network.allowDomains"):
        _add(draft, domain, "network.allowDomains")
    for domain in expect_texts(network.get("blockDomains"), "network.blockDomains"):
        _add(draft, domain, "network.blockDomains", deny=True, reason="blocked by awf's blockDomains")
    if network.get("upstreamProxy"):
        draft.note(
            "network.upstreamProxy: not converted; [upstream] proxy names one, and where its password is found"
        )
    if network.get("dnsServers"):
        draft.note("network.dnsServers: names are resolved outside, by this machine's resolver")
    draft.note_unknown(network, ("allowDomains", "blockDomains", "upstreamProxy", "dnsServers"), "network.")
    security = expect_table(document.get("security"), "security")
    for key in ("allowHostPorts", "allowHostServicePorts"):
        for port in _ports(security.get(key), f"security.{key}"):
            draft.add(f"host.internal:{port}", f"security.{key}")
    draft.note_unknown(security, ("allowHostPorts", "allowHostServicePorts"), "security.")
    if document.get("rateLimiting"):
        draft.note("rateLimiting: counts over all hosts; give rules `limits` where it matters")
    draft.note_unknown(document, ("$schema", "network", "security", "rateLimiting"))
    return draft


def read_list(text: str) -> Draft:
    """A file of --allow-domains-file: one domain a line, or several with commas; `#` begins a comment."""
    draft = Draft()
    for number, line in enumerate(text.splitlines(), 1):
        for domain in _SEPARATORS.split(line.partition("#")[0].strip()):
            if domain:
                _add(draft, domain, f"line {number}")
    return draft


def _add(draft: Draft, raw: str, place: str, **terms: Any) -> None:
    scheme, separator, domain = raw.rpartition("://")
    if separator and scheme not in _PORTS:
        draft.note(f"{place}: {raw!r} has a scheme that awf does not know")
        return
    port = _PORTS[scheme] if separator else None
    domain = domain.rstrip("/")
    if domain.startswith("*."):
        suffix = "" if port is None else f":{port}"
        draft.add(f"{domain}{suffix}", place, **terms)
    elif "*" in domain:
        draft.note(
            f"{place}: {raw!r}: a wildcard stands for whole labels at the front here (`*.example.com`)"
        )
    else:
        draft.add_with_subdomains(domain.removeprefix("."), place, port, **terms)


def _ports(value: object, place: str) -> Iterator[str]:
    texts = [value] if isinstance(value, str) else expect_texts(value, place)
    for text in texts:
        for port in _SEPARATORS.split(text.strip()):
            if port and not port.isdecimal():
                raise Unreadable(f"{place}: {port!r} is not a port")
            if port:
                yield port
