"""Squid's configuration: the domains, ports and methods of its `http_access` lines.

Squid takes the first line that matches; here every rule allows and a `deny` rule always wins. What that
changes is told. Access lists by client, time, user, regular expression or file have no rule here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import attrs

from trio_egress.policy.foreign.draft import Draft
from trio_egress.values import define

PORTS_MAX = 16
"""A range of more ports is no rule that anybody would review."""

_DOMAINS = ("dstdomain", "ssl::server_name")
_IDLE = ("localnet", "localhost", "manager", "to_localhost", "to_linklocal", "all")
"""Lists of Squid's default configuration that say nothing of destinations."""

_USUAL = ("Safe_ports", "SSL_ports", "CONNECT")
_WEB = (80, 443)


@define
class _Acl:
    """All `acl` lines of one name."""

    kind: str
    values: list[str] = attrs.field(factory=list)


@define
class _Reader:
    draft: Draft = attrs.field(factory=Draft)
    acls: dict[str, _Acl] = attrs.field(factory=dict)
    allowed: set[str] = attrs.field(factory=set)
    denied_all: bool = False

    def read_line(self, number: int, words: list[str]) -> None:
        match words:
            case ["acl", name, kind, *values]:
                self._read_acl(number, name, kind, values)
            case ["http_access", ("allow" | "deny") as action, *names] if names:
                self._read_access(number, action, names)
            case ["include", *_]:
                self.draft.note(f"line {number}: include: convert that file as well, and include it")
            case ["ssl_bump", *_]:
                self.draft.note(f"line {number}: ssl_bump: rules say themselves what must be seen inside TLS")

    def _read_acl(self, number: int, name: str, kind: str, values: list[str]) -> None:
        acl = self.acls.setdefault(name, _Acl(kind))
        plain = [value for value in values if not value.startswith("-")]
        if any(value.startswith("/") for value in plain) and kind in _DOMAINS:
            self.draft.note(f"line {number}: acl {name} reads another file, which is not converted")
        acl.values += [value for value in plain if not value.startswith("/")]

    def _read_access(self, number: int, action: str, names: list[str]) -> None:
        place = f"line {number}"
        if names == ["all"]:
            self.denied_all = self.denied_all or action == "deny"
            if action == "allow":
                self.draft.note(f"{place}: http_access allow all: there is no rule for every host")
            return
        if action == "deny" and any(name.removeprefix("!") in _USUAL for name in names):
            return  # Squid's own bounds on ports: 80 and 443 are a rule's ports without it
        if any(name in _IDLE for name in names) and not self._has_domains(names):
            return
        terms = self._find_terms(place, names)
        if terms is None or self.denied_all:
            return
        domains, ports, methods = terms
        if action == "deny":
            self._deny(place, domains)
            return
        for domain in domains:
            self.allowed.add(domain)
            for suffix in _suffixes(ports):
                self._add(domain, suffix, place, methods=methods)

    def _has_domains(self, names: list[str]) -> bool:
        return any(self.acls[name].kind in _DOMAINS for name in names if name in self.acls)

    def _find_terms(
        self, place: str, names: list[str]
    ) -> tuple[list[str], tuple[int, ...], tuple[str, ...]] | None:
        """Domains, ports and methods of one line; None where it says what no rule can."""
        domains: list[str] = []
        ports: tuple[int, ...] = ()
        methods: tuple[str, ...] = ()
        for name in names:
            acl = self.acls.get(name)
            if name in _IDLE:
                continue
            if acl is None or name.startswith("!"):
                self.draft.note(f"{place}: {name}: a negation or an unknown list is not converted")
                return None
            if acl.kind in (*_DOMAINS, "dst"):
                domains += acl.values
            elif acl.kind == "port":
                ports = tuple(_ports(acl.values))
            elif acl.kind == "method":
                methods = tuple(acl.values)
            else:
                self.draft.note(f"{place}: acl {name} ({acl.kind}) has no rule here, so the line is left out")
                return None
        if not domains:
            self.draft.note(f"{place}: names no destination, and there is no rule for every host")
            return None
        if len(ports) > PORTS_MAX:
            self.draft.note(f"{place}: more than {PORTS_MAX} ports; name those that are needed")
            return None
        return domains, ports, methods

    def _deny(self, place: str, domains: list[str]) -> None:
        for domain in domains:
            if domain in self.allowed:
                self.draft.note(f"{place}: {domain} was allowed by a line before, which Squid takes first")
            else:
                self._add(domain, "", place, deny=True, reason="denied by Squid's http_access")

    def _add(self, domain: str, suffix: str, place: str, **terms: object) -> None:
        for destination in (domain[1:], f"*{domain}") if domain.startswith(".") else (domain,):
            self.draft.add(f"{destination}{suffix}", place, **terms)


def read(text: str) -> Draft:
    reader = _Reader()
    for number, words in _lines(text):
        reader.read_line(number, words)
    if not reader.denied_all:
        reader.draft.note("no `http_access deny all`: what no rule allows is denied here all the same")
    return reader.draft


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line with its words; one that ends in a backslash goes on in the next."""
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        try:
            words = shlex.split(joined, comments=True)
        except ValueError:
            words = joined.partition("#")[0].split()
        yield start, words
        joined, start = "", 0


def _ports(values: list[str]) -> Iterator[int]:
    for value in values:
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", value)
        if match:
            first, last = int(match[1]), int(match[2] or match[1])
            yield from range(first, min(last, first + PORTS_MAX) + 1)


def _suffixes(ports: tuple[int, ...]) -> list[str]:
    if not ports or set(ports) <= set(_WEB):
        return [""]
    return [f":{port}" for port in sorted(set(ports))]
