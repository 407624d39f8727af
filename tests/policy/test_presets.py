"""The presets: each is a policy of its own, of rules with reasons that open HTTPS and nothing else."""

from __future__ import annotations

from importlib.resources import files

import pytest

from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.files import Files
from trio_egress.policy.load import load_policy
from trio_egress.policy.presets import PRESETS, read_preset
from trio_egress.policy.rule import Policy


def load(name: str) -> Policy:
    return load_policy(read_preset(f"preset:{name}").decode(), f"preset:{name}.toml")


def is_allowed(policy: Policy, host: str, protocol: Protocol, port: int) -> bool:
    return decide(policy, Attempt(Transport.TRANSPARENT, protocol, Name(host), port, "GET")).allowed


def test_there_are_no_others() -> None:
    shipped = files("trio_egress.policy").joinpath("presets").iterdir()
    assert sorted(path.name for path in shipped) == [f"{name}.toml" for name in PRESETS]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_rules_alone_each_with_its_reason(name: str) -> None:
    policy = load(name)
    assert policy.rules
    assert all(rule.terms.reason for rule in policy.rules)
    assert not any(rule.terms.allow_private or rule.terms.deny for rule in policy.rules)
    assert (policy.resolve.pins, policy.files, policy.env.pass_, policy.env.set) == ((), Files(), None, ())
    assert "Source: " in policy.sources[0].text


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_opens_https_without_opening_tls_and_nothing_else(name: str) -> None:
    policy = load(name)
    for rule in policy.rules:
        host = str(rule.terms.destination)
        assert rule.inside == ()
        assert is_allowed(policy, host, Protocol.TLS, 443)
        for protocol, port in (
            (Protocol.HTTP, 80),
            (Protocol.TCP, 443),
            (Protocol.TCP, 22),
            (Protocol.TLS, 8443),
        ):
            assert not is_allowed(policy, host, protocol, port)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("github", "gist.github.com"),
        ("github", "uploads.github.com"),
        ("github", "ghcr.io"),
        ("github", "npm.pkg.github.com"),
        ("anthropic", "statsig.anthropic.com"),
        ("openai", "eu.api.openai.com"),
        ("huggingface", "anybody.hf.space"),
    ],
)
def test_what_a_preset_leaves_out_on_purpose_stays_denied(name: str, host: str) -> None:
    assert not is_allowed(load(name), host, Protocol.TLS, 443)
