"""The authority of a run: whom it vouches for, as OpenSSL sees it, also where its key is somebody else's."""

from __future__ import annotations

import datetime
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from hypothesis import event, given, settings
from hypothesis import strategies as st

from trio_egress.fuzzing.attempts import attempts_at
from trio_egress.fuzzing.policies import policies
from trio_egress.model import Host, Name, Need, Protocol
from trio_egress.policy.destination import Below, Exact, Pattern, Within
from trio_egress.policy.engine import decide
from trio_egress.policy.index import build_index
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.moment import Moment
from trio_egress.proxy.authority import Authority

NOW = datetime.datetime.now(datetime.timezone.utc)
API = Exact(Name("api.example"))


def make(*patterns: Pattern) -> Authority:
    return Authority(patterns, NOW, "01a20344-a690-7913-beeb-71fdacaf25b8")


def verify(place: Path, authority: Authority, host: Host) -> str:
    """What `openssl verify` says of a certificate that whoever has its key makes; empty where it is good."""
    (place / "ca.pem").write_text(authority.pem)
    (place / "leaf.pem").write_bytes(authority._certify_host(host))
    kind = "-verify_hostname" if isinstance(host, str) else "-verify_ip"
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", kind, str(host), "leaf.pem"]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("patterns", "good", "bad"),
    [
        ((API,), ["api.example"], ["other.example", "xapi.example", "example", "203.0.113.7"]),
        (
            (Below(Name("example.com")),),
            ["a.example.com", "a.b.example.com"],
            ["example.org", "xexample.com"],
        ),
        ((Exact(ip_address("203.0.113.7")),), ["203.0.113.7"], ["203.0.113.8", "api.example", "2001:db8::7"]),
        ((Within(ip_network("203.0.113.0/24")),), ["203.0.113.9"], ["203.0.114.9", "a.example"]),
        ((Exact(ip_address("2001:db8::7")),), ["2001:db8::7"], ["2001:db8::8", "203.0.113.7"]),
        ((API, Within(ip_network("203.0.113.0/24"))), ["api.example", "203.0.113.9"], ["2001:db8::7"]),
    ],
)
def test_it_vouches_for_its_hosts_alone_whoever_has_its_key(
    tmp_path: Path, patterns: tuple[Pattern, ...], good: list[str], bad: list[str]
) -> None:
    authority = make(*patterns)
    for text in good:
        assert verify(tmp_path, authority, parse(text)) == ""
        assert authority.covers(Exact(parse(text)))
    for text in bad:
        assert "permitted subtree violation" in verify(tmp_path, authority, parse(text)) or (
            "excluded subtree violation" in verify(tmp_path, authority, parse(text))
        ), text
        assert not authority.covers(Exact(parse(text)))


def parse(text: str) -> Host:
    try:
        return ip_address(text)
    except ValueError:
        return Name(text)


def test_what_a_name_permits_below_it_is_not_made_by_us(tmp_path: Path) -> None:
    """Certificates can't say less; the proxy does."""
    authority = make(API)
    assert verify(tmp_path, authority, Name("deep.api.example")) == ""
    with pytest.raises(ValueError, match=r"can't vouch for deep\.api\.example"):
        authority.open_context(Name("deep.api.example"))


def test_openssl_finds_it_by_the_hash_of_its_name(tmp_path: Path) -> None:
    authority = make(API)
    (tmp_path / "ca.pem").write_text(authority.pem)
    told = subprocess.check_output(
        ["openssl", "x509", "-in", tmp_path / "ca.pem", "-noout", "-subject_hash"], text=True
    )
    assert told.strip() == authority.name_hash


def test_it_ends_within_days_and_makes_no_further_authority() -> None:
    certificate = make(API).certificate
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert certificate.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert certificate.not_valid_after_utc - NOW <= datetime.timedelta(days=7)


def test_two_runs_share_no_key() -> None:
    first, second = make(API), make(API)
    assert first.certificate.public_key() != second.certificate.public_key()


def test_a_context_is_made_once_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_egress.proxy.authority.CONTEXTS", 2)
    authority = make(Below(Name("example")))
    first = authority.open_context(Name("a.example"))
    assert authority.open_context(Name("a.example")) is first
    authority.open_context(Name("b.example"))
    authority.open_context(Name("c.example"))
    assert authority.open_context(Name("a.example")) is not first


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_it_is_made_for_every_host_whose_tls_the_policy_has_ended(data: st.DataObject) -> None:
    """Else an agent could ask for one that it can't vouch for, and end the run by that."""
    policy = data.draw(policies())
    attempt = attrs.evolve(data.draw(attempts_at(policy)), protocol=Protocol.TLS)
    decision = decide(policy, attempt, Moment(able=frozenset(Need)))
    event(f"ended: {decision.allowed and Need.TLS in decision.needs}")
    if decision.allowed and Need.TLS in decision.needs:
        index = build_index((pattern, pattern) for pattern in find_intercepted(policy))
        assert index.find(attempt.host)
