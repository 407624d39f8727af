"""What a host key may look like in a policy, its fingerprint as ssh-keygen says it, and what rules with it allow."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError
from trio_egress.fuzzing.policies import render_toml
from trio_egress.model import NO_NEEDS, Attempt, Layer, Name, Need, Protocol, Transport
from trio_egress.policy.compiled import parse_compiled, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.engine import decide
from trio_egress.policy.host_keys import HOST_KEYS_MAX, PinnedKey, read_host_keys
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.texts.faults import Faults

FINGERPRINT = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
"""GitHub's, as it publishes both."""
ANOTHER = f"SHA256:{'A' * 43}"
ABLE = Moment(able=frozenset(Need))


def make_policy(*rules: dict[str, object]) -> Policy:
    document = {"version": "1.0", "default_deny": True, "egress": list(rules)}
    return load_policy(render_toml(document), "agent.toml")


def refuse(value: object) -> str:
    try:
        found = read_host_keys(value)
    except Faults as faults:
        return " ".join(fault.message for fault in faults.faults)
    except ValueError as error:
        return str(error)
    raise AssertionError(found)


def test_a_key_and_its_fingerprint_are_known_as_the_same() -> None:
    (fingerprint,) = read_host_keys([FINGERPRINT])
    (key,) = read_host_keys([f"  {ED25519}  a comment of words "])
    assert fingerprint == PinnedKey(FINGERPRINT, FINGERPRINT)
    assert key == PinnedKey(ED25519, FINGERPRINT)
    assert (fingerprint.whole, key.whole) == (False, True)


def test_keys_are_a_set_in_one_spelling() -> None:
    assert read_host_keys([ED25519, f"{FINGERPRINT}=", FINGERPRINT, f"{ED25519} x"]) == (
        PinnedKey(FINGERPRINT, FINGERPRINT),
        PinnedKey(ED25519, FINGERPRINT),
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ed25519", []), ("rsa", ["-b", "2048"]), ("ecdsa", ["-b", "256"]), ("ecdsa", ["-b", "521"])],
)
def test_keys_of_ssh_keygen_are_read_as_it_shows_them(tmp_path: Path, kind: str, options: list[str]) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-f", path], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    (key,) = read_host_keys([(tmp_path / "key.pub").read_text()])
    assert key.fingerprint == shown.split()[1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (FINGERPRINT, "host_keys must be a list of at most 64 keys"),
        ([FINGERPRINT] * (HOST_KEYS_MAX + 1), "host_keys must be a list of at most 64 keys"),
        ([], "host_keys is empty"),
        ([1], "a host key must be a string"),
        ([""], "is not a type of host key"),
        ([FINGERPRINT[:-1]], "neither a fingerprint"),
        ([f"SHA256:{'A' * 42}B"], "neither a fingerprint"),
        (["sha256:" + "0" * 64], "neither a fingerprint"),
        (["MD5:" + ":".join(["ab"] * 16)], "not MD5"),
        ([":".join(["ab"] * 16)], "not MD5"),
        ([f"git.example {ED25519}"], f'without a host in front of it; did you mean "{ED25519[:60]}'),
        (["ssh-dss AAAAB3NzaC1kc3MAAAAA"], '"ssh-dss" is not a type of host key that is accepted'),
        (["ssh-ed2551 AAAA"], 'did you mean "ssh-ed25519"?'),
        (["ssh-ed25519-cert-v01@openssh.com AAAA"], "pin the key that the certificate is for"),
        (["ssh-ed25519 !"], "is not the base64 of a key"),
        (["ssh-ed25519 AAA"], "is not the base64 of a key"),
        ([ED25519[:-4]], "is not a whole key; is it cut short?"),
        ([ED25519.replace("ssh-ed25519", "ssh-rsa")], "is not a key of that type"),
        ([f"ssh-ed25519 {b64encode(b'x' * 30).decode()}"], "is not a key of that type"),
        ([f"ssh-ed25519 {b64encode(bytes((0, 0, 0, 11)) + b'ssh-ed25519').decode()}"], "not a whole key"),
    ],
)
def test_what_is_no_host_key_is_an_error_with_a_reason(value: object, reason: str) -> None:
    assert reason in refuse(value)


