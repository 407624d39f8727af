"""What each of the demo agent's attempts must come to, and whether it did: by the agent, and by the evidence.

Pure. The two are never mixed: what the receipt column says comes from receipts alone.

Rule 1: an attempt is as expected when the agent got through or not as claimed, a denial took under DENIAL_MILLISECONDS,
and every receipt of its target says the same.
Rule 2: nothing reached the upstreams but what was allowed, and each of that once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trio_egress.values import frozen

DENIAL_MILLISECONDS = 10_000
"""A denial is told, it is no time-out of a connection (127 s); a machine may have much else to do."""

Receipt = Mapping[str, Any]


@frozen
class Claim:
    """One attempt of `agent.py`, in words, and the target that its receipts name."""

    attempt: str
    words: str
    allowed: bool
    target: str
    method: str = ""
    reaches: str = ""


CLAIMS = (
    Claim(
        "get_over_https",
        "GET https://api.example.com/",
        True,
        "tls://api.example.com:443",
        reaches="GET api.example.com/",
    ),
    Claim(
        "get_over_http",
        "GET http://docs.example.com/",
        True,
        "http://docs.example.com:80/",
        "GET",
        reaches="GET docs.example.com/",
    ),
    Claim(
        "get_without_proxy_settings",
        "GET /raw, ignoring any proxy",
        True,
        "http://docs.example.com:80/raw",
        "GET",
        reaches="GET docs.example.com/raw",
    ),
    Claim(
        "post_where_only_get_is_allowed",
        "POST http://docs.example.com/",
        False,
        "http://docs.example.com:80/",
        "POST",
    ),
    Claim("get_from_another_host", "GET https://evil.example/", False, "dns:evil.example"),
    Claim("connect_to_address", "TCP to 203.0.113.7:22", False, "tcp://203.0.113.7:22"),
    Claim("send_datagram", "UDP to 203.0.113.7:9999", False, "udp://203.0.113.7:9999"),
    Claim("ask_another_resolver", "DNS tunnel by way of 8.8.8.8", False, "dns:stolen-data.tunnel.example"),
)


@frozen
class Row:
    """One attempt, what the agent saw, what its receipt says, and what is wrong with that (mostly nothing)."""

    claim: Claim
    saw: str
    verdict: str
    reason: str
    faults: tuple[str, ...] = ()


def parse_lines(text: str) -> list[dict[str, Any]]:
    """JSON objects, one a line; a line that is none raises ValueError."""
    objects = [json.loads(line) for line in text.splitlines() if line]
    if not all(isinstance(each, dict) for each in objects):
        raise ValueError("a line is not a JSON object")
    return objects


def compare(said: Sequence[Mapping[str, Any]], receipts: Sequence[Receipt]) -> list[Row]:
    """A row for each claim. `said`: the agent's objects; `receipts`: those of a verified evidence file."""
    by_attempt = {each.get("attempt"): each for each in said}
    return [_compare(claim, by_attempt.get(claim.attempt), receipts) for claim in CLAIMS]


def find_strays(reached: Sequence[str]) -> list[str]:
    """What is wrong with the requests that reached the upstreams."""
    expected = sorted(claim.reaches for claim in CLAIMS if claim.reaches)
    if sorted(reached) == expected:
        return []
    return [f"the upstreams saw {', '.join(sorted(reached)) or 'nothing'}, not {', '.join(expected)}"]


def _compare(claim: Claim, said: Mapping[str, Any] | None, receipts: Sequence[Receipt]) -> Row:
    ours = [receipt for receipt in receipts if _belongs(receipt, claim)]
    verdicts = sorted({str(receipt["action_record"]["verdict"]) for receipt in ours})
    saw = f"{said['saw']}, {said['milliseconds']} ms" if said else "the agent did not get there"
    faults = (*_judge_agent(claim, said), *_judge_receipts(claim, verdicts))
    reason = str(ours[-1]["ext"]["trio_egress"].get("reason", "")) if ours else ""
    return Row(claim, saw, " and ".join(verdicts) or "no receipt", reason.removesuffix(" allows it"), faults)


def _belongs(receipt: Receipt, claim: Claim) -> bool:
    record = receipt["action_record"]
    return (record["target"], record.get("method", "")) == (claim.target, claim.method)


def _judge_agent(claim: Claim, said: Mapping[str, Any] | None) -> Iterator[str]:
    if said is None:
        yield "the agent said nothing of it"
    elif said["through"] is not claim.allowed:
        yield "the agent should have got through" if claim.allowed else "the agent got through"
    elif not claim.allowed and said["milliseconds"] >= DENIAL_MILLISECONDS:
        yield f"a denial took longer than {DENIAL_MILLISECONDS} ms"


def _judge_receipts(claim: Claim, verdicts: Sequence[str]) -> Iterator[str]:
    expected = "allow" if claim.allowed else "block"
    if verdicts != [expected]:
        yield f"its receipts should say {expected}"
