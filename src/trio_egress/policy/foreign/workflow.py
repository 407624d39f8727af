"""Steps of a GitHub workflow that restrict egress: StepSecurity's harden-runner, and Bullfrog.

Reads the `with` of every step that uses the action, whatever the job; a list of several jobs becomes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trio_egress.policy.foreign.draft import Draft, Unreadable, expect_table, is_set

HARDEN_RUNNER = "step-security/harden-runner"
BULLFROG = "bullfrogsec/bullfrog"


def read_harden_runner(document: Mapping[str, Any]) -> Draft:
    """`allowed-endpoints`: `host:port` with blanks between; without a port 443 is meant."""
    draft = Draft()
    for place, given in _steps(document, HARDEN_RUNNER):
        if given.get("egress-policy", "block") != "block":
            draft.note(
                f"{place}: egress-policy {given['egress-policy']}: it only reports; here it is enforced"
            )
        for endpoint in _words(given, "allowed-endpoints"):
            host, colon, port = endpoint.rpartition(":")
            draft.add(f"{host}:{port}" if colon else f"{endpoint}:443", f"{place}: allowed-endpoints")
        for key in ("disable-sudo", "disable-sudo-and-containers"):
            if is_set(given.get(key)):
                draft.note(f"{place}: {key}: sudo and containers never work for the agent here")
        known = ("egress-policy", "allowed-endpoints", "disable-sudo", "disable-sudo-and-containers")
        draft.note_unknown(given, (*known, "disable-telemetry", "disable-file-monitoring"), f"{place}: ")
    return draft


def read_bullfrog(document: Mapping[str, Any]) -> Draft:
    """`allowed-domains` and `allowed-ips`, one a line. Bullfrog allows every port and protocol of them."""
    draft = Draft()
    for place, given in _steps(document, BULLFROG):
        if given.get("egress-policy", "audit") != "block":
            draft.note(f"{place}: egress-policy audit: it only reports; here it is enforced")
        for destination in (*_words(given, "allowed-domains"), *_words(given, "allowed-ips")):
            draft.add(destination, place)
        if draft.rules:
            draft.note("Bullfrog allows every port of a destination; here HTTP on 80 and 443, and TLS on 443")
        if given.get("dns-policy") == "any":
            draft.note(f"{place}: dns-policy any: a name that no rule allows is never resolved here")
        known = ("egress-policy", "allowed-domains", "allowed-ips", "dns-policy", "log-directory")
        draft.note_unknown(given, known, f"{place}: ")
    return draft


def _steps(document: Mapping[str, Any], action: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each step is that uses the action, and its `with`. Raises Unreadable where there is none."""
    found = False
    for name, job in expect_table(document.get("jobs"), "jobs").items():
        steps = expect_table(job, f"jobs.{name}").get("steps") or []
        if not isinstance(steps, list):
            raise Unreadable(f"jobs.{name}.steps must be a list")
        for number, step in enumerate(steps):
            place = f"jobs.{name}.steps[{number}]"
            uses = expect_table(step, place).get("uses")
            if isinstance(uses, str) and uses.partition("@")[0].lower() == action:
                found = True
                yield place, expect_table(step.get("with"), f"{place}.with")
    if not found:
        raise Unreadable(f"no step of it uses {action}")


def _words(given: Mapping[str, Any], key: str) -> list[str]:
    value = given.get(key, "")
    if not isinstance(value, str):
        raise Unreadable(f"{key} must be a text")
    return [word for line in value.splitlines() for word in line.partition("#")[0].split()]
