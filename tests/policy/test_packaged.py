"""What a policy includes, in one file: with it the policy can be read again, wherever that is."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.evidence.packet import INCLUDES_NAME
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.load import load_policy
from trio_egress.policy.packaged import INCLUDES_FILE, load_packaged, render_includes

HEAD = 'version = "1.0"\ndefault_deny = true\n'
TEXT = HEAD + 'include = ["sub/policy.toml", "preset:github"]\n[[egress]]\ndestination = "a.example"\n'
FILES = {
    "sub/policy.toml": (HEAD + 'include = ["b.yaml"]\n').encode(),
    "sub/b.yaml": '\ufeffversion: "1.0"\ndefault_deny: true\negress: [{destination: ü.example}]\n'.encode(),
}
POLICY = load_policy(TEXT, "ci/agent.toml", FILES.__getitem__)
INCLUDES = render_includes(POLICY)


def test_a_policy_is_read_again_from_its_text_and_what_it_includes() -> None:
    again = load_packaged(TEXT.encode(), "policy.toml", INCLUDES)
    assert (again, policy_hash(again)) == (POLICY, policy_hash(POLICY))
    assert again.sources == POLICY.sources
    assert render_includes(again) == INCLUDES


def test_a_policy_that_includes_nothing_needs_its_text_alone() -> None:
    policy = load_policy('version: "1.0"\ndefault_deny: true\n', "agent.yaml")
    assert render_includes(policy) == b""
    assert load_packaged(b'version: "1.0"\ndefault_deny: true\n', "policy.yaml") == policy


def test_presets_are_read_from_the_package_and_not_from_this_release() -> None:
    document = json.loads(INCLUDES)
    document["includes"] = [include for include in document["includes"] if include["name"] != "preset:github"]
    with pytest.raises(PolicyError, match=f'cannot read "preset:github": it is not in {INCLUDES_FILE}'):
        load_packaged(TEXT.encode(), "policy.toml", json.dumps(document).encode())


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff", "it is not what a policy includes"),
        (b"[]", "it is not what a policy includes"),
        (b"{}", "it is not what a policy includes"),
        (b'{"policy":"a.toml","includes":3}', "it is not what a policy includes"),
        (b'{"policy":"a.toml","includes":[{"name":"b.toml"}]}', "it is not what a policy includes"),
        (b'{"policy":1,"includes":[]}', "it is not what a policy includes"),
        (
            (
                b'{"policy":"a.toml","includes":[{"name":1,"text":"","sha256":"'
                b'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}'
            ),
            "it is not what a policy includes",
        ),
        (
            b'{"policy":"a.toml","includes":[{"name":"b.toml","text":"\\ud800","sha256":""}]}',
            "it is not what a policy includes",
        ),
        (
            b'{"policy":"a.toml","includes":[{"name":"b.toml","text":"x","sha256":"00"}]}',
            "the text of b.toml is not the one that its sha256 names",
        ),
        (b'{"a":' * 50_000, "it is not what a policy includes"),
    ],
)
def test_what_is_none_is_a_policy_error(raw: bytes, said: str) -> None:
    with pytest.raises(PolicyError, match=f"^{INCLUDES_FILE}:1:1: error: {said}"):
        load_packaged(TEXT.encode(), "policy.toml", raw)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_policy_error_or_a_policy(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        load_packaged(TEXT.encode(), "policy.toml", b"{" + raw)


def test_the_packet_calls_it_by_the_same_name() -> None:
    assert INCLUDES_FILE == INCLUDES_NAME


def test_the_file_is_canonical_json_of_one_include_or_more() -> None:
    policy = load_policy(f'include = ["ü.toml"]\n{HEAD}', "ci/agent.toml", lambda _name: HEAD.encode())
    digest = hashlib.sha256(HEAD.encode()).hexdigest()
    text = json.dumps(HEAD)
    assert render_includes(policy).decode() == (
        f'{{"includes":[{{"name":"ü.toml","sha256":"{digest}","text":{text}}}],"policy":"agent.toml"}}'
    )
