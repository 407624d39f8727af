"""What OpenSSH is told of pinned hosts: names, ports, wildcards, and when it is a line or an option."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.policy.test_host_keys import ANOTHER, ED25519, FINGERPRINT, make_policy, pinned

from trio_egress.policy.known_hosts import render_known_hosts, render_ssh_config


@pytest.mark.parametrize(
    ("more", "hosts"),
    [
        ({}, "a.example"),
        ({"destination": "*.a.example"}, "*.a.example"),
        ({"destination": "a.example:2222"}, "[a.example]:2222"),
        ({"ports": [22, 2222]}, "a.example,[a.example]:2222"),
        ({"ports": ["1000-1002"]}, "[a.example]:1000,[a.example]:1001,[a.example]:1002"),
        ({"ports": ["1000-2000"]}, "a.example,[a.example]:*"),
        ({"destination": "192.0.2.7"}, "192.0.2.7"),
        ({"destination": "[2001:db8::7]:2222"}, "[2001:db8::7]:2222"),
    ],
)
def test_a_rule_with_whole_keys_is_a_line_for_each_of_them(more: dict[str, object], hosts: str) -> None:
    policy = make_policy({**pinned(f"{ED25519} comment"), **more})
    assert render_known_hosts(policy) == f"{hosts} {ED25519}\n"
    assert render_ssh_config(policy) == ""


@pytest.mark.parametrize("keys", [(FINGERPRINT,), (ED25519, ANOTHER)])
def test_with_a_fingerprint_the_client_takes_what_it_is_shown(keys: tuple[str, ...]) -> None:
    policy = make_policy(pinned(*keys), {**pinned(ANOTHER), "destination": "*.b.example"})
    assert render_known_hosts(policy) == ""
    assert "\nHost *.b.example a.example\n    StrictHostKeyChecking accept-new\n" in render_ssh_config(policy)


def test_what_pins_nothing_and_what_has_no_name_says_nothing() -> None:
    network = {**pinned(ED25519, FINGERPRINT), "destination": "192.0.2.0/24"}
    policy = make_policy({"destination": "a.example:22"}, network)
    assert render_known_hosts(policy) == render_ssh_config(policy) == ""


def test_openssh_reads_both_as_they_are_meant(tmp_path: Path) -> None:
    policy = make_policy({**pinned(ED25519), "destination": "*.a.example:2222"}, pinned(FINGERPRINT))
    known, config = tmp_path / "known", tmp_path / "config"
    known.write_text(render_known_hosts(policy))
    config.write_text(render_ssh_config(policy))
    found = subprocess.run(
        ["ssh-keygen", "-f", known, "-F", "[x.a.example]:2222"], capture_output=True, text=True, check=False
    )
    assert ED25519 in found.stdout
    for host, expected in (("a.example", "accept-new"), ("b.example", "ask")):
        shown = subprocess.run(
            ["ssh", "-F", config, "-G", host], capture_output=True, text=True, check=True
        ).stdout
        assert f"stricthostkeychecking {expected}\n" in shown