def test_each_fault_of_a_list_has_its_place() -> None:
    with pytest.raises(Faults) as caught:
        read_host_keys(["x", FINGERPRINT, "y"])
    assert [fault.path for fault in caught.value.faults] == [(0,), (2,)]


def ssh(port: int = 22, protocol: Protocol = Protocol.SSH) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, Name("a.example"), port)


def pinned(*keys: str, **more: object) -> dict[str, object]:
    return {"destination": "a.example", "protocol": "ssh", "host_keys": list(keys), **more}


def test_what_is_allowed_says_which_keys_and_that_they_must_be_seen() -> None:
    decision = decide(make_policy(pinned(FINGERPRINT)), ssh(), ABLE)
    assert decision.allowed
    assert decision.needs == {Need.HOST_KEY}
    assert decision.upstream is not None
    assert decision.upstream.host_keys == frozenset({FINGERPRINT})


def test_a_boundary_that_sees_no_keys_allows_nothing() -> None:
    decision = decide(make_policy(pinned(FINGERPRINT)), ssh())
    assert (decision.allowed, decision.layer) == (False, Layer.INTERCEPTION)
    assert "the host keys of SSH to be seen" in decision.reason


def test_nothing_but_ssh_comes_by_such_a_rule() -> None:
    policy = make_policy(pinned(FINGERPRINT))
    for protocol in (Protocol.TCP, Protocol.TLS, Protocol.HTTP):
        assert not decide(policy, ssh(protocol=protocol), ABLE).allowed
    assert not decide(policy, ssh(2222), ABLE).allowed


def test_the_keys_of_all_rules_for_it_count_and_of_no_others() -> None:
    rules = [pinned(FINGERPRINT), pinned(ANOTHER), pinned(f"SHA256:{'B' * 42}E", ports=[2222])]
    for order in (rules, rules[::-1]):
        upstream = decide(make_policy(*order), ssh(), ABLE).upstream
        assert upstream is not None
        assert upstream.host_keys == frozenset({FINGERPRINT, ANOTHER})


def test_a_rule_without_keys_lets_any_through() -> None:
    """Rules allow; that this one takes the pin's meaning away is warned of."""
    policy = make_policy(pinned(FINGERPRINT), {"destination": "a.example:22"})
    decision = decide(policy, ssh(), ABLE)
    assert decision.needs == NO_NEEDS
    assert decision.upstream is not None
    assert decision.upstream.host_keys is None
    (warning,) = policy.warnings
    assert "without `host_keys`, so here that restricts nothing" in warning.message


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"protocol": "tcp", "ports": [22]}, '`host_keys` needs protocol = "ssh"'),
        ({"protocol": ["ssh", "https"]}, '`host_keys` needs protocol = "ssh"'),
        ({"deny": True}, "a rule with `deny` can't have `host_keys`"),
    ],
)
def test_keys_stand_with_ssh_alone(more: dict[str, object], reason: str) -> None:
    with pytest.raises(PolicyError) as caught:
        make_policy(pinned(FINGERPRINT, **more))
    assert reason in str(caught.value)


def test_the_compiled_form_has_the_keys_in_one_order() -> None:
    policy = make_policy(pinned(f"{ED25519} comment", ANOTHER))
    raw = render_compiled(policy)
    assert f'"host_keys":["{ANOTHER}","{ED25519}"]'.encode() in raw
    assert render_compiled(parse_compiled(raw)) == raw


def test_a_change_of_keys_is_told() -> None:
    (change,) = compare(make_policy(pinned(FINGERPRINT)), make_policy(pinned(ANOTHER)))
    assert f"host_keys {FINGERPRINT} → {ANOTHER}" in change.text
